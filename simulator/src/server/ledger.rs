//! What the server accepted and which receipts it saw: the ground truth of a test.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::directory::{AccountIndex, DeviceAddress};

/// A receipt that a device sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenReceipt {
    /// The message it is about.
    pub message_id: String,
    /// `delivered` for a receipt without a type, otherwise the type as sent: `read`, `played`,
    /// `retry`, `inactive`, `sender`, `peer_msg`, `hist_sync` …
    pub kind: String,
    /// The device that sent it: its number within its account; the phone is 0.
    pub device: u16,
    #[serde(skip)]
    pub(crate) account: AccountIndex,
}

/// A device typed, or stopped to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenTyping {
    /// Where.
    pub chat: String,
    /// `composing` or `paused`.
    pub state: String,
    /// Whether the device was online then.
    pub online: bool,
    #[serde(skip)]
    pub(crate) account: AccountIndex,
}

/// A ciphertext that the server handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenCiphertext {
    /// For which device.
    pub(crate) to: DeviceAddress,
    /// `pkmsg`, `msg` or `skmsg`.
    pub(crate) kind: String,
}

/// A message that the server accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Accepted {
    id: String,
    from: AccountIndex,
    to: Vec<AccountIndex>,
}

#[derive(Default)]
struct Books {
    accepted: Vec<Accepted>,
    receipts: Vec<SeenReceipt>,
    by_id: HashMap<String, Vec<usize>>,
    ciphertexts: HashMap<String, Vec<SeenCiphertext>>,
    typing: Vec<SeenTyping>,
    online: HashSet<DeviceAddress>,
}

/// The books of the server.
pub(crate) struct Ledger {
    books: Mutex<Books>,
    entries: watch::Sender<u64>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            books: Mutex::default(),
            entries: watch::Sender::new(0),
        }
    }

    /// Notes a message that was handed to the mailboxes of `to`.
    pub(crate) fn accept(&self, id: &str, from: AccountIndex, to: Vec<AccountIndex>) {
        self.lock().accepted.push(Accepted {
            id: id.to_owned(),
            from,
            to,
        });
        self.entries.send_modify(|count| *count += 1);
    }

    /// Notes how a message was encrypted for a device.
    pub(crate) fn ciphertext(&self, id: &str, seen: SeenCiphertext) {
        let mut books = self.lock();
        books
            .ciphertexts
            .entry(id.to_owned())
            .or_default()
            .push(seen);
    }

    /// How a message was encrypted for a device, each time that it was sent.
    pub(crate) fn ciphertexts(&self, id: &str, to: DeviceAddress) -> Vec<String> {
        let books = self.lock();
        let seen = books.ciphertexts.get(id).into_iter().flatten();
        seen.filter(|seen| seen.to == to)
            .map(|seen| seen.kind.clone())
            .collect()
    }

    /// Notes a receipt.
    pub(crate) fn receipt(&self, receipt: SeenReceipt) {
        let mut books = self.lock();
        let index = books.receipts.len();
        let of_message = books.by_id.entry(receipt.message_id.clone()).or_default();
        of_message.push(index);
        books.receipts.push(receipt);
        drop(books);
        self.entries.send_modify(|count| *count += 1);
    }

    /// The ids of messages accepted for `account`, in order, without those it sent itself.
    pub(crate) fn accepted_for(&self, account: AccountIndex) -> Vec<String> {
        let addressed = |entry: &&Accepted| entry.to.contains(&account) && entry.from != account;
        let books = self.lock();
        let ids = books.accepted.iter().filter(addressed);
        ids.map(|entry| entry.id.clone()).collect()
    }

    /// The ids of messages accepted from `account`, in order.
    pub(crate) fn accepted_from(&self, account: AccountIndex) -> Vec<String> {
        let books = self.lock();
        let ids = books.accepted.iter().filter(|entry| entry.from == account);
        ids.map(|entry| entry.id.clone()).collect()
    }

    /// The receipts about a message, in order.
    pub(crate) fn receipts(&self, message_id: &str) -> Vec<SeenReceipt> {
        let books = self.lock();
        let of_message = books.by_id.get(message_id).into_iter().flatten();
        of_message
            .map(|&index| books.receipts[index].clone())
            .collect()
    }

    /// Notes that a device typed.
    pub(crate) fn typing(&self, seen: SeenTyping) {
        self.lock().typing.push(seen);
        self.entries.send_modify(|count| *count += 1);
    }

    /// How the devices of `account` typed, in order.
    pub(crate) fn typed_by(&self, account: AccountIndex) -> Vec<SeenTyping> {
        let books = self.lock();
        let typed = books.typing.iter().filter(|seen| seen.account == account);
        typed.cloned().collect()
    }

    /// Notes whether a device says that it is online.
    pub(crate) fn online(&self, device: DeviceAddress, online: bool) {
        let mut books = self.lock();
        match online {
            true => books.online.insert(device),
            false => books.online.remove(&device),
        };
        drop(books);
        self.entries.send_modify(|count| *count += 1);
    }

    /// Whether a device says that it is online.
    pub(crate) fn is_online(&self, device: DeviceAddress) -> bool {
        self.lock().online.contains(&device)
    }

    /// Counts every entry made; changes wake those who wait for one.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.entries.subscribe()
    }

    /// Wakes those who wait, after something that has no entry.
    pub(crate) fn wake(&self) {
        self.entries.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
