use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use whatsapp_worker::rehearsal::{Stage, Worker};

use super::bare;
use crate::theatre::PATIENCE;

/// How long a manager waits for a sign of life in these tests.
const WATCHDOG: Duration = Duration::from_secs(3);

/// A service manager that listens.
struct Manager(UnixDatagram);

impl Manager {
    fn at(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(false).expect("ours");
        Self(socket)
    }

    /// The next message, unless none comes in `patience`.
    async fn hears(&self, patience: Duration) -> Option<String> {
        let socket = self.0.try_clone().expect("ours");
        tokio::task::spawn_blocking(move || {
            socket.set_read_timeout(Some(patience)).expect("ours");
            let mut message = [0; 256];
            let length = socket.recv(&mut message).ok()?;
            Some(String::from_utf8_lossy(&message[..length]).into_owned())
        })
        .await
        .expect("no panic")
    }

    /// What comes until `last` does.
    async fn hears_until(&self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|message| message != last) {
            heard.push(self.hears(PATIENCE).await.expect(last));
        }
        heard
    }
}

fn start(dir: &Path, socket: &str) -> Worker {
    let mut stage: Stage = bare(dir);
    let usec = WATCHDOG.as_micros().to_string();
    for (name, value) in [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", &usec)] {
        stage.settings.insert(name.to_owned(), value.to_owned());
    }
    stage.start("one").expect("starts")
}

#[tokio::test]
async fn a_service_manager_hears_that_it_serves_turns_and_stops() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("notify");
    let manager = Manager::at(UnixDatagram::bind(&path).expect("binds"));
    let mut worker = start(dir.path(), path.to_str().expect("text"));
    assert_eq!(manager.hears(PATIENCE).await.as_deref(), Some("READY=1"));
    for _ in 0..3 {
        let heard = manager.hears(WATCHDOG).await;
        assert_eq!(heard.as_deref(), Some("WATCHDOG=1"));
    }
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let heard = manager.hears_until("STOPPING=1").await;
    let mut others = heard.iter().rev().skip(1);
    assert!(others.all(|m| m == "WATCHDOG=1"), "{heard:?}");
}

#[tokio::test]
async fn a_worker_that_does_not_turn_gives_no_sign_of_life() {
    let name = format!("whatsapp-worker-{}", rand::random::<u64>());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = Manager::at(UnixDatagram::bind_addr(&address).expect("binds"));
    let dir = tempfile::tempdir().expect("temporary directory");
    let worker = start(dir.path(), &format!("@{name}"));
    manager.hears_until("WATCHDOG=1").await;
    worker.freeze().await.expect("ours");
    // What was under way when it froze.
    while manager.hears(Duration::from_millis(10)).await.is_some() {}
    assert_eq!(manager.hears(WATCHDOG).await, None);
    worker.thaw().expect("ours");
    let heard = manager.hears(PATIENCE).await;
    assert_eq!(heard.as_deref(), Some("WATCHDOG=1"));
}
