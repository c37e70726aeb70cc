//! `auth`: the linked device's keys.

use auth_store::{AccountName, LocalMedium, Sealer, inspect};
use clap::Subcommand;
use serde_json::json;

use super::table::print_one;
use super::{CliError, Output, load_config};
use crate::app::auth_home;
use crate::clock;
use crate::ids::{AccountId, Jid, mask};

#[derive(Debug, Subcommand)]
pub(super) enum Auth {
    /// What is known of an account's auth state, without touching it.
    Status {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
    },
}

impl Auth {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self::Status { account } = self;
        let home = auth_home(&load_config()?.auth)?;
        let key = home.key.id();
        let name = AccountName::new(account.as_str())
            .map_err(|error| CliError::Failed(error.to_string()))?;
        let nothing = || {
            CliError::Failed(format!(
                "account '{account}' has no auth state here yet: `whatsapp-worker link --account {account}` links it"
            ))
        };
        let medium = LocalMedium::view(&home.dir, &name)
            .await
            .map_err(|error| CliError::Auth(error.to_string()))?
            .ok_or_else(nothing)?;
        let seen = inspect(&medium, &Sealer::new(home.key, name)).await;
        medium.close().await;
        let seen = seen
            .map_err(|error| CliError::Auth(error.to_string()))?
            .ok_or_else(nothing)?;
        let masked = |jid: String| mask(Jid::new(jid).user());
        let number = seen.linked_jid.map(masked);
        let lid = seen.linked_lid.map(masked);
        let fields = vec![
            ("accountId", json!(account)),
            ("medium", json!(format!("local {}", seen.place))),
            ("number", json!(number)),
            ("lid", json!(lid)),
            ("linkedSince", json!(seen.linked_ms.map(clock::rfc3339))),
            ("linked", json!(seen.current.is_some())),
            (
                "generation",
                json!(seen.current.or(seen.pending).map(|g| g.number())),
            ),
            ("retired", json!(seen.retired.len())),
            ("keyId", json!(seen.root_key.unwrap_or(key))),
            ("epoch", json!(seen.head.epoch)),
            ("signalSessions", json!(seen.sessions)),
            ("preKeys", json!(seen.pre_keys)),
            ("repairs", json!(seen.repairs)),
            ("writes", json!(seen.head.writes)),
            (
                "lastVerification",
                json!(seen.head.verified_ms.map(clock::rfc3339)),
            ),
            (
                "lastWrite",
                json!(seen.head.last_write_ms.map(clock::rfc3339)),
            ),
        ];
        print_one(output, fields);
        Ok(())
    }
}
