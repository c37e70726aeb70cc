//! The agents of `examples/`, as anybody would run them: a message comes in by WhatsApp, they answer,
//! and the answer is seen at the other end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use simulator::Delivery;
use simulator::people::{Attachment, Content, MediaKind};
use tokio::process::{Child, Command};
use whatsapp_worker::rehearsal::Worker;

use super::{Answer, SECRET, SERVING, listening};
use crate::theatre::{PATIENCE, Theatre};

struct Scene {
    theatre: Theatre,
    _worker: Worker,
    base: String,
}

impl Scene {
    async fn open() -> Self {
        let theatre = Theatre::with_settings(&SERVING).await;
        let worker = theatre.linked_worker("one").await;
        let base = listening(&worker).await;
        Self {
            theatre,
            _worker: worker,
            base,
        }
    }

    /// Alice writes, and sees exactly one answer to each text.
    async fn is_answered(&self) {
        for said in ["hello", "are you there?"] {
            self.theatre.text(said);
            let expected = format!("You said: {said}");
            let answers = |delivery: &Delivery| text_of(delivery) == Some(&expected);
            let alice = &self.theatre.alice;
            alice.wait_for(PATIENCE, answers).await.expect("an answer");
            let seen = alice.received();
            assert_eq!(
                seen.iter().filter(|one| answers(one)).count(),
                1,
                "{seen:?}"
            );
        }
        assert_eq!(self.theatre.sim.lint(), []);
    }

    /// An example, with what it is told by its environment.
    fn run(&self, program: &str, arguments: &[&Path], secret: &str, port: Option<u16>) -> Child {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("WORKER_URL", &self.base)
            .env("AGENT_SECRET", secret)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(port) = port {
            command.env("WEBHOOK_PORT", port.to_string());
        }
        command.spawn().expect("it is installed")
    }

    /// Makes a webhook at a free port; returns the port and the secret.
    async fn webhook(&self) -> (u16, String) {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let port = free.local_addr().expect("bound").port();
        let url = format!("http://127.0.0.1:{port}/");
        let body = json!({"name": "example", "url": url}).to_string();
        let request = reqwest::Client::new()
            .post(format!("{}/v1/webhooks", self.base))
            .bearer_auth(SECRET);
        let made = Answer::of(request.body(body).send().await.expect("an answer")).await;
        let secret = made.body["secret"].as_str().expect("a secret").to_owned();
        (port, secret)
    }
}

fn text_of(delivery: &Delivery) -> Option<&str> {
    delivery.message.text.as_deref()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

/// The TypeScript example, checked and compiled.
async fn compiled(dir: &Path) -> PathBuf {
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    std::fs::write(dir.join("package.json"), r#"{"type": "module"}"#).expect("written");
    let types = interop.join("node_modules/@types");
    let output = Command::new("node")
        .arg(interop.join("node_modules/typescript/bin/tsc"))
        .args(["--strict", "--target", "es2022", "--module", "es2022"])
        .args([
            "--moduleResolution",
            "bundler",
            "--moduleDetection",
            "force",
        ])
        .args(["--types", "node", "--typeRoots"])
        .arg(types)
        .arg("--outDir")
        .args([dir, &example("agent.ts")])
        .output()
        .await
        .expect("node is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    dir.join("agent.js")
}

#[tokio::test]
async fn the_python_agent_fetches_work_and_answers() {
    let scene = Scene::open().await;
    let _agent = scene.run("python3", &[&example("agent.py")], SECRET, None);
    scene.is_answered().await;
}

#[tokio::test]
async fn the_python_agent_gets_work_pushed_and_answers() {
    let scene = Scene::open().await;
    let (port, secret) = scene.webhook().await;
    let _agent = scene.run("python3", &[&example("agent.py")], &secret, Some(port));
    scene.is_answered().await;
    let forged = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/"))
        .header("webhook-id", "job_x")
        .header(
            "webhook-timestamp",
            whatsapp_worker::clock::wall_ms() / 1000,
        )
        .header("webhook-signature", "v1,AAAA")
        .body(r#"{"data": {"job": {"content": null}}}"#);
    assert_eq!(forged.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn the_typescript_agent_fetches_work_and_answers() {
    let scene = Scene::open().await;
    let dir = tempfile::tempdir().expect("temporary directory");
    let _agent = scene.run("node", &[&compiled(dir.path()).await], SECRET, None);
    scene.is_answered().await;
}

#[tokio::test]
async fn the_typescript_agent_gets_work_pushed_and_answers() {
    let scene = Scene::open().await;
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = compiled(dir.path()).await;
    let (port, secret) = scene.webhook().await;
    let _agent = scene.run("node", &[&program], &secret, Some(port));
    scene.is_answered().await;
    let forged = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/"))
        .body("{}");
    assert_eq!(forged.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn a_file_that_somebody_sent_is_got_by_its_link_and_its_key_is_not_shown() {
    let scene = Scene::open().await;
    let bytes = vec![7; 300_000];
    let document = Content::Media(Attachment {
        kind: MediaKind::Document,
        bytes: bytes.clone(),
        mime_type: "application/pdf".to_owned(),
        caption: None,
        file_name: Some("Preisliste ä.pdf".to_owned()),
    });
    let (alice, shop) = (&scene.theatre.alice, &scene.theatre.shop);
    alice.send(&shop.jid(), &document).expect("accepted");
    let client = reqwest::Client::new();
    let claim = client
        .post(format!("{}/v1/jobs/claim", scene.base))
        .bearer_auth(SECRET)
        .body(json!({"waitMs": 50_000}).to_string());
    let claimed = Answer::of(claim.send().await.expect("an answer")).await;
    let media = &claimed.body["jobs"][0]["job"]["content"]["media"];
    assert_eq!(media["size"], 300_000, "{}", claimed.body);
    assert!(
        media["mediaKey"].is_null() && media["directPath"].is_null(),
        "{media}"
    );
    let link = media["download"].as_str().expect("a link");
    let got = client
        .get(format!("{}{link}", scene.base))
        .bearer_auth(SECRET);
    let got = got.send().await.expect("an answer");
    assert_eq!(got.status(), 200);
    let header = |name: &str| got.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-length"), "300000");
    assert_eq!(header("content-type"), "application/pdf");
    assert_eq!(
        header("content-disposition"),
        "attachment; filename*=UTF-8''Preisliste%20%C3%A4%2Epdf"
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(got.bytes().await.expect("whole"), bytes);
    let unknown = client.get(format!("{}{link}", scene.base));
    assert_eq!(unknown.send().await.expect("an answer").status(), 401);
}
