//! Sessions that are bad without their owner's knowing.

use wacore_binary::Jid;

use super::{Endpoint, address};
use crate::people::PeopleError;

impl Endpoint {
    /// Makes the session with `peer` a bad one without our knowing: its keys are those of a stranger.
    /// A session that is built anew, from either side, is good again.
    ///
    /// # Errors
    /// [`PeopleError::NoSession`] when there is nothing to spoil.
    pub fn spoil(&mut self, peer: &Jid) -> Result<(), PeopleError> {
        if !self.has_session(peer) {
            return Err(PeopleError::NoSession);
        }
        let (mut ours, mut stranger) = (Self::generate(), Self::generate());
        let us = Jid::lid("0");
        ours.establish(peer, &stranger.key_bundle())?;
        for _ in 0..2 {
            // Their answer is what makes later messages `msg`, as on a session of some age.
            let said = ours.encrypt(peer, &[])?;
            stranger.decrypt(&us, None, said.kind, &said.ciphertext)?;
            let said = stranger.encrypt(&us, &[])?;
            ours.decrypt(peer, None, said.kind, &said.ciphertext)?;
        }
        let bad = ours.sessions.records.remove(&address(peer));
        self.sessions
            .records
            .insert(address(peer), bad.ok_or(PeopleError::NoSession)?);
        self.spoiled.insert(peer.clone());
        Ok(())
    }

    /// Whether the session with `peer` is a bad one; see [`Self::spoil`].
    pub fn is_spoiled(&self, peer: &Jid) -> bool {
        self.spoiled.contains(peer)
    }
}
