//! `session-*.json`: what libsignal-node calls a session record, version 1.

use super::node::{Node, Result};

/// One current and archived sessions with a device.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The peer's registration id.
    pub registration_id: u32,
    /// Public half of our ratchet key.
    pub ratchet_public: [u8; 32],
    /// Private half of our ratchet key.
    pub ratchet_private: [u8; 32],
    /// The peer's ratchet key.
    pub last_remote_ratchet: [u8; 32],
    /// How far the sending chain before this one came.
    pub previous_counter: i64,
    /// The root key.
    pub root_key: [u8; 32],
    /// The key that names the session.
    pub base_key: [u8; 32],
    /// Whether we made it.
    pub base_key_is_ours: bool,
    /// When it was archived; `None` for the current one.
    pub closed_at_ms: Option<i64>,
    /// When it was used last.
    pub used_at_ms: u64,
    /// When it was made.
    pub created_at_ms: u64,
    /// The peer's identity.
    pub remote_identity: [u8; 32],
    /// Its chains.
    pub chains: Vec<Chain>,
    /// What a first message must carry, as long as the peer has not answered.
    pub pending_pre_key: Option<PendingPreKey>,
}

/// One chain of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    /// The ratchet key that it belongs to.
    pub ratchet_key: [u8; 32],
    /// Whether we send on it.
    pub is_sending: bool,
    /// The last message's number, -1 before the first.
    pub counter: i64,
    /// The chain key; none once the chain is closed.
    pub key: Option<[u8; 32]>,
    /// Keys of messages that were overtaken.
    pub skipped: Vec<(u32, [u8; 32])>,
}

/// The keys that a first message names.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingPreKey {
    /// The one-time pre-key, if one was used.
    pub pre_key_id: Option<u32>,
    /// The signed pre-key.
    pub signed_pre_key_id: u32,
    /// Our key.
    pub base_key: [u8; 32],
}

const ID: &str = "a number of 32 bits";
const KEY: &str = "32 bytes";

pub(super) fn read(node: &Node<'_>) -> Result<Vec<Session>> {
    if let Some(version) = node.optional("version")?
        && version.text()? != "v1"
    {
        return Err(version.not("a version that is known"));
    }
    // Before version 1 it stood beside the sessions.
    let registration_id = node
        .optional("registrationId")?
        .map(|id| id.unsigned(ID))
        .transpose()?;
    let Some(sessions) = node.optional("_sessions")? else {
        return Ok(Vec::new());
    };
    let sessions = sessions.entries()?;
    sessions
        .map(|(_, session)| read_one(&session, registration_id))
        .collect()
}

fn read_one(node: &Node<'_>, registration_id: Option<u32>) -> Result<Session> {
    let ratchet = node.field("currentRatchet")?;
    let pair = ratchet.field("ephemeralKeyPair")?;
    let index = node.field("indexInfo")?;
    let time = |name: &str| -> Result<u64> {
        let time = index.optional(name)?;
        time.map_or(Ok(0), |time| time.unsigned("a time"))
    };
    let closed = index.field("closed")?;
    let closed_at_ms = match closed.number()? {
        -1 => None,
        at if at >= 0 => Some(at),
        _ => return Err(closed.not("a time")),
    };
    Ok(Session {
        registration_id: match (node.optional("registrationId")?, registration_id) {
            (None, Some(id)) => id,
            _ => node.field("registrationId")?.unsigned(ID)?,
        },
        ratchet_public: pair.field("pubKey")?.public_key()?,
        ratchet_private: pair.field("privKey")?.exactly(KEY)?,
        last_remote_ratchet: ratchet.field("lastRemoteEphemeralKey")?.public_key()?,
        previous_counter: ratchet.field("previousCounter")?.number()?,
        root_key: ratchet.field("rootKey")?.exactly(KEY)?,
        base_key: index.field("baseKey")?.public_key()?,
        base_key_is_ours: is_first(&index.field("baseKeyType")?, "who made the base key")?,
        closed_at_ms,
        used_at_ms: time("used")?,
        created_at_ms: time("created")?,
        remote_identity: index.field("remoteIdentityKey")?.public_key()?,
        chains: node
            .field("_chains")?
            .entries()?
            .map(|(name, chain)| read_chain(name, &chain))
            .collect::<Result<_>>()?,
        pending_pre_key: node
            .optional("pendingPreKey")?
            .map(|pending| read_pending(&pending))
            .transpose()?,
    })
}

fn read_chain(name: &str, node: &Node<'_>) -> Result<Chain> {
    let key = node.field("chainKey")?;
    let skipped = node.field("messageKeys")?;
    let skipped = skipped.entries()?.map(|(number, seed)| {
        let number = number.parse().map_err(|_| seed.not("named by a number"))?;
        Ok((number, seed.exactly(KEY)?))
    });
    Ok(Chain {
        ratchet_key: node.named_public_key(name)?,
        is_sending: is_first(&node.field("chainType")?, "a kind of chain")?,
        counter: key.field("counter")?.number()?,
        key: key
            .optional("key")?
            .map(|key| key.exactly(KEY))
            .transpose()?,
        skipped: skipped.collect::<Result<_>>()?,
    })
}

fn read_pending(node: &Node<'_>) -> Result<PendingPreKey> {
    Ok(PendingPreKey {
        pre_key_id: node
            .optional("preKeyId")?
            .map(|id| id.unsigned(ID))
            .transpose()?,
        signed_pre_key_id: node.field("signedKeyId")?.unsigned(ID)?,
        base_key: node.field("baseKey")?.public_key()?,
    })
}

/// libsignal-node numbers the two of a kind from 1.
fn is_first(node: &Node<'_>, expected: &'static str) -> Result<bool> {
    match node.number()? {
        1 => Ok(true),
        2 => Ok(false),
        _ => Err(node.not(expected)),
    }
}
