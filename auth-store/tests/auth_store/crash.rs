//! kill -9 at any moment: what was acknowledged is there, and no Signal state
//! is ahead of its messages.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use wacore::store::traits::{ProtocolStore, SignalStore};

use crate::fixture::Account;

const ROOT: &str = "AUTH_STORE_CRASH_ROOT";
const EPOCH: &str = "AUTH_STORE_CRASH_EPOCH";
const KILLS: i64 = 10;

#[tokio::test]
#[ignore = "runs in a process of its own, to be killed by the test below"]
async fn child_writes_until_it_is_killed() {
    let root = std::env::var(ROOT).unwrap();
    let epoch = std::env::var(EPOCH).unwrap().parse().unwrap();
    let opened = Account::at(Path::new(&root)).open(epoch).await;
    for n in last_written(&opened.auth).await + 1.. {
        opened
            .auth
            .store_pending_inbound("c@g.us", "s@lid", &n.to_string(), b"hello")
            .await
            .unwrap();
        opened
            .auth
            .put_session("address", n.to_string().as_bytes())
            .await
            .unwrap();
        println!("\nacknowledged {n}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_every_row_that_its_session_needs() {
    let account = Account::new();
    let mut written = 0;
    for kill in 1..=KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_writes_until_it_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env(ROOT, account.root())
            .env(EPOCH, kill.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged: u64 = lines
            .filter_map(|line| line.unwrap().strip_prefix("acknowledged ")?.parse().ok())
            .nth(usize::try_from(kill * 7 % 23).unwrap())
            .expect("the child writes until it is killed");
        child.kill().unwrap();
        child.wait().unwrap();

        let opened = account.open(kill).await;
        let last = last_written(&opened.auth).await;
        assert!(last >= acknowledged, "{last} is older than {acknowledged}");
        for n in written + 1..=last {
            let id = n.to_string();
            let row = opened
                .auth
                .get_pending_inbound("c@g.us", "s@lid", &id)
                .await;
            assert_eq!(
                row.unwrap().as_deref(),
                Some(b"hello".as_slice()),
                "row {n}"
            );
        }
        written = last;
        opened.close().await;
    }
}

async fn last_written(auth: &auth_store::AuthStore) -> u64 {
    match auth.get_session("address").await.unwrap() {
        Some(session) => std::str::from_utf8(&session).unwrap().parse().unwrap(),
        None => 0,
    }
}
