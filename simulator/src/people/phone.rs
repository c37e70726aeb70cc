//! The primary device of a person: the one that vouches, links and speaks first.

use wacore_binary::Jid;
use waproto::whatsapp as wa;

use crate::media::MediaStore;

use super::adv::{Account, KeyIndexList, Vouched};
use super::outbox::{Composed, Letterhead, Outbox};
use super::pairing::{self, LinkAttempt};
use super::peer::{self, AppStateKey, HistoryKind};
use super::{Content, Endpoint, PeopleError};

/// A simulated person's phone. It knows no addresses but those it is told.
#[derive(Debug)]
pub struct Phone {
    endpoint: Endpoint,
    account: Account,
    app_state_key: AppStateKey,
    outbox: Outbox,
}

impl Phone {
    /// A phone with fresh keys and no companions.
    pub fn generate() -> Self {
        Self {
            endpoint: Endpoint::generate(),
            account: Account::generate(),
            app_state_key: AppStateKey::generate(),
            outbox: Outbox::default(),
        }
    }

    /// Its Signal state, as device 0.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its Signal state, as device 0.
    pub fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// Signs a companion's identity under `adv_secret` (of the QR code or the link code).
    /// The companion joins the device list once [`accept_companion`](Self::accept_companion)
    /// agreed.
    pub fn vouch(&mut self, companion_identity: &[u8; 32], adv_secret: &[u8; 32]) -> Vouched {
        self.account.vouch(
            self.endpoint.identity_pair(),
            companion_identity,
            adv_secret,
        )
    }

    /// Checks the `<device-identity>` of `<pair-device-sign>`, admits the companion and returns the
    /// `ADVSignedDeviceIdentity` that other people get with its key bundle.
    ///
    /// # Errors
    /// [`PeopleError::BadSignature`]: the companion must not be admitted.
    pub fn accept_companion(
        &mut self,
        vouched: &Vouched,
        countersigned: &[u8],
    ) -> Result<Vec<u8>, PeopleError> {
        self.account
            .admit(self.endpoint.identity_pair(), vouched, countersigned)
    }

    /// Removes a companion from the signed list (logout, or removed on the phone).
    pub fn dismiss_companion(&mut self, key_index: u32) {
        self.account.dismiss(key_index);
    }

    /// The signed list of living companions, for device queries.
    pub fn key_index_list(&self) -> KeyIndexList {
        self.account.list(self.endpoint.identity_pair())
    }

    /// Answers a companion's hello with the code its owner typed. Takes about 0.1 s (PBKDF2): call
    /// it where blocking is allowed.
    ///
    /// # Errors
    /// [`PeopleError::BadLinkCode`] for a malformed code or blob. A wrong code shows only in
    /// [`finish_link`](Self::finish_link).
    pub fn answer_link(
        &self,
        code: &str,
        wrapped_companion_ephemeral: &[u8],
    ) -> Result<LinkAttempt, PeopleError> {
        pairing::answer(
            self.endpoint.identity_pair(),
            code,
            wrapped_companion_ephemeral,
        )
    }

    /// Opens the companion's key bundle and returns the secret to [`vouch`](Self::vouch) under.
    ///
    /// # Errors
    /// [`PeopleError::WrongLinkCode`] when the person typed another code.
    pub fn finish_link(
        &self,
        attempt: &LinkAttempt,
        wrapped_bundle: &[u8],
        companion_identity: &[u8; 32],
    ) -> Result<[u8; 32], PeopleError> {
        pairing::finish(
            self.endpoint.identity_pair(),
            attempt,
            wrapped_bundle,
            companion_identity,
        )
    }

    /// The peer message with the account's app-state key.
    pub fn key_share(&self) -> wa::Message {
        self.app_state_key.share(
            self.account.raw_id(),
            self.account.current_index(),
            self.account.valid(),
        )
    }

    /// A peer message with a part of the history, inline. `names` are (JID without device, name).
    pub fn history(
        &self,
        kind: HistoryKind,
        names: &[(String, String)],
        conversations: Vec<wa::Conversation>,
    ) -> wa::Message {
        peer::history(kind, names, conversations)
    }

    /// Writes a message: seals and stores its media, remembers its secret for later edits.
    ///
    /// # Errors
    /// [`PeopleError::UnknownMessage`] for an edit of a message this phone does not remember,
    /// [`PeopleError::Media`] when media cannot be sealed.
    pub fn compose(
        &mut self,
        letterhead: &Letterhead,
        content: &Content,
        media: &MediaStore,
    ) -> Result<Composed, PeopleError> {
        self.outbox.compose(letterhead, content, media)
    }

    /// Opens what a device wrote to this phone; see [`Endpoint::decrypt`].
    ///
    /// # Errors
    /// As [`Endpoint::decrypt`].
    pub fn open(
        &mut self,
        sender: &Jid,
        group: Option<&Jid>,
        kind: super::EncKind,
        ciphertext: &[u8],
    ) -> Result<wa::Message, PeopleError> {
        self.endpoint.decrypt(sender, group, kind, ciphertext)
    }
}
