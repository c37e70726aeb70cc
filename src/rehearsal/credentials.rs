//! Credentials of a device that was never paired: a worker that finds them logs in at once.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use auth_store::{
    AccountName, AuthStore, Credentials, InboundId, InboundLedger, KeyRing, LedgerError,
    LocalMedium, Missing, Options, Sealer,
};
use simulator::{Person, Simulator};
use wacore::store::traits::DeviceStore;

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
    let (key, _) = KeyRing::load_or_create(dir)?;
    let name = AccountName::new(account.as_str())?;
    let medium = Arc::new(LocalMedium::open(dir, &name, store_id, 0).await?);
    let options = Options {
        credentials: Credentials::Current,
        ledger: Arc::new(NothingReceived),
        may_write: Box::new(|| true),
        on_repair: Box::new(|_| {}),
    };
    let auth = AuthStore::open(medium.clone(), &Sealer::new(key, name), options).await?;
    auth.save(&device).await?;
    auth.promote().await?;
    auth.close().await?;
    medium.close().await;
    Ok(())
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
