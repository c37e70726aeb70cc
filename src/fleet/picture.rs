//! What the store says about a fleet, as the plans need it.

use std::collections::HashMap;

use super::share::{Holding, Seat, Wants, Worker};
use crate::config::Accounts;
use crate::ids::AccountId;
use crate::store::{Account, LeaseRow, WorkerRow};

/// The living workers and the enabled accounts with their leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// In the store's order.
    pub workers: Vec<Worker>,
    /// In the store's order.
    pub seats: Vec<Seat>,
}

impl Picture {
    /// From rows that were read around the same time.
    pub fn of(workers: &[WorkerRow], accounts: &[Account], leases: &[LeaseRow]) -> Self {
        let leases: HashMap<&AccountId, &LeaseRow> =
            leases.iter().map(|row| (&row.account, row)).collect();
        let enabled = accounts.iter().filter(|account| account.enabled);
        Self {
            workers: workers.iter().map(Worker::from).collect(),
            seats: enabled
                .map(|account| seat(account, leases.get(&account.id).copied()))
                .collect(),
        }
    }
}

fn seat(account: &Account, lease: Option<&LeaseRow>) -> Seat {
    Seat {
        account: account.id.clone(),
        auth_home: account.auth_home.clone(),
        successor: lease.and_then(|row| row.successor.clone()),
        holding: lease.map_or(Holding::Free(None), holding),
    }
}

fn holding(row: &LeaseRow) -> Holding {
    let owner = row.owner.clone();
    match (row.is_free(), row.expires_at, owner.as_str()) {
        (false, _, _) => Holding::Held {
            by: owner,
            beat: row.beat,
        },
        // After a forced release nobody's name is left.
        (true, _, "") => Holding::Free(None),
        (true, 0, _) => Holding::Free(Some(owner)),
        (true, _, _) => Holding::Lapsed(owner),
    }
}

impl From<&WorkerRow> for Worker {
    fn from(row: &WorkerRow) -> Self {
        Self {
            owner: row.owner.clone(),
            capacity: u32::try_from(row.capacity).unwrap_or(u32::MAX),
            wants: Wants::stored(&row.accounts),
            draining: row.draining,
            installation: row.installation.clone(),
        }
    }
}

impl Wants {
    /// As [`Wants::to_stored`] wrote it. An id that this version does not take names nothing.
    fn stored(text: &str) -> Self {
        match text {
            "*" => Self::All,
            list => Self::Listed(list.split(',').filter_map(|id| id.parse().ok()).collect()),
        }
    }

    /// For the store: `*`, or the ids with commas.
    pub fn to_stored(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Listed(accounts) => {
                let ids: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                ids.join(",")
            }
        }
    }
}

impl From<&Accounts> for Wants {
    fn from(accounts: &Accounts) -> Self {
        match accounts {
            Accounts::All => Self::All,
            Accounts::Listed(accounts) => Self::Listed(accounts.iter().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, OwnerId};

    fn account(name: &str) -> Account {
        Account {
            id: name.parse().expect("an account id"),
            enabled: true,
            paused: false,
            resumed_at: None,
            auth_home: None,
            linked: None,
            linked_at: None,
        }
    }

    fn lease(name: &str, owner: &str, expires_at: i64, remaining_ms: i64) -> LeaseRow {
        LeaseRow {
            account: name.parse().expect("an account id"),
            epoch: Epoch(3),
            owner: OwnerId::stored(owner.to_owned()),
            beat: 7,
            expires_at,
            remaining_ms,
            successor: None,
        }
    }

    #[test]
    fn a_release_a_forced_one_and_a_silent_end_are_told_apart() {
        let accounts = ["held", "released", "forced", "lapsed", "new"].map(account);
        let leases = [
            lease("held", "w1#0", 100, 60),
            lease("released", "w1#0", 0, -40),
            lease("forced", "", 0, -40),
            lease("lapsed", "w1#0", 30, -10),
        ];
        let picture = Picture::of(&[], &accounts, &leases);
        let w1 = OwnerId::stored("w1#0".to_owned());
        let seen: Vec<Holding> = picture.seats.into_iter().map(|seat| seat.holding).collect();
        assert_eq!(
            seen,
            [
                Holding::Held {
                    by: w1.clone(),
                    beat: 7
                },
                Holding::Free(Some(w1.clone())),
                Holding::Free(None),
                Holding::Lapsed(w1),
                Holding::Free(None),
            ]
        );
    }

    #[test]
    fn a_disabled_account_is_nobodys_matter() {
        let mut off = account("off");
        off.enabled = false;
        let picture = Picture::of(&[], &[off], &[lease("off", "w1#0", 100, 60)]);
        assert_eq!(picture.seats, []);
    }

    #[test]
    fn what_a_worker_wants_comes_back_from_the_store_as_it_was() {
        let listed = Accounts::Listed(vec![account("b").id, account("a").id]);
        for accounts in [Accounts::All, listed] {
            let wants = Wants::from(&accounts);
            assert_eq!(Wants::stored(&wants.to_stored()), wants);
        }
    }
}
