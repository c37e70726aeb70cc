//! What a failed store call means for its caller.

use sqlx::error::ErrorKind;
use sqlx::postgres::PgDatabaseError;

use crate::ids::AccountId;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The lease that this write belongs to is somebody else's now. Nothing was written.
    #[error("the lease of account '{0}' was lost: another worker holds it now")]
    Fenced(AccountId),
    /// The store could not be reached or was busy. Nothing is known about the write's success.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The store refuses what is written: repeating it changes nothing.
    #[error("the store refuses it: {0}")]
    Rejected(#[source] sqlx::Error),
    /// The store cannot be used as it is; a person must act.
    #[error("{0}")]
    Unusable(String),
}

impl StoreError {
    /// A text holds what PostgreSQL keeps in none: the character NUL.
    pub fn is_about_text(&self) -> bool {
        const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
        matches!(self, Self::Rejected(error) if sqlstate(error) == Some(CHARACTER_NOT_IN_REPERTOIRE))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_refusal(&error) {
            Self::Rejected(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

/// Time-outs, lost connections, conflicts with other transactions and a server that shuts down pass;
/// what the data or the statement itself is to blame for stays.
fn is_refusal(error: &sqlx::Error) -> bool {
    match (sqlstate(error), error) {
        // By SQLSTATE class: data exception, integrity violation, syntax error or access rule
        // violation, feature not supported.
        (Some(code), _) => matches!(code.get(..2), Some("22" | "23" | "42" | "0A")),
        (None, sqlx::Error::Database(error)) => !matches!(error.kind(), ErrorKind::Other),
        _ => false,
    }
}

/// PostgreSQL's code of `error`, when it is one of its errors.
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .map(PgDatabaseError::code),
        _ => None,
    }
}
