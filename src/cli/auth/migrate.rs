//! `auth migrate`: the auth state moves between a disk and the shared store, as it is sealed.

use auth_store::{Head, LocalMedium, RecordKey, RecordStore, Sealer, reseal};
use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::Desk;
use super::custody::{Custody, Medium};
use crate::cli::{CliError, chain};
use crate::ids::AccountId;
use crate::session::shelf::{is_older_copy, older_copy};
use crate::store::{AuthMark, AuthMedium};

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
            return desk.tidy_up(to).await;
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

impl Desk {
    /// A move to the shared store that was cut short has left its file.
    async fn tidy_up(&self, medium: AuthMedium) -> Result<(), CliError> {
        if medium == AuthMedium::Local || !self.has_left_file().await {
            return Ok(());
        }
        let custody = Custody::take(self).await?;
        let done = async {
            let now = self.store.account(&self.account).await?;
            // Or it went back meanwhile, and the file is in use.
            match now.and_then(|now| now.auth_medium) {
                Some(AuthMedium::Remote) => self.put_file_aside().await,
                _ => Ok(()),
            }
        };
        let done = done.await;
        custody.give_back().await;
        done
    }

    /// Whether the disk has a file of the state that is in the shared store. One of another state, that
    /// of another store for instance, stays where it is.
    async fn has_left_file(&self) -> bool {
        let moved = self.store.auth_view(&self.account).head().await;
        let Ok(Some(view)) = LocalMedium::view(&self.home.dir, &self.name).await else {
            return false;
        };
        let left = view.head().await;
        view.close().await;
        matches!((moved, left), (Ok(Some(moved)), Ok(Some(left))) if moved.lineage == left.lineage)
    }

    async fn put_file_aside(&self) -> Result<(), CliError> {
        let aside = LocalMedium::set_aside(&self.home.dir, &self.name).await;
        let aside = aside.map_err(|error| CliError::Auth(chain(&error)))?;
        if let Some(aside) = aside {
            put!("Its file is kept as {}.", aside.display());
        }
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
        refuse_older_copy(desk, custody, &*from.records()).await?;
        // The key file of this disk seals nothing that other machines are to open.
        reseal(&*from.records(), sealer)
            .await
            .map_err(|error| CliError::Auth(chain(&error)))?;
        everything(&*from.records()).await
    };
    let read = read.await;
    from.close().await;
    let (head, records) = read?;
    let mark = AuthMark {
        lineage: head.lineage.clone(),
        writes: head.writes,
    };
    let marked = desk.shelf(to, custody).set(&mark).await;
    marked.map_err(|error| CliError::Auth(chain(&error)))?;
    match (from, to) {
        (Medium::Local(_), AuthMedium::Remote) => {
            desk.store
                .adopt_auth(custody.fence(), &head, &records)
                .await?;
            // From here on the store has it; the file is a copy that must not be used again.
            desk.put_file_aside().await?;
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

/// On the other side nothing would tell that it is one.
async fn refuse_older_copy(
    desk: &Desk,
    custody: &Custody,
    medium: &dyn RecordStore,
) -> Result<(), CliError> {
    let head = medium.head().await;
    let head = head.map_err(|error| CliError::Auth(chain(&error)))?;
    let mark = desk.shelf(desk.kind(), custody).read().await;
    let mark = mark.map_err(|error| CliError::Auth(chain(&error)))?;
    match (head, mark) {
        (Some(head), Some(mark)) if is_older_copy(&head, &mark) => Err(CliError::Auth(older_copy(
            &desk.account,
            &medium.place(),
            &head,
            &mark,
        ))),
        _ => Ok(()),
    }
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
