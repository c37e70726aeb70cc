//! `auth keys`: what seals auth states.

use auth_store::{KeyFile, KeyFileError, KeyRing, Verification, inspect, reseal, verify};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Desk;
use super::custody::Custody;
use crate::app::{auth_home, existing_store};
use crate::cli::table::print;
use crate::cli::{CliError, Output, chain, load_config};
use crate::ids::AccountId;

/// Damaged records of one account that are named.
const NAMED: usize = 5;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// Which key seals each account's auth state, and which one would seal it now.
    List,
    /// Seal each auth state with the newest key. A key file beside local auth states gets a new key
    /// first; a configured key must have got a new one in front of the old one.
    Rotate {
        /// This account alone.
        account: Option<AccountId>,
        /// Then drop the keys from the key file that seal no account of this store any more.
        #[arg(long, conflicts_with = "account")]
        drop_old: bool,
    },
    /// Open every record of every auth state that can be reached from here.
    Verify {
        /// This account alone.
        account: Option<AccountId>,
    },
}

impl Keys {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::List => list(output).await,
            Self::Rotate { account, drop_old } => rotate(account, drop_old, output).await,
            Self::Verify { account } => check(account, output).await,
        }
    }
}

/// One desk for each account, or for the one.
async fn desks(only: Option<AccountId>) -> Result<Vec<Desk>, CliError> {
    if let Some(account) = only {
        return Ok(vec![Desk::open(&account).await?]);
    }
    let config = load_config()?;
    let home = auth_home(&config.auth)?;
    let store = existing_store(&config).await?;
    let accounts = store.accounts().await?;
    accounts
        .into_iter()
        .map(|known| Desk::of(config.clone(), store.clone(), home.clone(), known))
        .collect()
}

async fn list(output: Output) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for desk in desks(None).await? {
        let newest = json!(ring(&desk)?.id());
        let (key, note) = match sealed_by(&desk).await {
            Ok(Some(key)) => (json!(key), Value::Null),
            Ok(None) => (Value::Null, json!("no auth state yet")),
            Err(error) => (Value::Null, json!(error.to_string())),
        };
        let medium = json!(desk.kind().as_str());
        rows.push(vec![json!(desk.account), medium, key, newest, note]);
    }
    print(
        output,
        &["account", "medium", "key", "newest", "note"],
        rows,
    );
    Ok(())
}

fn ring(desk: &Desk) -> Result<KeyRing, CliError> {
    let ring = desk.home.ring();
    ring.map_err(|error| CliError::Auth(chain(&error)))
}

async fn sealed_by(desk: &Desk) -> Result<Option<String>, CliError> {
    let sealer = desk.sealer(desk.kind())?;
    let Some(view) = desk.look().await? else {
        return Ok(None);
    };
    let seen = inspect(&*view, &sealer).await;
    let seen = seen.map_err(|error| CliError::Auth(chain(&error)))?;
    Ok(seen.and_then(|seen| seen.root_key))
}

async fn rotate(only: Option<AccountId>, drop_old: bool, output: Output) -> Result<(), CliError> {
    let desks = desks(only).await?;
    let Some(first) = desks.first() else {
        return Err(CliError::Failed("there is no account yet".to_owned()));
    };
    let failed = |error: KeyFileError| CliError::Auth(chain(&error));
    let beside = (first.home.configured.is_none()).then(|| KeyFile::beside(&first.home.dir));
    if let Some(file) = &beside {
        let ring = file.add_fresh().map_err(failed)?;
        eprintln!(
            "{} has a new key, {}: keep a copy.",
            file.path().display(),
            ring.id()
        );
    }
    let mut rows = Vec::new();
    let mut used = Vec::new();
    for desk in &desks {
        let told = match rotate_one(desk).await {
            Ok(told) => told.to_owned(),
            Err(error) => error.to_string(),
        };
        rows.push(vec![json!(desk.account), json!(told)]);
        match sealed_by(desk).await {
            Ok(Some(key)) => used.push(key),
            // There is none anywhere.
            Ok(None) if desk.known.auth_medium.is_none() => {}
            // It is away or cannot be read: nobody knows what seals it, so no key may go.
            Ok(None) | Err(_) => {
                if drop_old {
                    eprintln!(
                        "No key is dropped: what seals the auth state of account '{}' cannot be seen from here.",
                        desk.account
                    );
                }
                used.extend(ring(desk)?.ids());
            }
        }
    }
    if let Some(file) = beside.filter(|_| drop_old)
        && let Some(copy) = file.drop_unused(&used).map_err(failed)?
    {
        eprintln!(
            "The keys as they were are in {}: delete it when no copy of an auth state needs them.",
            copy.display()
        );
    }
    print(output, &["account", "outcome"], rows);
    Ok(())
}

