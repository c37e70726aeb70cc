//! What an account does, as it is told.

use crate::lease::keeper::Loss;

/// The state, for people and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// An operator switched it off.
    Disabled,
    /// Its auth state is on another installation's disk.
    Ineligible {
        /// That installation.
        auth_home: String,
    },
    /// Somebody else holds the lease, or nobody yet.
    Standby,
    /// We hold the lease, and look at the account before it begins.
    Acquiring,
    /// We hold the lease and operate the account.
    Active,
    /// We hold the lease and are giving it up.
    Draining,
    /// The lease is lost; the session is being ended.
    Lost(Loss),
}

impl AccountState {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Disabled => "disabled in the store".to_owned(),
            Self::Ineligible { auth_home } => format!(
                "ineligible: the local auth state of this account is on installation {auth_home}; run the worker there, or move it to the shared store there by `auth migrate --to remote`"
            ),
            Self::Standby => "standby".to_owned(),
            Self::Acquiring => "acquiring".to_owned(),
            Self::Active => "active".to_owned(),
            Self::Draining => "draining".to_owned(),
            Self::Lost(loss) => format!("lost: {}", loss.as_str()),
        }
    }
}
