//! A Baileys multi-file auth folder, as Baileys 6 and 7 write it.
//!
//! Everything here comes from files that another program wrote: each value is checked, nothing that
//! was read is quoted in an error, and what a file's name says is trusted no more than its content.

mod creds;
mod name;
mod node;
mod peers;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

pub use self::creds::{Account, Creds, KeyPair, OwnDevice, SignedPreKey};
pub use self::name::{Address, Domain, Kind};
use self::node::Node;
pub use self::node::Problem;
pub use self::peers::{Fingerprint, SenderKeyState, SyncKey, SyncVersion, TcToken};
pub use self::session::{Chain, PendingPreKey, Session};
use crate::Masked;

/// Nothing that Baileys writes comes near.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;
const CREDS: &str = "creds.json";

/// What one file holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// The device; `None` if it is not linked.
    Creds(Option<Box<Creds>>),
    /// A one-time pre-key.
    PreKey(u32, KeyPair),
    /// Sessions with a device.
    Sessions(Address, Vec<Session>),
    /// Identity of a device.
    Identity(Address, [u8; 32]),
    /// Sender keys of a device in a group, oldest first.
    SenderKeys(String, Address, Vec<SenderKeyState>),
    /// Which devices have our sender key of a group.
    SenderKeyMemory(String, BTreeMap<String, bool>),
    /// An app-state key, by its id.
    SyncKey(Vec<u8>, SyncKey),
    /// Where an app-state collection stands.
    SyncVersion(String, SyncVersion),
    /// A phone number and its LID.
    LidMapping {
        /// The phone number.
        phone: String,
        /// Its LID.
        lid: String,
    },
    /// A trusted contact's token, by its JID.
    TcToken(String, TcToken),
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// Baileys has no such files, or not with such a name.
    UnknownName,
    /// It is fetched again.
    NotNeeded,
    /// A field is not what it should be.
    Problem(Problem),
}

impl From<Problem> for Unread {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName => f.write_str("its name is not understood"),
            Self::NotNeeded => f.write_str("it is not needed, it will be fetched"),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

impl Entry {
    /// Reads the content of the file of this name.
    ///
    /// # Errors
    /// Names the field that is not what it should be.
    pub fn read(file: &str, content: &[u8]) -> Result<Self, Unread> {
        let kind = Kind::of(file).ok_or(Unread::UnknownName)?;
        let value: Value = serde_json::from_slice(content).map_err(|_| Problem {
            field: String::new(),
            expected: "JSON",
            missing: false,
        })?;
        Self::of(kind, &Node::root(&value))
    }

    fn of(kind: Kind, node: &Node<'_>) -> Result<Self, Unread> {
        Ok(match kind {
            Kind::Creds => Self::Creds(creds::read(node)?.map(Box::new)),
            Kind::PreKey(id) => Self::PreKey(id, creds::key_pair(node)?),
            Kind::Session(address) => Self::Sessions(address, session::read(node)?),
            Kind::Identity(address) => Self::Identity(address, node.public_key()?),
            Kind::SenderKey(group, sender) => {
                Self::SenderKeys(group, sender, peers::sender_keys(node)?)
            }
            Kind::SenderKeyMemory(group) => {
                Self::SenderKeyMemory(group, peers::sender_key_memory(node)?)
            }
            Kind::SyncKey(id) => Self::SyncKey(id, peers::sync_key(node)?),
            Kind::SyncVersion(collection) => {
                Self::SyncVersion(collection, peers::sync_version(node)?)
            }
            Kind::LidOfPhone(phone) => Self::LidMapping {
                lid: peers::user(node)?,
                phone,
            },
            Kind::PhoneOfLid(lid) => Self::LidMapping {
                phone: peers::user(node)?,
                lid,
            },
            Kind::TcToken(jid) => Self::TcToken(jid, peers::tc_token(node)?),
            Kind::NotNeeded => return Err(Unread::NotNeeded),
        })
    }
}

/// A folder's content: the linked device and whatever else could be read.
pub struct Folder {
    /// The linked device.
    pub creds: Creds,
    /// The other files, in the order of their names.
    pub entries: Vec<(String, Entry)>,
    /// Files that were not read, and why.
    pub unread: Vec<(String, Unread)>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The disk refused.
    #[error("{}: {source}", Masked(file))]
    Io {
        /// The file or folder.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no `creds.json`.
    #[error("creds.json is missing: this is no Baileys auth folder")]
    NoCreds,
    /// The device was never linked, or its link was not completed.
    #[error("creds.json has no `me` and `account`: this device is not linked")]
    NotLinked,
    /// The device's own file is not what it should be.
    #[error("creds.json: {0}")]
    Creds(Problem),
}

impl Folder {
    /// Reads a folder. It must not be in use.
    ///
    /// # Errors
    /// See [`FolderError`]; a file about one peer is no reason, it is named in `unread`.
    pub fn read(folder: &Path) -> Result<Self, FolderError> {
        let at = |file: &str| {
            let file = file.to_owned();
            move |source| FolderError::Io { file, source }
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(at("the folder"))? {
            let entry = entry.map_err(at("the folder"))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let path = folder.join(&name);
            let about = fs::metadata(&path).map_err(at(&name))?;
            let readable = about.is_file() && about.len() <= LARGEST_FILE;
            let content = match readable && Kind::of(&name).is_some() {
                true => fs::read(&path).map_err(at(&name))?,
                false => Vec::new(),
            };
            files.push((name, content));
        }
        Self::of(files)
    }

    /// Takes files that were read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, FolderError> {
        let mut device = None;
        let mut entries = Vec::new();
        let mut unread = Vec::new();
        for (name, content) in files {
            match Entry::read(&name, &content) {
                Ok(Entry::Creds(None)) => return Err(FolderError::NotLinked),
                Ok(Entry::Creds(Some(creds))) => device = Some(*creds),
                Ok(entry) => entries.push((name, entry)),
                Err(Unread::Problem(problem)) if name == CREDS => {
                    return Err(FolderError::Creds(problem));
                }
                Err(why) => unread.push((name, why)),
            }
        }
        Ok(Self {
            creds: device.ok_or(FolderError::NoCreds)?,
            entries,
            unread,
        })
    }
}
