//! Two Baileys clients, which nobody here wrote, and simulated people talk to each other.
//!
//! Needs Node and `npm ci --ignore-scripts` in `tests/interop`.

mod coming_back;
#[path = "../../../tests/interop/driver.rs"]
mod driver;
mod kinds;
mod talking;

use std::path::{Path, PathBuf};
use std::time::Duration;

use driver::Script;
use serde_json::json;
use simulator::people::{Attachment, Content, MediaKind};
use simulator::{Delivery, Options, Person, Simulator};

const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    sim: Simulator,
    interop: PathBuf,
    ca_file: PathBuf,
}

impl Stage {
    async fn set(name: &str) -> Self {
        let sim = Simulator::start(Options::default()).await.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let ca_file = folder.join(format!("{name}-{}.pem", std::process::id()));
        std::fs::write(&ca_file, sim.ca_pem()).unwrap();
        let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop");
        Self {
            sim,
            interop,
            ca_file,
        }
    }

    fn client(&self) -> Script {
        Script::baileys(&self.interop, &self.sim.url(), &self.ca_file, None)
    }

    async fn linked_by_qr(&self, person: &Person) -> Script {
        let (client, _) = self.linked_device(person).await;
        client
    }

    async fn linked_device(&self, person: &Person) -> (Script, u16) {
        let mut client = self.client();
        client.call("connect", json!({})).await;
        let qr = client.event("qr", |_| true).await;
        let device = person.scan_qr(qr["qr"].as_str().unwrap()).await.unwrap();
        client.event("open", |_| true).await;
        (client, device)
    }

    async fn close(self, clients: Vec<Script>) {
        for client in clients {
            client.stop().await;
        }
        assert_eq!(self.sim.lint(), []);
        assert!(
            self.sim.unknown_iqs().is_empty(),
            "{:?}",
            self.sim.unknown_iqs()
        );
        self.sim.stop().await;
        std::fs::remove_file(self.ca_file).unwrap();
    }
}

async fn reaches(person: &Person, id: &str) -> Delivery {
    person
        .wait_for(PATIENCE, |delivery| delivery.id == id)
        .await
        .unwrap()
}

fn id_of(answer: &serde_json::Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn image(bytes: &[u8], caption: &str) -> Content {
    Content::Media(Attachment {
        kind: MediaKind::Image,
        bytes: bytes.to_vec(),
        mime_type: "image/png".to_owned(),
        caption: Some(caption.to_owned()),
        file_name: None,
    })
}
