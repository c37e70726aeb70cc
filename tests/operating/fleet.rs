//! A store with workers that are only registered.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use whatsapp_worker::ids::{AccountId, OwnerId};
use whatsapp_worker::store::{AcquireLease, Fence, Registration, Store, StoreOptions, Topic};

use super::error;
use crate::theatre::{PATIENCE, binary};

const TTL: Duration = Duration::from_secs(60);

pub struct Fleet {
    dir: tempfile::TempDir,
    pub store: Store,
    pub account: AccountId,
}

impl Fleet {
    pub async fn open() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let url = url(&dir);
        Self::of(&url, dir).await
    }

    /// Of a store elsewhere, for what is done without commands.
    pub async fn at(url: &str) -> Self {
        Self::of(url, tempfile::tempdir().expect("temporary directory")).await
    }

    async fn of(url: &str, dir: tempfile::TempDir) -> Self {
        let store = Store::open(url, StoreOptions::default())
            .await
            .expect("opens");
        let account: AccountId = "shop".parse().expect("valid");
        store.add_account(&account, "test").await.expect("answers");
        Self {
            dir,
            store,
            account,
        }
    }

    pub async fn worker(&self, name: &str, change: impl FnOnce(&mut Registration)) -> OwnerId {
        let owner = OwnerId::incarnate(name).expect("valid");
        let mut worker = Registration {
            owner: owner.clone(),
            capacity: 1000,
            accounts: "*".to_owned(),
            installation: "here".to_owned(),
            draining: false,
            version: "1.2.3".to_owned(),
        };
        change(&mut worker);
        self.store
            .register_worker(&worker, TTL)
            .await
            .expect("answers");
        owner
    }

    pub async fn acquire(&self, owner: &OwnerId) -> Fence {
        let bid = AcquireLease {
            account: &self.account,
            owner,
            ttl: TTL,
            unchanged: None,
            dead: None,
        };
        self.store
            .acquire_lease(bid)
            .await
            .expect("answers")
            .expect("free")
    }

    pub fn command(&self, line: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(binary());
        command
            .args(line.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .env("STORE_URL", url(&self.dir))
            .env("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws")
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, line: &str) -> Output {
        self.command(line).output().await.expect("runs")
    }

    /// Runs it to a good end.
    pub async fn say(&self, line: &str) -> String {
        let output = self.run(line).await;
        assert_eq!(output.status.code(), Some(0), "{line}: {}", error(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    pub async fn json(&self, line: &str) -> Value {
        let text = self.say(&format!("{line} --output json")).await;
        serde_json::from_str(&text).expect("JSON")
    }

    /// Runs it to the exit code `code`, with `parts` in its error.
    pub async fn refuse(&self, line: &str, code: i32, parts: &[&str]) {
        let output = self.run(line).await;
        let text = error(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        for part in parts {
            assert!(text.contains(part), "{line}: no {part:?} in: {text}");
        }
    }

    /// Waits until somebody is to have the account next, and tells who.
    pub async fn successor(&self) -> String {
        let mut changes = self.store.watch(Topic::Fleet);
        let look = async {
            loop {
                let row = self.store.lease(&self.account).await.expect("answers");
                if let Some(successor) = row.and_then(|row| row.successor) {
                    return successor;
                }
                changes.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .expect("somebody is named")
    }
}

pub fn url(dir: &tempfile::TempDir) -> String {
    format!("sqlite:{}", dir.path().join("store.db").display())
}
