//! What was taken from a Baileys folder, and what was not.

use std::fmt;

use auth_format::Masked;
use auth_format::baileys::{FolderError, Unread};

/// What became of a folder's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaileysReport {
    /// One-time pre-keys.
    pub pre_keys: usize,
    /// Devices whose Signal sessions go on.
    pub sessions: usize,
    /// Identities that stood in files of their own.
    pub identities: usize,
    /// Sender keys of groups: one for each member and group.
    pub sender_keys: usize,
    /// Groups in which our own sender key goes on.
    pub own_sender_keys: usize,
    /// App-state keys.
    pub sync_keys: usize,
    /// App-state collections.
    pub sync_versions: usize,
    /// Pairs of phone number and LID.
    pub lid_mappings: usize,
    /// Trusted contacts' tokens.
    pub tc_tokens: usize,
    /// Files with what will be fetched again.
    pub not_needed: usize,
    /// Files that were not taken, or not whole.
    pub skipped: Vec<SkippedFile>,
}

/// A file that was not taken, and why. Its name is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// The file's name, masked.
    pub file: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for SkippedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.reason)
    }
}

impl BaileysReport {
    pub(super) fn unread(&mut self, file: &str, why: &Unread) {
        match why {
            Unread::NotNeeded => self.not_needed += 1,
            why => self.skip(file, why),
        }
    }

    pub(super) fn skip(&mut self, file: &str, why: impl fmt::Display) {
        self.skipped.push(SkippedFile {
            file: Masked(file).to_string(),
            reason: why.to_string(),
        });
    }
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum BaileysError {
    /// It is no folder of a linked device.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The device's own keys do not fit together.
    #[error("creds.json: {field} {problem}")]
    Device {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}
