//! Batches on disk until their sink has taken them: a queue that outlives its process.
//!
//! ```text
//! EVENTS_SPOOL_DIR/axiom/w1#3f2a9c01/lock                          locked while its process lives
//!                                    evb_0199f3….…-1000.jsonl      a batch: its id, how many events
//! ```
//!
//! - A file is written under its final name and read as far as its last whole line: what a kill cut off
//!   within it is counted, the rest is sent.
//! - A folder comes to its name with its lock held, so a folder whose lock is free belongs to a dead
//!   process. Any living one moves its files into its own folder, one by one: each file is in one place
//!   whoever dies meanwhile, and ids sort by time, so they leave in order.
//! - Beyond its bound the oldest batch is lost, and counted.
//! - Files are not synced: what a power cut takes is seconds.
//!
//! Everything here blocks for the time of a few file operations.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::SpoolPlace;
use crate::ids::OwnerId;
use crate::telemetry::meters;
use crate::telemetry::outlets::{Losses, Record};

const LOCK: &str = "lock";
const SUFFIX: &str = ".jsonl";

/// What may wait in memory while the disk takes nothing.
const LOOSE_BYTES: u64 = 4 << 20;

/// Events that travel together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The same for each attempt, by whatever process. Sorted by time.
    pub id: String,
    /// One JSON object on each line, each line ended.
    pub lines: Bytes,
}

