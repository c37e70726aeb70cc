//! How a person links a companion: by its QR code, or by typing its 8-character code.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Person;
use crate::people::QrCode;
use crate::server::directory::{DeviceAddress, lock_phone};
use crate::server::lines::StreamError;
use crate::server::mailbox::ConnectionId;
use crate::server::pairing::PairingError;

/// How long a companion may take for each of its steps.
const PATIENCE: Duration = Duration::from_secs(30);

impl Person {
    /// Scans a QR code and links the client that shows it; returns the new device's number. The
    /// client is told to reconnect and logs in by itself. Not cancel safe: a dropped call may
    /// leave the client linked.
    ///
    /// # Errors
    /// See [`PairingError`].
    pub async fn scan_qr(&self, text: &str) -> Result<u16, PairingError> {
        let qr = QrCode::parse(text)?;
        let companion = self.inner.server.companion_of_ref(&qr)?;
        self.link(companion, &qr.identity, &qr.adv_secret).await
    }

    /// Types the code that a client shows, which must have asked for this person's number; returns
    /// the new device's number. Not cancel safe, as [`Self::scan_qr`].
    ///
    /// # Errors
    /// See [`PairingError`]; a wrong code shows as a phone error.
    pub async fn enter_code(&self, code: &str) -> Result<u16, PairingError> {
        let server = &self.inner.server;
        let (companion, hello) = server.companion_of_code(self.inner.account)?;
        let (phone, typed) = (Arc::clone(&self.inner.phone), code.to_owned());
        let wrapped = hello.wrapped_ephemeral.clone();
        let attempt = spawn_blocking(move || lock_phone(&phone).answer_link(&typed, &wrapped))
            .await
            .map_err(|_| PairingError::Left)??;
        let finished = server.answer_companion(
            companion,
            &hello,
            &attempt.wrapped_ephemeral,
            &attempt.identity,
        )?;
        let finish = step(finished).await?;
        let secret = lock_phone(&self.inner.phone).finish_link(
            &attempt,
            &finish.wrapped_bundle,
            &finish.identity,
        )?;
        self.link(companion, &finish.identity, &secret).await
    }

    async fn link(
        &self,
        companion: ConnectionId,
        identity: &[u8; 32],
        secret: &[u8; 32],
    ) -> Result<u16, PairingError> {
        let vouched = lock_phone(&self.inner.phone).vouch(identity, secret);
        let linked = self
            .inner
            .server
            .vouch(companion, self.inner.account, vouched)?;
        step(linked).await?
    }

    /// Removes a companion on the phone: it is thrown out and cannot log in again. Says whether it
    /// was linked.
    pub fn unlink(&self, device: u16) -> bool {
        let address = DeviceAddress {
            account: self.inner.account,
            device,
        };
        self.inner
            .server
            .remove_companion(address, Some(StreamError::Removed))
    }
}

async fn step<T>(waiting: oneshot::Receiver<T>) -> Result<T, PairingError> {
    match timeout(PATIENCE, waiting).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) | Err(_) => Err(PairingError::Left),
    }
}
