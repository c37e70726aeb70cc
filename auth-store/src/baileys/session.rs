//! Signal sessions, through the library's own reader of libsignal-node's records.

use auth_format::baileys::{Address, Chain, PendingPreKey, Session};
use bytes::Bytes;
use wacore::libsignal::protocol::{
    IdentityKey, LegacyIndexedSessionV1, LegacySessionBaseKeyRoleV1, LegacySessionChainCounterV1,
    LegacySessionChainKeyV1, LegacySessionChainRoleV1, LegacySessionChainV1,
    LegacySessionDispositionV1, LegacySessionIndexV1, LegacySessionInteropError,
    LegacySessionKeyPairV1, LegacySessionLocalContext, LegacySessionMessageKeyV1,
    LegacySessionPendingPreKeyV1, LegacySessionRatchetV1, LegacySessionRecordV1, LegacySessionV1,
    PublicKey, SessionRecord, consts,
};
use wacore::types::jid::JidExt as _;

use super::{Import, Skip};
use crate::record_name::Family;

impl Import {
    pub(super) fn sessions(
        &mut self,
        address: &Address,
        sessions: Vec<Session>,
    ) -> Result<(), Skip> {
        let sought = self.where_sought(address).to_protocol_address_string();
        let name = Family::Session.record([sought.as_str()]);
        if self.records.contains_key(&name) {
            return Err("the session under the LID is the newer one");
        }
        let newest = sessions
            .iter()
            .max_by_key(|session| (session.closed_at_ms.is_none(), session.used_at_ms))
            .ok_or("it holds no session")?;
        let identity = newest.remote_identity;
        let record = self
            .record(&sessions)
            .or_else(|_| {
                // An archived session may be broken where the current one is not.
                let current = sessions.iter().filter(|one| one.closed_at_ms.is_none());
                self.record(current)
            })
            .and_then(|record| {
                record
                    .serialize()
                    .map_err(LegacySessionInteropError::InvalidCanonicalRecord)
            })
            .map_err(|_| "its sessions cannot be continued")?;
        self.put(name, record);
        self.records
            .entry(Family::Identity.record([sought.as_str()]))
            .or_insert_with(|| Bytes::copy_from_slice(&identity));
        self.report.sessions += 1;
        Ok(())
    }

    fn record<'a>(
        &self,
        sessions: impl IntoIterator<Item = &'a Session>,
    ) -> Result<SessionRecord, LegacySessionInteropError> {
        let sessions = sessions.into_iter().map(|session| {
            Ok(LegacyIndexedSessionV1 {
                index_key: serialized(&session.base_key),
                session: legacy(session)?,
            })
        });
        let sessions = sessions.collect::<Result<_, LegacySessionInteropError>>()?;
        let local = LegacySessionLocalContext {
            identity_key: IdentityKey::new(self.device.identity_key.public_key),
            registration_id: self.device.registration_id,
        };
        LegacySessionRecordV1::from_indexed_sessions(sessions)?.into_session_record(local)
    }
}

fn legacy(session: &Session) -> Result<LegacySessionV1, LegacySessionInteropError> {
    let base_key_role = match session.base_key_is_ours {
        true => LegacySessionBaseKeyRoleV1::Local,
        false => LegacySessionBaseKeyRoleV1::Remote,
    };
    let disposition = match session.closed_at_ms {
        None => LegacySessionDispositionV1::Current,
        Some(closed_at_ms) => LegacySessionDispositionV1::Archived { closed_at_ms },
    };
    // The library keeps the last few chains. Their order was lost, so those go first that can open no
    // message any more.
    let mut chains: Vec<&Chain> = session.chains.iter().collect();
    chains.sort_by_key(|chain| (chain.key.is_some(), !chain.skipped.is_empty()));
    Ok(LegacySessionV1 {
        registration_id: session.registration_id,
        ratchet: LegacySessionRatchetV1 {
            key_pair: LegacySessionKeyPairV1 {
                public: serialized(&session.ratchet_public),
                private: secret(&session.ratchet_private),
            },
            last_remote_ephemeral_key: serialized(&session.last_remote_ratchet),
            previous_counter: session.previous_counter,
            root_key: secret(&session.root_key),
        },
        index: LegacySessionIndexV1 {
            base_key: serialized(&session.base_key),
            base_key_role,
            disposition,
            used_at_ms: session.used_at_ms,
            created_at_ms: session.created_at_ms,
            remote_identity_key: serialized(&session.remote_identity),
        },
        chains: chains.into_iter().map(chain).collect::<Result<_, _>>()?,
        pending_pre_key: session.pending_pre_key.as_ref().map(pending),
    })
}

fn chain(chain: &Chain) -> Result<LegacySessionChainV1, LegacySessionInteropError> {
    let role = match chain.is_sending {
        true => LegacySessionChainRoleV1::Sending,
        false => LegacySessionChainRoleV1::Receiving,
    };
    let mut skipped = chain.skipped.clone();
    skipped.sort_unstable();
    let surplus = skipped.len().saturating_sub(consts::MAX_MESSAGE_KEYS);
    Ok(LegacySessionChainV1 {
        ratchet_key: serialized(&chain.ratchet_key),
        role,
        chain_key: LegacySessionChainKeyV1 {
            counter: LegacySessionChainCounterV1::new(chain.counter)?,
            key: chain.key.as_ref().map(secret),
        },
        message_keys: skipped[surplus..]
            .iter()
            .map(|(index, seed)| LegacySessionMessageKeyV1 {
                index: *index,
                seed: secret(seed),
            })
            .collect(),
    })
}

fn pending(pending: &PendingPreKey) -> LegacySessionPendingPreKeyV1 {
    LegacySessionPendingPreKeyV1 {
        pre_key_id: pending.pre_key_id,
        signed_pre_key_id: pending.signed_pre_key_id,
        base_key: serialized(&pending.base_key),
    }
}

fn secret(key: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(key)
}

/// A public key with the byte that names its type.
fn serialized(key: &[u8; 32]) -> Bytes {
    let key = PublicKey::from_djb_public_key_bytes(key).expect("any 32 bytes are a public key");
    Bytes::copy_from_slice(&key.serialize())
}
