//! Which accounts a worker operates: in its settings, and in its row of the store.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::ids::{AccountId, IdError};

/// Which accounts a worker operates. Written as a comma list, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// These, whatever other workers do.
    Listed(BTreeSet<AccountId>),
    /// Its fair share of every enabled account of the store.
    All,
}

impl Accounts {
    /// Whether `account` is one of them.
    pub fn include(&self, account: &AccountId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(account),
        }
    }
}

impl FromStr for Accounts {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "*" => Ok(Self::All),
            list => list
                .split(',')
                .map(|id| id.trim().parse())
                .collect::<Result<_, _>>()
                .map(Self::Listed),
        }
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Listed(listed) => {
                let listed: Vec<&str> = listed.iter().map(AccountId::as_str).collect();
                f.write_str(&listed.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written_and_a_star_is_everything() {
        let listed: Accounts = "shop, desk,shop".parse().expect("valid");
        assert_eq!(listed.to_string(), "desk,shop");
        assert_eq!(listed.to_string().parse(), Ok(listed.clone()));
        let (shop, other): (AccountId, AccountId) = (
            "shop".parse().expect("valid"),
            "other".parse().expect("valid"),
        );
        assert!(listed.include(&shop) && !listed.include(&other));
        let all: Accounts = "*".parse().expect("valid");
        assert!(all.include(&other));
        assert_eq!(all.to_string(), "*");
        assert_eq!(
            "a,,b".parse::<Accounts>(),
            Err(IdError::Account(String::new()))
        );
    }
}
