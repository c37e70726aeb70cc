//! `auth export`, `auth import`: credentials leave and enter, without a new link.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use auth_store::{RecordStore, Snapshot};
use clap::{ArgGroup, Args};

use super::Desk;
use super::custody::Custody;
use super::passphrase::PassphraseSource;
use crate::app::{auth_home, open_store};
use crate::cli::confirm::confirm;
use crate::cli::{CliError, chain, load_config};
use crate::ids::{AccountId, Jid, mask};
use crate::session::adoption::{AdoptError, Adoption};
use crate::store::AuthMedium;

/// A bundle of an account with 50,000 Signal sessions has less than half of it.
const MAX_BUNDLE: u64 = 1 << 30;

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The account.
    #[arg(default_value = "default")]
    account: AccountId,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let desk = Desk::open(&self.account).await?;
        if self.out.exists() {
            return Err(CliError::Failed(format!(
                "--out {}: it exists already, and is not overwritten",
                self.out.display()
            )));
        }
        desk.must_be_here()?;
        let sealer = desk.sealer(desk.kind())?;
        let passphrase = self.passphrase.read(true)?;
        let custody = Custody::take(&desk).await?;
        let taken = async {
            let medium = custody.open(&desk, desk.kind(), false).await?;
            let taken = Snapshot::take(&*medium.records(), &sealer).await;
            medium.close().await;
            taken.map_err(|error| CliError::Auth(chain(&error)))
        };
        let taken = taken.await;
        custody.give_back().await;
        let Some(snapshot) = taken? else {
            return Err(desk.nothing_here());
        };
        let bundle = snapshot
            .seal(&passphrase)
            .map_err(|error| CliError::Failed(chain(&error)))?;
        write_new(&self.out, &bundle)?;
        put!(
            "The credentials of account '{}' are in {}: {} records.",
            desk.account,
            self.out.display(),
            snapshot.records()
        );
        if desk.known.enabled {
            eprintln!(
                "The account goes on here, and the copy ages with every message. To move the account, disable it first: `whatsapp-worker accounts disable {}`.",
                desk.account
            );
        }
        Ok(())
    }
}

