//! `auth migrate`: the auth state moves between a disk and the shared store, as it is sealed.

use auth_store::{Head, LocalMedium, RecordKey, RecordStore, Sealer, reseal};
use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::Desk;
use super::custody::{Custody, Medium};
use crate::cli::{CliError, chain};
use crate::ids::AccountId;
use crate::store::AuthMedium;

/// Records read at once.
const PAGE: usize = 2000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Migrate {
    /// The account.
    #[arg(default_value = "default")]
    account: AccountId,
    /// Where it goes: this machine's disk, or the shared store.
    #[arg(long, value_enum)]
    to: To,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    Local,
    Remote,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let desk = Desk::open(&self.account).await?;
        let to = match self.to {
            To::Local => AuthMedium::Local,
            To::Remote => AuthMedium::Remote,
        };
        let account = &desk.account;
        if desk.known.auth_medium == Some(to) {
            put!(
                "The auth state of account '{account}' is {} already.",
                to.as_str()
            );
            return Ok(());
        }
        if desk.known.auth_medium.is_none() {
            return Err(desk.nothing_here());
        }
        desk.must_be_here()?;
        // The other machines must be able to open it there.
        let sealer = desk.sealer(to)?;
        let custody = Custody::take(&desk).await?;
        let moved = move_to(&desk, &custody, &sealer, to).await;
        custody.give_back().await;
        let records = moved?;
        put!(
            "The auth state of account '{account}' is {} now: {records} records, no new link.",
            to.as_str()
        );
        Ok(())
    }
}

async fn move_to(
    desk: &Desk,
    custody: &Custody,
    sealer: &Sealer,
    to: AuthMedium,
) -> Result<usize, CliError> {
    let from = custody.open(desk, desk.kind(), false).await?;
    let read = async {
        // The key file of this disk seals nothing that other machines are to open.
        reseal(&*from.records(), sealer)
            .await
            .map_err(|error| CliError::Auth(chain(&error)))?;
        everything(&*from.records()).await
    };
    let read = read.await;
    from.close().await;
    let (head, records) = read?;
    match (from, to) {
        (Medium::Local(_), AuthMedium::Remote) => {
            desk.store
                .adopt_auth(custody.fence(), &head, &records)
                .await?;
            // From here on the store has it; the file is a copy that must not be used again.
            LocalMedium::set_aside(&desk.home.dir, &desk.name)
                .await
                .map_err(|error| CliError::Auth(chain(&error)))?;
        }
        _ => {
            let (dir, epoch) = (&desk.home.dir, custody.fence().epoch().0);
            let auth = |error: auth_store::OpenMediumError| CliError::Auth(chain(&error));
            // What an earlier move left behind is a copy, and an old one.
            LocalMedium::set_aside(dir, &desk.name)
                .await
                .map_err(auth)?;
            let store_id = desk.store.store_id();
            LocalMedium::create_from(dir, &desk.name, store_id, epoch, &head, &records)
                .await
                .map_err(auth)?;
            desk.store
                .leave_auth(custody.fence(), &desk.home.installation)
                .await?;
        }
    }
    Ok(records.len())
}

/// Sealed, and as it is: what a record is bound to does not name its medium.
async fn everything(medium: &dyn RecordStore) -> Result<(Head, Vec<(RecordKey, Bytes)>), CliError> {
    let auth = |error: auth_store::RecordError| CliError::Auth(chain(&error));
    let head = medium.head().await.map_err(auth)?;
    let head =
        head.ok_or_else(|| CliError::Auth(format!("there is nothing in {}", medium.place())))?;
    let mut records: Vec<(RecordKey, Bytes)> = Vec::new();
    loop {
        let after = records.last().map(|(key, _)| key.clone());
        let page = medium.page(after.as_ref(), PAGE).await.map_err(auth)?;
        if page.is_empty() {
            break;
        }
        records.extend(page);
    }
    let keys = records
        .iter()
        .map(|(key, _)| key.as_str())
        .collect::<auth_store::KeySet>();
    if keys != head.keys {
        return Err(CliError::Auth(format!(
            "{} is not whole: {} records are there and {} should be; nothing was moved",
            medium.place(),
            keys.count(),
            head.keys.count()
        )));
    }
    Ok((head, records))
}
