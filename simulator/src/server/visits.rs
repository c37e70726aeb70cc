//! Who was logged in when: what a change of workers looks like from the server's side.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::directory::{AccountIndex, DeviceAddress};
use super::lock;
use super::mailbox::ConnectionId;
use crate::clock;

/// One login of a companion. Times count from the start of the simulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// The device's number within its account.
    pub device: u16,
    /// When it was told `<success>`.
    pub began: Duration,
    /// When its connection ended, on whichever side.
    pub ended: Option<Duration>,
    /// Whether a newer login of the same device threw it out.
    pub replaced: bool,
    /// Tags of the stanzas that came in over it after a newer login of the same device was told
    /// `<success>`. None of them is accepted.
    pub late: Vec<String>,
}

#[derive(Default)]
struct Book {
    visits: Vec<(AccountIndex, Visit)>,
    open: HashMap<ConnectionId, usize>,
}

/// The visitors' book.
pub(crate) struct Visits {
    opened: Instant,
    book: Mutex<Book>,
}

impl Visits {
    pub(crate) fn new() -> Self {
        Self {
            opened: clock::now(),
            book: Mutex::default(),
        }
    }

    /// How long ago the book was opened.
    pub(crate) fn elapsed(&self) -> Duration {
        self.opened.elapsed()
    }

    /// A device is logged in, in place of `earlier`.
    pub(crate) fn begin(
        &self,
        id: ConnectionId,
        device: DeviceAddress,
        earlier: Option<ConnectionId>,
    ) {
        let began = self.opened.elapsed();
        let mut book = lock(&self.book);
        if let Some(&index) = earlier.and_then(|earlier| book.open.get(&earlier)) {
            book.visits[index].1.replaced = true;
        }
        let index = book.visits.len();
        let visit = Visit {
            device: device.device,
            began,
            ended: None,
            replaced: false,
            late: Vec::new(),
        };
        book.visits.push((device.account, visit));
        book.open.insert(id, index);
    }

    /// A connection ended.
    pub(crate) fn end(&self, id: ConnectionId) {
        let ended = self.opened.elapsed();
        let mut book = lock(&self.book);
        if let Some(index) = book.open.get(&id).copied() {
            book.visits[index].1.ended.get_or_insert(ended);
        }
    }

    /// A stanza came over a connection that a newer login has replaced.
    pub(crate) fn late(&self, id: ConnectionId, tag: &str) {
        let mut book = lock(&self.book);
        if let Some(index) = book.open.get(&id).copied()
            && book.visits[index].1.replaced
        {
            book.visits[index].1.late.push(tag.to_owned());
        }
    }

    /// Whether a newer login has thrown this connection out.
    pub(crate) fn is_replaced(&self, id: ConnectionId) -> bool {
        let book = lock(&self.book);
        book.open
            .get(&id)
            .is_some_and(|&index| book.visits[index].1.replaced)
    }

    /// The visits of an account's companions, in the order of their logins.
    pub(crate) fn of(&self, account: AccountIndex) -> Vec<Visit> {
        let book = lock(&self.book);
        let theirs = book.visits.iter().filter(|(of, _)| *of == account);
        theirs.map(|(_, visit)| visit.clone()).collect()
    }
}
