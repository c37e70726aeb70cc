//! The smaller files: sender keys, app state, tokens.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::{Node, Problem, Result};

const KEY: &str = "32 bytes";
const ID: &str = "a number of 32 bits";

/// One of a device's sender keys in a group.
#[derive(Clone, PartialEq, Eq)]
pub struct SenderKeyState {
    /// Its id.
    pub id: u32,
    /// Number of the next message.
    pub iteration: u32,
    /// The chain key.
    pub seed: [u8; 32],
    /// Public half of the signing key.
    pub signing_public: [u8; 32],
    /// Private half, only of our own.
    pub signing_private: Option<[u8; 32]>,
    /// Keys of messages that were overtaken.
    pub skipped: Vec<(u32, [u8; 32])>,
}

/// Sender keys of a device, oldest first. They are JSON text within JSON, in older releases not.
pub(super) fn sender_keys(node: &Node<'_>) -> Result<Vec<SenderKeyState>> {
    if node.is_list() {
        return sender_key_states(node);
    }
    let value: Value =
        serde_json::from_slice(&node.bytes()?).map_err(|_| node.not("JSON in bytes"))?;
    sender_key_states(&Node::root(&value))
}

fn sender_key_states(node: &Node<'_>) -> Result<Vec<SenderKeyState>> {
    let state = |node: Node<'_>| {
        let chain = node.field("senderChainKey")?;
        let signing = node.field("senderSigningKey")?;
        let private = signing.optional("private")?;
        let private = private.filter(|private| private.bytes().ok().is_none_or(|b| !b.is_empty()));
        let skipped = match node.optional("senderMessageKeys")? {
            Some(skipped) if skipped.is_list() => skipped
                .items()?
                .map(|key| {
                    Ok((
                        key.field("iteration")?.unsigned(ID)?,
                        key.field("seed")?.exactly(KEY)?,
                    ))
                })
                .collect::<Result<_>>()?,
            _ => Vec::new(),
        };
        Ok(SenderKeyState {
            id: node.field("senderKeyId")?.unsigned(ID)?,
            iteration: chain.field("iteration")?.unsigned(ID)?,
            seed: chain.field("seed")?.exactly(KEY)?,
            signing_public: signing.field("public")?.public_key()?,
            signing_private: private.map(|private| private.exactly(KEY)).transpose()?,
            skipped,
        })
    };
    node.items()?.map(state).collect()
}

/// The devices that have our sender key of a group.
pub(super) fn sender_key_memory(node: &Node<'_>) -> Result<BTreeMap<String, bool>> {
    node.entries()?
        .map(|(device, has)| Ok((device.to_owned(), has.flag()?)))
        .collect()
}

/// An app-state key.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncKey {
    /// The key.
    pub data: Vec<u8>,
    /// Which devices know it.
    pub fingerprint: Option<Fingerprint>,
    /// When it was made.
    pub timestamp: i64,
}

/// Which devices know an app-state key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Id of the list of devices.
    pub raw_id: Option<u32>,
    /// Index of the newest device.
    pub current_index: Option<u32>,
    /// Indexes of the devices.
    pub device_indexes: Vec<u32>,
}

pub(super) fn sync_key(node: &Node<'_>) -> Result<SyncKey> {
    let index = |node: &Node<'_>, name: &str| {
        let index = node.optional(name)?;
        index.map(|index| index.unsigned(ID)).transpose()
    };
    let fingerprint = |node: Node<'_>| {
        let indexes = match node.optional("deviceIndexes")? {
            Some(list) => list
                .items()?
                .map(|index| index.unsigned(ID))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        Ok::<_, Problem>(Fingerprint {
            raw_id: index(&node, "rawId")?,
            current_index: index(&node, "currentIndex")?,
            device_indexes: indexes,
        })
    };
    Ok(SyncKey {
        data: node.field("keyData")?.bytes()?,
        fingerprint: node.optional("fingerprint")?.map(fingerprint).transpose()?,
        timestamp: node
            .optional("timestamp")?
            .map_or(Ok(0), |time| time.number())?,
    })
}

/// Where an app-state collection stands.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncVersion {
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: [u8; 128],
    /// MACs of its values, by the MACs of their indexes.
    pub macs: Vec<([u8; 32], [u8; 32])>,
}

pub(super) fn sync_version(node: &Node<'_>) -> Result<SyncVersion> {
    let macs = node.field("indexValueMap")?;
    let macs = macs.entries()?.map(|(index, entry)| {
        let index = super::node::from_base64(index).and_then(|index| index.try_into().ok());
        Ok((
            index.ok_or_else(|| entry.not("named by 32 bytes"))?,
            entry.field("valueMac")?.exactly(KEY)?,
        ))
    });
    Ok(SyncVersion {
        version: node.field("version")?.unsigned("a version")?,
        hash: node.field("hash")?.exactly("128 bytes")?,
        macs: macs.collect::<Result<_>>()?,
    })
}

/// A trusted contact's token.
#[derive(Clone, PartialEq, Eq)]
pub struct TcToken {
    /// The token; empty if only ours was sent.
    pub token: Vec<u8>,
    /// When it was made, in unix seconds.
    pub timestamp: Option<i64>,
    /// When ours was sent, in unix seconds.
    pub sent_at: Option<i64>,
}

pub(super) fn tc_token(node: &Node<'_>) -> Result<TcToken> {
    let time = |name: &str| node.optional(name)?.map(|time| time.number()).transpose();
    Ok(TcToken {
        token: node.field("token")?.bytes()?,
        timestamp: time("timestamp")?,
        sent_at: time("senderTimestamp")?,
    })
}

/// The other half of a pair of phone number and LID.
pub(super) fn user(node: &Node<'_>) -> Result<String> {
    let text = node.text()?;
    if super::name::is_user(text) {
        Ok(text.to_owned())
    } else {
        Err(node.not("a number or a LID"))
    }
}
