//! Auth state in either medium, through real worker processes.

mod clearing;
mod commands;
mod moving;
mod numbers;
pub mod older_copies;
mod opening;

use std::time::Duration;

use serde_json::Value;
use simulator::Person;
use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::store::{AuthMedium, AuthOrder, LeaseRow, SessionStatus};

use crate::theatre::{Engine, PATIENCE, Theatre};

pub use self::older_copies::sql;

pub const REMOTE: (&str, &str) = ("WHATSAPP_AUTH_MODE", "remote");
const LOCAL: (&str, &str) = ("WHATSAPP_AUTH_MODE", "local");

fn mode(medium: AuthMedium) -> (&'static str, &'static str) {
    match medium {
        AuthMedium::Local => LOCAL,
        AuthMedium::Remote => REMOTE,
    }
}

/// Waits until `look` finds something in the store, which another process writes.
pub async fn seen<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            // justified: another process writes the store, and SQLite does not notify.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("not seen in time: {what}"))
}

/// Scans codes as they come, until `person` has linked with one: the one that is shown may be of a
/// connection that has just ended.
pub async fn scan(theatre: &Theatre, person: &Person) {
    let store = theatre.store().await;
    seen("a code that links", async || {
        let code = store.link_code(&theatre.account).await.expect("answers")?;
        person.scan_qr(&code.code).await.ok()
    })
    .await;
    store.close().await;
}

async fn lease(theatre: &Theatre) -> LeaseRow {
    let store = theatre.store().await;
    let lease = store.lease(&theatre.account).await.expect("answers");
    store.close().await;
    lease.expect("it was leased")
}

async fn order(theatre: &Theatre, order: AuthOrder) {
    let store = theatre.store().await;
    let asked = store.order_auth(&theatre.account, order, "olga").await;
    assert!(asked.expect("answers"), "the account is known");
    store.close().await;
}

pub async fn status(theatre: &Theatre, fits: impl Fn(&SessionStatus) -> bool) -> SessionStatus {
    let store = theatre.store().await;
    let status = seen("a session state", async || {
        let status = store.session_status(&theatre.account).await;
        status.expect("answers").filter(|status| fits(status))
    });
    let status = status.await;
    store.close().await;
    status
}

async fn event(worker: &Worker, event: &str) -> Value {
    let seen = worker.wait_for(event, PATIENCE, |_| true).await;
    seen.expect("it says so")
}

/// It refuses to go on, says why, and makes no new credentials.
pub async fn refused(worker: &Worker) -> String {
    let told = event(worker, "whatsapp.session.error").await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    assert_eq!(worker.count("whatsapp.connection.established"), 0);
    told["message"].as_str().expect("text").to_owned()
}

pub async fn stop(mut worker: Worker) {
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}

/// A restart under `name`, on a machine of its own if the name is new.
pub fn elsewhere(theatre: &Theatre, name: &str) -> whatsapp_worker::rehearsal::Stage {
    let mut stage = theatre.stage.clone();
    let dir = theatre.stage.dir.join(format!("disk of {name}"));
    let dir = dir.display().to_string();
    stage.settings.insert("WHATSAPP_AUTH_DIR".to_owned(), dir);
    stage
}

/// The media that each engine is used with.
const MEDIA: [(Engine, AuthMedium); 3] = [
    (Engine::Sqlite, AuthMedium::Local),
    (Engine::Sqlite, AuthMedium::Remote),
    (Engine::Postgres, AuthMedium::Remote),
];

/// Makes a test on each medium out of `async fn name(theatre)`, which gets one without a worker.
macro_rules! on_each_medium {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn local() {
                super::$name(crate::auth::theatre(crate::auth::MEDIA[0]).await).await;
            }
            #[tokio::test]
            async fn remote_on_sqlite() {
                super::$name(crate::auth::theatre(crate::auth::MEDIA[1]).await).await;
            }
            #[tokio::test]
            async fn remote_on_postgres() {
                super::$name(crate::auth::theatre(crate::auth::MEDIA[2]).await).await;
            }
        })*
    };
}
use on_each_medium;

async fn theatre((engine, medium): (Engine, AuthMedium)) -> Theatre {
    Theatre::open_on(engine, &[mode(medium), ("SIMULATOR_REPLY", "text")]).await
}
