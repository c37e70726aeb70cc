//! Waiting for what clients do.

use std::time::Duration;

use tokio::sync::watch;

use super::Simulator;
use crate::person::{Person, TimedOut};

impl Simulator {
    /// Waits until a device of `person` has sent a receipt of `kind` (see [`crate::SeenReceipt::kind`]).
    /// Cancel safe.
    ///
    /// # Errors
    /// None came within `patience`.
    pub async fn wait_receipt(
        &self,
        person: &Person,
        device: u16,
        message_id: &str,
        kind: &str,
        patience: Duration,
    ) -> Result<(), TimedOut> {
        let seen = || {
            self.receipts(message_id).iter().any(|receipt| {
                receipt.account == person.account()
                    && receipt.device == device
                    && receipt.kind == kind
            })
        };
        until(self.server.ledger.watch(), patience, seen).await
    }

    /// Waits until a device of `person` has confirmed the delivery of a message, be it as an active
    /// or an inactive companion. Cancel safe.
    ///
    /// # Errors
    /// It did not within `patience`.
    pub async fn wait_delivered(
        &self,
        person: &Person,
        device: u16,
        message_id: &str,
        patience: Duration,
    ) -> Result<(), TimedOut> {
        let seen = || {
            self.receipts(message_id).iter().any(|receipt| {
                receipt.account == person.account()
                    && receipt.device == device
                    && matches!(receipt.kind.as_str(), "delivered" | "inactive")
            })
        };
        until(self.server.ledger.watch(), patience, seen).await
    }

    /// Waits until what the server saw is as `reached` wants it. Cancel safe.
    ///
    /// # Errors
    /// It was not within `patience`.
    pub async fn wait_until(
        &self,
        patience: Duration,
        reached: impl Fn(&Self) -> bool,
    ) -> Result<(), TimedOut> {
        until(self.server.ledger.watch(), patience, || reached(self)).await
    }

    /// Waits until a device has confirmed everything. Cancel safe.
    ///
    /// # Errors
    /// It did not within `patience`.
    pub async fn wait_empty(
        &self,
        person: &Person,
        device: u16,
        patience: Duration,
    ) -> Result<(), TimedOut> {
        let empty = || self.queue_len(person, device) == Some(0);
        until(self.server.ledger.watch(), patience, empty).await
    }

    /// Waits until a device is logged in, or with `online` false until it is not. Cancel safe.
    ///
    /// # Errors
    /// It did not happen within `patience`.
    pub async fn wait_online(
        &self,
        person: &Person,
        device: u16,
        online: bool,
        patience: Duration,
    ) -> Result<(), TimedOut> {
        let reached = || self.is_online(person, device) == online;
        until(self.server.lines.watch(), patience, reached).await
    }
}

async fn until(
    mut changes: watch::Receiver<u64>,
    patience: Duration,
    reached: impl Fn() -> bool,
) -> Result<(), TimedOut> {
    let waiting = async {
        loop {
            changes.borrow_and_update();
            if reached() {
                return;
            }
            changes
                .changed()
                .await
                .expect("the server outlives whoever waits on it");
        }
    };
    tokio::time::timeout(patience, waiting)
        .await
        .map_err(|_| TimedOut(patience))
}
