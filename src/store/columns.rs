//! Columns that many tables have, read and written alike.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Result, StoreError};
use crate::ids::{AccountId, Jid};
use crate::inbound::message::Party;

/// `text` as both engines can store it: PostgreSQL's texts hold no NUL, and what people send may.
pub(super) fn stored(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An address, to be stored.
pub(super) fn address(jid: Option<&Jid>) -> Option<String> {
    jid.map(|jid| stored(jid.as_str()))
}

/// An address, if there is one.
pub(super) fn jid(row: &AnyRow, column: &str) -> Result<Option<Jid>> {
    Ok(row.try_get::<Option<String>, _>(column)?.map(Jid::new))
}

/// A person, from the columns of both forms of an address.
pub(super) fn party(row: &AnyRow, pn: &str, lid: &str) -> Result<Party> {
    Ok(Party {
        pn: jid(row, pn)?,
        lid: jid(row, lid)?,
    })
}

/// The account of a row of `table`.
pub(super) fn account_id(row: &AnyRow, table: &str) -> Result<AccountId> {
    account(row.try_get("account_id")?, table)
}

/// The account that stands in `table`.
pub(super) fn account(text: &str, table: &str) -> Result<AccountId> {
    text.parse()
        .map_err(|error| StoreError::Unusable(format!("in table {table}: {error}")))
}