/// Readable by its owner alone, durable, and never in the place of something else.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed =
        |error: std::io::Error| CliError::Failed(format!("--out {}: {error}", path.display()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a bundle helps nobody; the first error is the one to tell.
        let _ = std::fs::remove_file(path);
    }
    written.map_err(failed)
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub(in crate::cli) struct Import {
    /// The file that `auth export` wrote.
    #[arg(group = "source")]
    file: Option<PathBuf>,
    /// A Baileys auth folder instead (creds.json and its neighbours). Stop its own client for good.
    #[arg(long, value_name = "DIR", group = "source")]
    baileys: Option<PathBuf>,
    /// The account that goes on with these credentials; made when there is none of this name.
    #[arg(long, default_value = "default")]
    account: AccountId,
    /// Take another number than the account's last one.
    #[arg(long)]
    replace_number: bool,
    /// Take an older copy of what is here; its Signal sessions begin anew.
    #[arg(long)]
    accept_rollback: bool,
    /// Do not ask before credentials in use are replaced.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Import {
    pub(super) async fn run(self) -> Result<(), CliError> {
        // What can be wrong with what is to come is found before anything is touched.
        let mut snapshot = self.read()?;
        let Some(jid) = snapshot.linked_jid().map(Jid::new) else {
            return Err(CliError::Failed(
                "these credentials were never linked to a number".to_owned(),
            ));
        };
        let desk = self.desk().await?;
        desk.must_be_here()?;
        let kind = desk.kind();
        let sealer = desk.sealer(kind)?;
        if desk.known.linked_at.is_some() {
            confirm(
                self.yes,
                &format!(
                    "Account '{}' is linked. Put its credentials into quarantine and go on with these?",
                    desk.account
                ),
            )?;
        }
        let custody = Custody::take(&desk).await?;
        let imported = async {
            let medium = custody.open(&desk, kind, true).await?;
            let installed = async {
                self.check_age(&desk, &custody, &*medium.records(), &mut snapshot)
                    .await?;
                let adoption = Adoption {
                    store: &desk.store,
                    fence: custody.fence(),
                    medium: medium.records(),
                    sealer: &sealer,
                    auth_home: match kind {
                        AuthMedium::Local => Some(&desk.home.installation),
                        AuthMedium::Remote => None,
                    },
                    replace_number: self.replace_number,
                };
                adoption
                    .adopt(&snapshot, "replaced by an import")
                    .await
                    .map_err(|error| match error {
                        AdoptError::OtherNumber { .. } => CliError::Failed(format!(
                            "{error}: --replace-number takes the other number"
                        )),
                        AdoptError::NotLinked | AdoptError::OtherAccount { .. } => {
                            CliError::Failed(error.to_string())
                        }
                        AdoptError::Auth(error) => CliError::Auth(chain(&error)),
                        AdoptError::Store(error) => error.into(),
                    })
            };
            let installed = installed.await;
            medium.close().await;
            installed.map(drop)
        };
        let imported = imported.await;
        custody.give_back().await;
        imported?;
        put!(
            "Account '{}' goes on as {}: {} records, no new link.",
            desk.account,
            mask(jid.user()),
            snapshot.records()
        );
        Ok(())
    }

    fn read(&self) -> Result<Snapshot, CliError> {
        if let Some(folder) = &self.baileys {
            let read = Snapshot::from_baileys(folder);
            let (snapshot, report) = read.map_err(|error| {
                CliError::Failed(format!("--baileys {}: {error}", folder.display()))
            })?;
            for skipped in &report.skipped {
                eprintln!("Not taken: {skipped}");
            }
            eprintln!(
                "Taken: {} Signal sessions, {} sender keys, {} pre-keys, {} pairs of number and LID.",
                report.sessions,
                report.sender_keys + report.own_sender_keys,
                report.pre_keys,
                report.lid_mappings
            );
            return Ok(snapshot);
        }
        let path = self.file.as_deref().expect("one of the two is required");
        let failed = |error: &dyn std::error::Error| {
            CliError::Failed(format!("{}: {}", path.display(), chain(error)))
        };
        let length = std::fs::metadata(path)
            .map_err(|error| failed(&error))?
            .len();
        if length > MAX_BUNDLE {
            return Err(CliError::Failed(format!(
                "{}: {length} bytes are more than any exported file has",
                path.display()
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        let passphrase = self.passphrase.read(false)?;
        Snapshot::open(&bytes, &passphrase).map_err(|error| failed(&error))
    }

    async fn desk(&self) -> Result<Desk, CliError> {
        let config = load_config()?;
        let home = auth_home(&config.auth)?;
        let store = open_store(&config).await?;
        store.add_account(&self.account, "operator").await?;
        let known = store.account(&self.account).await?;
        Desk::of(config, store, home, known.expect("it was added"))
    }

    /// An older copy of what was in use here would use ratchet keys twice. Credentials of the device that
    /// this account had are taken for one unless they are known to be the newest.
    async fn check_age(
        &self,
        desk: &Desk,
        custody: &Custody,
        here: &dyn RecordStore,
        snapshot: &mut Snapshot,
    ) -> Result<(), CliError> {
        let head = here.head().await;
        let head = head.map_err(|error| CliError::Auth(chain(&error)))?;
        let mark = desk.shelf(desk.kind(), custody).read().await;
        let mark = mark.map_err(|error| CliError::Auth(chain(&error)))?;
        let known = head.map(|head| (head.lineage, head.writes));
        let marked = mark.map(|mark| (mark.lineage, mark.writes));
        let newest = [known, marked]
            .into_iter()
            .flatten()
            .filter(|(lineage, _)| lineage == snapshot.lineage())
            .map(|(_, writes)| writes)
            .max();
        let account = desk.store.account(&desk.account).await?;
        let ours = account.and_then(|account| account.linked);
        let ours = ours.as_ref().map(Jid::as_str);
        let doubt = match newest {
            Some(newest) if newest > snapshot.writes() => format!(
                "account '{}' has been used since this was exported ({} writes then, {newest} now)",
                desk.account,
                snapshot.writes(),
            ),
            None if ours.is_some() && ours == snapshot.linked_jid() => format!(
                "account '{}' has used this very device already, and nothing tells that these credentials are its newest",
                desk.account
            ),
            _ => return Ok(()),
        };
        if !self.accept_rollback {
            return Err(CliError::Auth(format!(
                "{doubt}: going back would break its Signal sessions. --accept-rollback takes them nevertheless, and begins the sessions anew"
            )));
        }
        snapshot.forget_ratchets();
        Ok(())
    }
}
