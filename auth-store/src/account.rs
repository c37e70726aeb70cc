//! Name of the account whose auth state this is.

use std::fmt;
use std::sync::Arc;

/// An account's name. It is a directory's name too, hence the closed alphabet:
/// 1 to 64 of `A-Z a-z 0-9 . _ -`, not starting with a dot.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// The name has another shape than the one above.
    pub fn new(name: &str) -> Result<Self, BadAccountName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good =
            (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed);
        if good {
            Ok(Self(name.into()))
        } else {
            Err(BadAccountName(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountName({self})")
    }
}

/// A name that no auth state can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account name {0:?}: use 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot")]
pub struct BadAccountName(String);
