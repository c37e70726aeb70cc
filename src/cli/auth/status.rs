//! `auth status`: one screen about an account's auth state.

use auth_store::inspect;
use serde_json::json;

use super::Desk;
use crate::cli::table::print_one;
use crate::cli::{CliError, Output, chain};
use crate::clock;
use crate::ids::{AccountId, Jid, mask};

pub(super) async fn show(account: &AccountId, output: Output) -> Result<(), CliError> {
    let desk = Desk::open(account).await?;
    let kind = desk.kind();
    let sealer = desk.sealer(kind)?;
    let Some(view) = desk.look().await? else {
        return Err(desk.nothing_here());
    };
    let seen = inspect(&*view, &sealer).await;
    let seen = seen.map_err(|error| CliError::Auth(chain(&error)))?;
    let Some(seen) = seen else {
        return Err(desk.nothing_here());
    };
    let number = seen.linked_jid.map(|jid| mask(Jid::new(jid).user()));
    let generation = seen.current.or(seen.pending);
    let when = |ms: Option<i64>| json!(ms.map(clock::rfc3339));
    let fields = vec![
        ("accountId", json!(account)),
        ("number", json!(number)),
        ("linked", json!(seen.current.is_some())),
        ("since", when(desk.known.linked_at.or(seen.linked_ms))),
        (
            "medium",
            json!(format!("{}: {}", kind.as_str(), seen.place)),
        ),
        (
            "generation",
            json!(generation.map(|generation| generation.number())),
        ),
        ("quarantined", json!(seen.retired.len())),
        ("keyId", json!(seen.root_key)),
        ("signalSessions", json!(seen.sessions)),
        ("preKeys", json!(seen.pre_keys)),
        ("repairs", json!(seen.repairs)),
        ("writes", json!(seen.head.writes)),
        ("epoch", json!(seen.head.epoch)),
        ("lastWrite", when(seen.head.last_write_ms)),
        ("lastVerified", when(seen.head.verified_ms)),
    ];
    print_one(output, fields);
    Ok(())
}
