//! The files below `deploy/`: read by their own tools where those can be had, and held against the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use whatsapp_worker::config::settings;

use super::text;
use crate::theatre::binary;

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(below(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `None`: the tool cannot be had here, and that is said.
fn tool(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) if output.status.code() != Some(3) => Some(output),
        _ => {
            println!("NOT RUN, the tool is missing: {command:?}");
            None
        }
    }
}

/// What the chart makes of `values`.
fn rendered(values: &Value) -> Option<Result<Vec<Value>, String>> {
    let output = tool(
        Command::new("python3")
            .arg(below("tests/deploy/chart/render"))
            .arg(values.to_string()),
    )?;
    Some(if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).expect("a list of objects"))
    } else {
        Err(text(&output.stderr))
    })
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

/// The container's environment, by name.
fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let list = container["env"].as_array().expect("a list");
    list.iter().find(|one| one["name"] == name)?["value"].as_str()
}

fn is_a_setting(name: &str) -> bool {
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    settings::find(name).is_some() || settings::find(base).is_some_and(settings::Setting::has_file)
}

/// What holds of each pod, on either store.
fn check_pod(spec: &Value) {
    let container = &spec["containers"][0];
    let grace: i64 = variable(container, "SHUTDOWN_GRACE_MS")
        .and_then(|ms| ms.parse().ok())
        .expect("it is set");
    let killed = spec["terminationGracePeriodSeconds"].as_i64();
    assert!(killed.expect("set") * 1000 > grace + 5_000, "{spec}");
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["automountServiceAccountToken"], false);
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    for one in container["env"].as_array().expect("a list") {
        let name = one["name"].as_str().expect("text");
        assert!(is_a_setting(name), "{name}");
    }
}

