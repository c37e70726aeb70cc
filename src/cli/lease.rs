//! `lease`: who operates which account.

pub(super) mod handing;

use clap::Subcommand;
use serde_json::{Value, json};

use super::table::{print, print_one, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::clock;
use crate::config::Config;
use crate::ids::AccountId;
use crate::store::{AuditRow, LeaseRow, Store};

/// How many of the last transitions are shown.
const TRANSITIONS: i64 = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Lease {
    /// One account's lease, its session and its last transitions.
    Show {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
    },
    /// All leases.
    List {
        /// Only those that this worker holds: its WORKER_ID, or the owner as `workers list` shows it.
        #[arg(long)]
        owner: Option<String>,
    },
    /// Hand an account over to another worker: its holder drains and releases, that one takes it.
    Transfer {
        /// The account.
        account: AccountId,
        /// The worker: its WORKER_ID, or the owner as `workers list` shows it.
        #[arg(long, value_name = "WORKER")]
        to: String,
        /// Do not wait until it is done.
        #[arg(long)]
        no_wait: bool,
    },
    /// Have the holder drain and release, so that any other worker may take the account.
    Release {
        /// The account.
        account: AccountId,
        /// Take the lease away at once, from a holder that cannot release it by itself.
        #[arg(long)]
        force: bool,
        /// Do not ask before --force.
        #[arg(long)]
        yes: bool,
        /// Do not wait until it is done.
        #[arg(long, conflicts_with = "force")]
        no_wait: bool,
    },
}

impl Lease {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let config = load_config()?;
        let store = existing_store(&config).await?;
        match self {
            Self::Show { account } => show(&store, &config, output, &account).await,
            Self::List { owner } => list(&store, output, owner.as_deref()).await,
            Self::Transfer {
                account,
                to,
                no_wait,
            } => handing::transfer(&store, &config, &account, &to, no_wait).await,
            Self::Release {
                account,
                force: true,
                yes,
                ..
            } => handing::take_away(&store, &account, yes).await,
            Self::Release {
                account, no_wait, ..
            } => handing::release(&store, &config, &account, no_wait).await,
        }
    }
}

async fn list(store: &Store, output: Output, owner: Option<&str>) -> Result<(), CliError> {
    let mut rows = store.leases().await?;
    if let Some(name) = owner {
        rows.retain(|row| row.holder().is_some_and(|holder| holder.is_called(name)));
    }
    let cells = rows.iter().map(|row| {
        vec![
            json!(row.account),
            holder(row),
            json!(row.epoch),
            expires(output, row),
            successor(row),
        ]
    });
    print(
        output,
        &["accountId", "ownerId", "epoch", "expiresAt", "successor"],
        cells.collect(),
    );
    Ok(())
}

async fn show(
    store: &Store,
    config: &Config,
    output: Output,
    account: &AccountId,
) -> Result<(), CliError> {
    let Some(row) = store.lease(account).await? else {
        return Err(CliError::Failed(format!(
            "account '{account}' never had a lease: no worker has operated it yet"
        )));
    };
    let session = store.session_status(account).await?;
    let transitions = store.audit(account, TRANSITIONS).await?;
    let mut fields = vec![
        ("accountId", json!(row.account)),
        ("ownerId", holder(&row)),
        ("epoch", json!(row.epoch)),
        ("beat", json!(row.beat)),
        last_beat(output, config, &row),
        ("expiresAt", expires(output, &row)),
        ("successor", successor(&row)),
        ("session", json!(session.as_ref().map(|s| &s.state))),
        ("detail", json!(session.as_ref().map(|s| &s.detail))),
    ];
    if output == Output::Json {
        fields.push(("remainingMs", json!(row.remaining_ms.max(0))));
        fields.push(("transitions", json!(transitions)));
        print_one(output, fields);
        return Ok(());
    }
    print_one(output, fields);
    put!("");
    let lines = transitions.iter().map(|line| {
        vec![
            json!(clock::rfc3339(line.at)),
            json!(line.action),
            json!(line.actor),
            epochs(line),
            json!(line.detail),
        ]
    });
    print(
        output,
        &["at", "action", "actor", "epoch", "detail"],
        lines.collect(),
    );
    Ok(())
}

fn holder(row: &LeaseRow) -> Value {
    json!(row.holder().map(|owner| owner.as_str()))
}

fn expires(output: Output, row: &LeaseRow) -> Value {
    match output {
        Output::Json => json!(row.expires_at),
        Output::Table if row.is_free() => json!("free"),
        Output::Table => json!(format!("in {}", span(row.remaining_ms))),
    }
}

/// How long ago it was renewed or acquired. The holder has the same TTL as we: all workers of a store
/// must.
fn last_beat(output: Output, config: &Config, row: &LeaseRow) -> (&'static str, Value) {
    let ttl = i64::try_from(config.lease.ttl().as_millis()).unwrap_or(i64::MAX);
    let age = (!row.is_free()).then(|| (ttl - row.remaining_ms).max(0));
    match output {
        Output::Json => ("beatAgeMs", json!(age)),
        Output::Table => ("lastBeat", json!(age.map(|ms| format!("{} ago", span(ms))))),
    }
}

fn successor(row: &LeaseRow) -> Value {
    match row.successor.as_deref() {
        Some("") => json!("anybody else"),
        other => json!(other),
    }
}

/// E.g. `3 -> 4`.
fn epochs(line: &AuditRow) -> Value {
    match (line.epoch_before, line.epoch_after) {
        (Some(before), Some(after)) if before != after => json!(format!("{before} -> {after}")),
        (before, after) => json!(after.or(before)),
    }
}