async fn rotate_one(desk: &Desk) -> Result<&'static str, CliError> {
    let newest = ring(desk)?.id();
    match sealed_by(desk).await? {
        None => return Ok("no auth state yet"),
        Some(key) if key == newest => return Ok("sealed with the newest key already"),
        Some(_) => {}
    }
    // A worker reads a key file anew, but its settings only when it starts.
    let lease = desk.store.lease(&desk.account).await?;
    if desk.home.configured.is_some() && lease.is_some_and(|row| !row.is_free()) {
        return Ok("operated by a worker: it seals anew when it is restarted with the new key");
    }
    let sealer = desk.sealer(desk.kind())?;
    let custody = Custody::take(desk).await?;
    let sealed = async {
        let medium = custody.open(desk, desk.kind(), false).await?;
        let sealed = reseal(&*medium.records(), &sealer).await;
        medium.close().await;
        sealed.map_err(|error| CliError::Auth(chain(&error)))
    };
    let sealed = sealed.await;
    custody.give_back().await;
    sealed.map(|_| "sealed with the newest key")
}

async fn check(only: Option<AccountId>, output: Output) -> Result<(), CliError> {
    let mut rows = Vec::new();
    let mut damaged = 0;
    for desk in desks(only).await? {
        let (records, outcome) = match check_one(&desk).await {
            Ok(Some(seen)) if seen.is_clean() => (json!(seen.records), "whole".to_owned()),
            Ok(Some(seen)) => {
                damaged += 1;
                (json!(seen.records), findings(&seen))
            }
            Ok(None) => (Value::Null, "no auth state yet".to_owned()),
            Err(error) => {
                damaged += 1;
                (Value::Null, error.to_string())
            }
        };
        rows.push(vec![json!(desk.account), records, json!(outcome)]);
    }
    print(output, &["account", "records", "outcome"], rows);
    match damaged {
        0 => Ok(()),
        count => Err(CliError::Auth(format!(
            "{count} auth state(s) could not be verified"
        ))),
    }
}

async fn check_one(desk: &Desk) -> Result<Option<Verification>, CliError> {
    let sealer = desk.sealer(desk.kind())?;
    let Some(view) = desk.look().await? else {
        return Ok(None);
    };
    let seen = verify(&*view, &sealer).await;
    seen.map(Some)
        .map_err(|error| CliError::Auth(chain(&error)))
}

/// What is wrong, in one line.
fn findings(seen: &Verification) -> String {
    let mut told: Vec<String> = seen
        .damaged
        .iter()
        .take(NAMED)
        .map(|damaged| format!("{}: {}", damaged.record, damaged.damage))
        .collect();
    if seen.damaged.len() > NAMED {
        told.push(format!("and {} more", seen.damaged.len() - NAMED));
    }
    match seen.keys_agree {
        Some(true) => {}
        Some(false) => told.push("records are missing, or too many".to_owned()),
        None => told.push("it was written all the time: try again".to_owned()),
    }
    told.join("; ")
}