impl Batch {
    /// How many events.
    pub fn count(&self) -> u64 {
        count(&self.lines)
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// A batch that waits.
#[derive(Clone, Debug)]
struct Entry {
    id: String,
    events: u64,
    bytes: u64,
    /// When the disk did not take it.
    loose: Option<Bytes>,
}

impl Entry {
    fn file(&self) -> String {
        format!("{}-{}{SUFFIX}", self.id, self.events)
    }

    /// Of a file's name; none: it is no batch.
    fn named(name: &str, bytes: u64) -> Option<Self> {
        let (id, events) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        Some(Self {
            id: id.starts_with("evb_").then(|| id.to_owned())?,
            events: events.parse().ok()?,
            bytes,
            loose: None,
        })
    }
}

/// What waits for one sink, of one process.
#[derive(Debug)]
pub struct Spool {
    sink: &'static str,
    /// Of all processes.
    all: PathBuf,
    own: PathBuf,
    _lock: File,
    waiting: VecDeque<Entry>,
    bytes: u64,
    max_bytes: u64,
    losses: Losses,
}

impl Spool {
    /// Makes the folder of `owner` for `sink` and takes over what dead processes left.
    ///
    /// # Errors
    /// The directory cannot be made or written, or its file system has no locks.
    pub fn open(
        place: &SpoolPlace,
        sink: &'static str,
        owner: &OwnerId,
        losses: Losses,
    ) -> io::Result<Self> {
        let all = place.dir.join(sink);
        let own = all.join(owner.as_str());
        let unfinished = all.join(format!(".{owner}"));
        fs::create_dir_all(&unfinished)?;
        let lock = File::create(unfinished.join(LOCK))?;
        lock.try_lock()?;
        fs::rename(&unfinished, &own)?;
        let mut spool = Self {
            sink,
            all,
            own,
            _lock: lock,
            waiting: VecDeque::new(),
            bytes: 0,
            max_bytes: place.max_bytes,
            losses,
        };
        spool.take_over();
        Ok(spool)
    }

    /// Keeps a batch. What no longer fits is lost, the oldest first.
    pub fn put(&mut self, records: &[Arc<Record>]) {
        let mut lines = Vec::new();
        for record in records {
            lines.extend_from_slice(record.json.as_bytes());
            lines.push(b'\n');
        }
        let mut entry = Entry {
            id: format!("evb_{}", Uuid::now_v7().simple()),
            events: records.len() as u64,
            bytes: lines.len() as u64,
            loose: None,
        };
        if let Err(error) = self.write(&entry, &lines) {
            let loose = self.waiting.iter().filter(|one| one.loose.is_some());
            let loose: u64 = loose.map(|one| one.bytes).sum();
            if loose + entry.bytes > LOOSE_BYTES {
                let why = format!("EVENTS_SPOOL_DIR cannot be written: {error}");
                self.losses.add(entry.events, &why);
                return;
            }
            entry.loose = Some(lines.into());
        }
        self.bytes += entry.bytes;
        self.waiting.push_back(entry);
        self.shrink();
    }

    fn write(&self, entry: &Entry, lines: &[u8]) -> io::Result<()> {
        let path = self.own.join(entry.file());
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        file.write_all(lines).inspect_err(|_| {
            // Half of it would be sent beside the whole.
            let _ = fs::remove_file(&path);
        })
    }

    /// The batch that is next; what cannot be read of it is lost.
    pub fn oldest(&mut self) -> Option<Batch> {
        loop {
            let entry = self.waiting.front()?;
            let lines = match &entry.loose {
                Some(lines) => Ok(lines.clone()),
                None => fs::read(self.own.join(entry.file())).map(Bytes::from),
            };
            let whole = lines.map(|lines| {
                let end = lines.iter().rposition(|&byte| byte == b'\n');
                lines.slice(..end.map_or(0, |end| end + 1))
            });
            let (id, events) = (entry.id.clone(), entry.events);
            match whole {
                Ok(lines) if !lines.is_empty() => {
                    let lost = events.saturating_sub(count(&lines));
                    if lost > 0 {
                        self.losses.add(lost, "a file of the spool was cut off");
                        self.rename_front(count(&lines));
                    }
                    return Some(Batch { id, lines });
                }
                Ok(_) => self.losses.add(events, "a file of the spool is empty"),
                Err(error) => {
                    let why = format!("a file of the spool cannot be read: {error}");
                    self.losses.add(events, &why);
                }
            }
            self.done(&id);
        }
    }

    /// What was lost of the first file is not to be counted again.
    fn rename_front(&mut self, events: u64) {
        if let Some(entry) = self.waiting.front_mut() {
            let before = self.own.join(entry.file());
            entry.events = events;
            let _ = fs::rename(before, self.own.join(entry.file()));
        }
    }

    /// A batch needs to wait no more. One that was lost meanwhile is passed over.
    pub fn done(&mut self, id: &str) {
        if self.waiting.front().is_some_and(|entry| entry.id == id) {
            self.remove_oldest();
        }
    }

    /// Moves what dead processes left into this one's folder. What cannot be moved is left for later.
    pub fn take_over(&mut self) {
        let mut found = Vec::new();
        for folder in entries(&self.all) {
            let hidden = folder.file_name().is_none_or(|name| {
                let name = name.to_string_lossy();
                // One that is being made: its lock is not held yet.
                name.starts_with('.')
            });
            if hidden || folder == self.own || !is_dead(&folder) {
                continue;
            }
            for file in entries(&folder) {
                let name = file
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned());
                let bytes = file.metadata().map_or(0, |file| file.len());
                let entry = name.and_then(|name| Entry::named(&name, bytes));
                // Another process may be faster: then the file is its.
                if let Some(entry) = entry
                    && fs::rename(&file, self.own.join(entry.file())).is_ok()
                {
                    found.push(entry);
                }
            }
            if entries(&folder).all(|file| file.ends_with(LOCK)) {
                let _ = fs::remove_file(folder.join(LOCK));
                let _ = fs::remove_dir(&folder);
            }
        }
        if found.is_empty() {
            return;
        }
        self.bytes += found.iter().map(|entry| entry.bytes).sum::<u64>();
        self.waiting.extend(found);
        self.waiting
            .make_contiguous()
            .sort_by(|a, b| a.id.cmp(&b.id));
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.max_bytes
            && let Some(events) = self.remove_oldest()
        {
            let why = "the sink takes nothing, and EVENTS_SPOOL_MAX_BYTES is full";
            self.losses.add(events, why);
        }
        meters::spooled(self.sink, self.bytes);
    }

    fn remove_oldest(&mut self) -> Option<u64> {
        let entry = self.waiting.pop_front()?;
        if entry.loose.is_none() {
            // It would be sent again by the next process: better twice than not at all.
            let _ = fs::remove_file(self.own.join(entry.file()));
        }
        self.bytes -= entry.bytes;
        meters::spooled(self.sink, self.bytes);
        Some(entry.events)
    }

    /// The process ends. What is on disk stays; what is in memory alone is lost.
    pub fn leave(&mut self) {
        let loose = self.waiting.iter().filter(|entry| entry.loose.is_some());
        let lost = loose.map(|entry| entry.events).sum();
        self.losses.add(lost, "EVENTS_SPOOL_DIR cannot be written");
        if self.waiting.is_empty() {
            let _ = fs::remove_file(self.own.join(LOCK));
            let _ = fs::remove_dir(&self.own);
        }
    }
}

/// What is in a folder that is there.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Whether the process of a folder has ended. Two that ask at once hear that it lives, or move its files
/// both: each file is moved once.
fn is_dead(folder: &Path) -> bool {
    match OpenOptions::new().write(true).open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => folder.is_dir() && error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests;