#[test]
fn the_chart_makes_a_deployment_that_rolls_over_on_postgresql() {
    let values = json!({"shutdownGraceSeconds": 40, "settings": {"AGENT_MAX_RETRIES": 5}});
    let Some(objects) = rendered(&values) else {
        return;
    };
    let objects = objects.expect("it renders");
    assert!(of_kind(&objects, "StatefulSet").is_none());
    let workers = &of_kind(&objects, "Deployment").expect("workers")["spec"];
    assert_eq!(workers["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let pod = &workers["template"]["spec"];
    check_pod(pod);
    let container = &pod["containers"][0];
    assert_eq!(variable(container, "SHUTDOWN_GRACE_MS"), Some("40000"));
    assert_eq!(variable(container, "AGENT_MAX_RETRIES"), Some("5"));
    assert_eq!(variable(container, "STORE_URL"), None);
    assert!(variable(container, "STORE_URL_FILE").is_some());
    let selected = &workers["selector"]["matchLabels"];
    for (kind, selector) in [
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("Service", "/spec/selector"),
    ] {
        let object = of_kind(&objects, kind).unwrap_or_else(|| panic!("{kind}"));
        assert_eq!(object.pointer(selector), Some(selected), "{kind}");
    }
    let budget = of_kind(&objects, "PodDisruptionBudget").expect("checked");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

#[test]
fn the_chart_makes_one_worker_with_a_volume_on_sqlite_and_refuses_anything_else() {
    let Some(objects) = rendered(&json!({"store": "sqlite", "replicas": 3})) else {
        return;
    };
    let objects = objects.expect("it renders");
    assert!(of_kind(&objects, "Deployment").is_none());
    assert!(of_kind(&objects, "PodDisruptionBudget").is_none());
    let worker = &of_kind(&objects, "StatefulSet").expect("a worker")["spec"];
    assert_eq!(worker["replicas"], 1);
    check_pod(&worker["template"]["spec"]);
    let container = &worker["template"]["spec"]["containers"][0];
    assert_eq!(
        variable(container, "STORE_URL"),
        Some("sqlite:/data/store.db")
    );
    let claim = &worker["volumeClaimTemplates"][0];
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "10Gi");
    let closed = json!({"networkPolicy": {"enabled": false}, "metrics": {"enabled": false}});
    let objects = rendered(&closed).expect("the tool is there");
    assert!(of_kind(&objects.expect("it renders"), "NetworkPolicy").is_none());
    for (values, why) in [
        (json!({"store": "mysql"}), "store is postgres or sqlite"),
        (json!({"existingSecret": ""}), "existingSecret names"),
    ] {
        let error = rendered(&values).expect("the tool is there");
        let error = error.expect_err("refused");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_compose_file_names_settings_that_exist_and_publishes_on_loopback_alone() {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let file = std::fs::File::open(below("deploy/compose/compose.yaml")).expect("it is there");
    let parsed = Command::new("python3")
        .args(["-c", script])
        .stdin(file)
        .output();
    let parsed = parsed.expect("Python is there");
    if text(&parsed.stderr).contains("No module named 'yaml'") {
        println!("NOT RUN, PyYAML is missing");
        return;
    }
    let compose: Value = serde_json::from_slice(&parsed.stdout).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    let workers: Vec<_> = services
        .iter()
        .filter(|(_, one)| one["image"] == "whatsapp-worker")
        .collect();
    assert_eq!(workers.len(), 2);
    let secrets = compose["secrets"].as_object().expect("secrets");
    let mut names = BTreeSet::new();
    for (_, worker) in workers {
        assert!(worker["read_only"] == true && worker["cap_drop"] == json!(["ALL"]));
        assert_eq!(worker["stop_grace_period"], "30s");
        let environment = worker["environment"].as_object().expect("names");
        names.insert(environment["WORKER_ID"].as_str().expect("text"));
        for (name, value) in environment {
            assert!(is_a_setting(name), "{name}");
            if let Some(secret) = value
                .as_str()
                .and_then(|value| value.strip_prefix("/run/secrets/"))
            {
                assert!(secrets.contains_key(secret), "{secret}");
                assert!(
                    worker["secrets"]
                        .as_array()
                        .expect("a list")
                        .contains(&json!(secret))
                );
            }
        }
    }
    assert_eq!(names.len(), 2);
    for (name, service) in services {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("text");
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    let made = read("deploy/compose/make-secrets");
    for secret in secrets.keys() {
        assert!(made.contains(secret.as_str()), "{secret} is not made");
    }
}

#[test]
fn the_systemd_unit_is_right_by_systemds_own_word() {
    let unit = read("deploy/systemd/whatsapp-worker.service");
    let exec = "ExecStart=/usr/local/bin/whatsapp-worker";
    assert!(unit.contains(exec));
    let unit = unit.replace(exec, &format!("ExecStart={}", binary().display()));
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("whatsapp-worker.service");
    let verify = |unit: &str| {
        std::fs::write(&path, unit).expect("written");
        tool(
            Command::new("systemd-analyze")
                .args(["verify", "--man=no", "--recursive-errors=no"])
                .arg(&path),
        )
    };
    let Some(output) = verify(&unit) else { return };
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    // The same look must find mistakes, or it would find nothing anywhere.
    let wrong = unit.replace("WatchdogSec=60", "WatchdogSec=often");
    let output = verify(&wrong).expect("it ran before");
    assert!(text(&output.stderr).contains("often"));
    std::fs::write(&path, &unit).expect("written");
    let exposure = tool(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&path),
    );
    let exposure = exposure.expect("it ran before");
    assert!(exposure.status.success(), "{}", text(&exposure.stdout));
}

#[test]
fn the_image_is_started_by_nobody_and_asks_its_own_binary() {
    let dockerfile = read("Dockerfile");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").expect("stages");
    assert!(last.contains("\nUSER 65532:65532\n"));
    assert!(last.contains(r#"CMD ["/usr/local/bin/whatsapp-worker", "healthcheck"]"#));
    // A distroless image has no shell.
    assert!(!last.contains("\nRUN "));
    // The environment would win over STORE_URL_FILE.
    assert!(!last.contains("STORE_URL="));
    let version = dockerfile.split_once("ARG RUST_VERSION=").expect("set").1;
    let version = version.lines().next().expect("a line");
    assert!(read("Cargo.toml").contains(&format!("rust-version = \"{version}\"")));
}
