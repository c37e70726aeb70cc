//! What Prometheus reads of a worker, and the rules and pictures made of it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::rehearsal::proxy::Weather;

use crate::theatre::{Engine, PATIENCE, Theatre, on_each_engine};

on_each_engine!(a_scrape_tells_what_the_worker_holds_does_and_has_counted);

const SERVING: (&str, &str) = ("METRICS_LISTEN", "127.0.0.1:0");

/// Where the worker is scraped.
pub async fn place(worker: &Worker) -> String {
    let mut lines = worker.lines();
    let listening = |line: &&serde_json::Value| line["setting"] == "METRICS_LISTEN";
    let said = lines.wait_for(|lines| lines.iter().any(|line| listening(&line)));
    let said = tokio::time::timeout(PATIENCE, said).await;
    let said = said.expect("in time").expect("it lives");
    let line = said.iter().find(listening).expect("waited for");
    format!(
        "http://{}/metrics",
        line["address"].as_str().expect("a text")
    )
}

/// Every sample, by its name and labels.
async fn scrape(place: &str) -> (HashMap<String, f64>, String) {
    let answer = reqwest::get(place).await.expect("it listens");
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.expect("a text");
    assert!(text.ends_with("# EOF\n"));
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        (name.to_owned(), value.parse().expect("a number"))
    });
    (samples.collect(), text)
}

/// Scrapes until `name` is `wanted`.
pub async fn until(place: &str, name: &str, wanted: f64) -> (HashMap<String, f64>, String) {
    let fits = |samples: &HashMap<String, f64>| samples.get(name) == Some(&wanted);
    looked(place, &format!("{name} is not {wanted}"), fits).await
}

/// Scrapes until a sample whose name and labels begin so `fits`.
pub async fn seen(place: &str, begins: &str, fits: impl Fn(f64) -> bool) {
    let any = |samples: &HashMap<String, f64>| {
        let mut named = samples.iter().filter(|(name, _)| name.starts_with(begins));
        named.any(|(_, value)| fits(*value))
    };
    looked(place, &format!("{begins} is not as it should be"), any).await;
}

async fn looked(
    place: &str,
    missing: &str,
    fits: impl Fn(&HashMap<String, f64>) -> bool,
) -> (HashMap<String, f64>, String) {
    let looking = async {
        loop {
            let (samples, text) = scrape(place).await;
            if fits(&samples) {
                return (samples, text);
            }
            // justified: it is another process's number, and a scrape is how it is told.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("{missing}: {}", scrape(place).await.1),
    }
}

async fn a_scrape_tells_what_the_worker_holds_does_and_has_counted(engine: Engine) {
    let theatre = Theatre::open_on(engine, &[SERVING]).await;
    let worker = theatre.linked_worker("one").await;
    let standby = theatre.stage.start("two").expect("starts");
    let (holds, waits) = (place(&worker).await, place(&standby).await);
    let asked = theatre.text("hello");
    theatre.jobs_of(std::slice::from_ref(&asked)).await;
    let jobs = r#"wa_jobs{account="default",status="pending"}"#;
    let (samples, text) = until(&holds, jobs, 1.0).await;
    let is = |name: &str, value: f64| assert_eq!(samples.get(name), Some(&value), "{name}");
    is("wa_store_up", 1.0);
    is(r#"wa_lease_held{account="default"}"#, 1.0);
    is(
        r#"wa_session_state{account="default",state="connected",reason=""}"#,
        1.0,
    );
    is(
        r#"wa_inbound_messages_total{account="default",result="queued"}"#,
        1.0,
    );
    is(
        r#"wa_lease_transitions_total{account="default",result="acquired"}"#,
        1.0,
    );
    assert!(samples["wa_inbound_commit_seconds_count"] >= 1.0);
    assert!(samples[r#"wa_job_oldest_seconds{account="default"}"#] >= 0.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6);
    assert!(samples["process_open_fds"] > 3.0);
    for person in [&theatre.shop, &theatre.alice] {
        let number = person.phone_number();
        assert!(!text.contains(number.trim_start_matches('+')), "a number");
        assert!(!text.contains(person.lid().user.as_str()), "an address");
    }
    let (samples, _) = until(&waits, jobs, 1.0).await;
    assert_eq!(
        samples[r#"wa_lease_held{account="default"}"#], 0.0,
        "its standby"
    );
    assert!(
        !samples
            .keys()
            .any(|name| name.starts_with("wa_session_state"))
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_and_hides_nothing_else() {
    let theatre = Theatre::open_on(Engine::Postgres, &[SERVING]).await;
    let worker = theatre.linked_worker("one").await;
    let place = place(&worker).await;
    until(&place, "wa_store_up", 1.0).await;
    theatre.road().set(Weather::Held);
    let (samples, _) = until(&place, "wa_store_up", 0.0).await;
    assert_eq!(
        samples[r#"wa_session_connections_total{account="default"}"#],
        1.0
    );
    assert!(samples["process_open_fds"] > 3.0);
    theatre.road().set(Weather::Fair);
    until(&place, "wa_store_up", 1.0).await;
}

/// Names of metrics in an expression or a rule, histograms' parts by the histogram's name.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("wa_") || word.starts_with("process_"));
    ours.map(|word| {
        let word = word.strip_suffix("_bucket").unwrap_or(word);
        word.strip_suffix("_total").unwrap_or(word).to_owned()
    })
    .collect()
}

#[tokio::test]
async fn rules_and_dashboard_name_metrics_that_a_worker_tells_and_sections_of_the_runbook() {
    let theatre = Theatre::with_settings(&[SERVING]).await;
    let worker = theatre.linked_worker("one").await;
    let (_, text) = scrape(&place(&worker).await).await;
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().expect("a name").to_owned())
        .collect();
    let rules = include_str!("../deploy/prometheus/whatsapp-worker.rules.yml");
    let expressions = rules.lines().filter(|line| line.contains("expr:"));
    let expressions: String = expressions.collect::<Vec<_>>().join("\n");
    let dashboard = include_str!("../deploy/grafana/whatsapp-worker.json");
    let used: BTreeSet<String> = names(&expressions)
        .union(&names(dashboard))
        .cloned()
        .collect();
    assert!(used.len() > 20, "{used:?}");
    assert_eq!(used.difference(&told).collect::<Vec<_>>(), [""; 0]);
    let runbook = include_str!("../runbook.md");
    let anchors: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let named: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: runbook.md#"))
        .collect();
    assert_eq!(named.len(), rules.matches("- alert:").count());
    for part in rules.split("- alert: ").skip(1) {
        let alert = part.lines().next().expect("a name");
        assert!(runbook.contains(&format!("`{alert}`")), "{alert}");
    }
    for anchor in named {
        assert!(anchors.contains(anchor), "{anchor}");
    }
}

#[tokio::test]
async fn prometheus_takes_the_rules_and_they_fire_when_they_should() {
    let rules = include_str!("../deploy/prometheus/whatsapp-worker.rules.yml");
    let tests = include_str!("../deploy/prometheus/whatsapp-worker.test.yml");
    for rule in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        // Quiet cases are on one line.
        let fires = format!("alertname: {rule}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "{rule} is not made to fire");
    }
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
    for arguments in [
        ["check", "rules", "whatsapp-worker.rules.yml"],
        ["test", "rules", "whatsapp-worker.test.yml"],
    ] {
        let promtool = tokio::process::Command::new("promtool")
            .args(arguments)
            .current_dir(dir)
            .output();
        match promtool.await {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout);
                let wrong = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{said}{wrong}");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("NOT RUN: promtool is not installed (Debian's package prometheus)");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
