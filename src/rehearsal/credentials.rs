//! Credentials of a device that was never paired: a worker that finds them logs in at once.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use auth_store::{
    AccountName, AuthStore, Credentials, InboundId, InboundLedger, KeyRing, LedgerError,
    LocalMedium, Missing, Options, RecordStore, Sealer,
};
use bytes::Bytes;
use simulator::{Person, Simulator};
use wacore::store::traits::{DeviceStore, SignalStore};

use crate::ids::AccountId;

/// Links a device of `person` and puts its credentials, the server's certificate included, where the
/// worker of `account` will look for them: under `dir`, bound to the store `store_id`.
///
/// # Errors
/// The phone does not vouch, or `dir` holds something else already.
pub async fn give_credentials(
    sim: &Simulator,
    person: &Person,
    account: &AccountId,
    dir: &Path,
    store_id: &str,
) -> anyhow::Result<()> {
    let device = sim.seed_linked_device(person)?;
    let name = AccountName::new(account.as_str())?;
    let medium = Arc::new(LocalMedium::open(dir, &name, store_id, 0).await?);
    let auth = AuthStore::open(medium.clone(), &Sealer::new(key(), name), options()).await?;
    auth.save(&device).await?;
    auth.promote().await?;
    auth.close().await?;
    medium.close().await;
    Ok(())
}

/// Signal sessions given to an auth state at once.
const TOGETHER: usize = 500;
/// About the size of a real one.
const SESSION: usize = 1500;

/// Puts `count` sessions with people who never write into the auth state of `account`, so that it is
/// as large as that of a busy number. They hold no keys.
///
/// # Errors
/// The auth state does not take them.
pub async fn give_sessions(
    medium: Arc<dyn RecordStore>,
    account: &AccountId,
    count: usize,
) -> anyhow::Result<()> {
    let name = AccountName::new(account.as_str())?;
    let auth = AuthStore::open(medium, &Sealer::new(key(), name), options()).await?;
    let person = |n: usize| Arc::from(format!("{}@c.us.0", 999_000_000_000 + n));
    for first in (0..count).step_by(TOGETHER) {
        let sessions: Vec<_> = (first..count.min(first + TOGETHER))
            .map(|n| (person(n), Bytes::from(vec![0x5a; SESSION])))
            .collect();
        auth.put_sessions_batch(&sessions).await?;
    }
    auth.close().await?;
    Ok(())
}

fn key() -> KeyRing {
    KeyRing::parse(super::AUTH_KEY).expect("a key")
}

fn options() -> Options {
    Options {
        credentials: Credentials::Current,
        ledger: Arc::new(NothingReceived),
        may_write: Box::new(|| true),
        on_repair: Box::new(|_| {}),
    }
}

struct NothingReceived;

#[async_trait]
impl InboundLedger for NothingReceived {
    async fn committed(&self, _: InboundId<'_>) -> Result<bool, LedgerError> {
        Ok(false)
    }

    async fn missing(&self, _: InboundId<'_>) -> Result<Missing, LedgerError> {
        Ok(Missing::Requested)
    }
}
