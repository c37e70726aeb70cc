//! `lease`: who operates which account.

use clap::Subcommand;
use serde_json::{Value, json};

use super::table::{print, print_one, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::clock;
use crate::ids::AccountId;
use crate::store::{LeaseRow, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Lease {
    /// One account's lease, its session and its last transitions.
    Show {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
    },
    /// All leases.
    List,
    /// Take the lease away from its holder, for one that cannot release it by itself.
    Release {
        /// The account.
        account: AccountId,
        /// Do it while the holder still renews it.
        #[arg(long)]
        force: bool,
    },
}

impl Lease {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let store = existing_store(&load_config()?).await?;
        match self {
            Self::Show { account } => show(&store, output, &account).await,
            Self::List => list(&store, output).await,
            Self::Release { account, force } => release(&store, &account, force).await,
        }
    }
}

async fn list(store: &Store, output: Output) -> Result<(), CliError> {
    let rows = store.leases().await?;
    let cells = rows.iter().map(|row| {
        vec![
            json!(row.account),
            holder(row),
            json!(row.epoch),
            expires(output, row),
        ]
    });
    print(
        output,
        &["accountId", "ownerId", "epoch", "expiresAt"],
        cells.collect(),
    );
    Ok(())
}

async fn show(store: &Store, output: Output, account: &AccountId) -> Result<(), CliError> {
    let Some(row) = store.lease(account).await? else {
        return Err(CliError::Failed(format!(
            "account '{account}' never had a lease: no worker has operated it yet"
        )));
    };
    let session = store.session_status(account).await?;
    let transitions = store.audit(account, 5).await?;
    let mut fields = vec![
        ("accountId", json!(row.account)),
        ("ownerId", holder(&row)),
        ("epoch", json!(row.epoch)),
        ("beat", json!(row.beat)),
        ("expiresAt", expires(output, &row)),
        ("session", json!(session.as_ref().map(|s| &s.state))),
        ("detail", json!(session.as_ref().map(|s| &s.detail))),
    ];
    if output == Output::Json {
        fields.push(("transitions", json!(transitions)));
        print_one(output, fields);
        return Ok(());
    }
    print_one(output, fields);
    put!("");
    let lines = transitions.into_iter().map(|line| {
        vec![
            json!(clock::rfc3339(line.at)),
            json!(line.action),
            json!(line.actor),
            json!(line.detail),
        ]
    });
    print(
        output,
        &["at", "action", "actor", "detail"],
        lines.collect(),
    );
    Ok(())
}

async fn release(store: &Store, account: &AccountId, force: bool) -> Result<(), CliError> {
    let Some(row) = store.lease(account).await? else {
        return Err(CliError::Failed(format!(
            "account '{account}' never had a lease"
        )));
    };
    if row.is_free() {
        put!("The lease of account '{account}' is free already.");
        return Ok(());
    }
    if !force {
        return Err(CliError::TryLater(format!(
            "account '{account}' is held by '{}' for another {}: stop that worker, or add --force to take the lease away from it",
            row.owner,
            span(row.remaining_ms)
        )));
    }
    let epoch = store.force_release_lease(account, "operator").await?;
    put!(
        "The lease of account '{account}' was taken from '{}' (epoch {}). It sits out one TTL; any standby may acquire.",
        row.owner,
        epoch.map_or_else(|| "?".to_owned(), |epoch| epoch.to_string())
    );
    Ok(())
}

fn holder(row: &LeaseRow) -> Value {
    if row.is_free() {
        Value::Null
    } else {
        json!(row.owner.as_str())
    }
}

fn expires(output: Output, row: &LeaseRow) -> Value {
    match output {
        Output::Json => json!(row.expires_at),
        Output::Table if row.is_free() => json!("free"),
        Output::Table => json!(format!("in {}", span(row.remaining_ms))),
    }
}
