//! What the first bytes of a file must say before SQLite may touch it.
//!
//! See <https://www.sqlite.org/fileformat2.html#the_database_header>.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::error::{OpenMediumError, damaged};
use super::file::{beside, io_error};

const SIGNATURE: &[u8; 16] = b"SQLite format 3\0";
const HEADER_LEN: usize = 100;

/// Refuses what SQLite would take for a new database and overwrite: a file
/// that is shorter than it says, or that is no database. And settings that no
/// file of ours has, since SQLite would act on them before anything is read.
pub(super) fn check(file: &Path) -> Result<(), OpenMediumError> {
    let had_log = has_log(file)?;
    let mut header = [0; HEADER_LEN];
    let read = File::open(file).and_then(|mut opened| {
        opened.read_exact(&mut header)?;
        Ok(opened.metadata()?.len())
    });
    match read {
        Ok(_) if !header.starts_with(SIGNATURE) => {
            Err(damaged(file, "it is no SQLite database").into())
        }
        Ok(_) if !has_our_settings(&header) => {
            Err(damaged(file, "its SQLite header has other settings").into())
        }
        // Pages may still be in a log.
        Ok(length) if !is_complete(&header, length) && !had_log && !has_log(file)? => {
            Err(damaged(file, "it is cut short").into())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(damaged(file, "it is cut short").into())
        }
        Err(error) => Err(io_error(file)(error)),
    }
}

fn has_our_settings(header: &[u8]) -> bool {
    let written_by = &header[18..20];
    let in_log_or_not = written_by == [2, 2] || written_by == [1, 1];
    let no_reserved_bytes_and_fixed_fractions = header[20..24] == [0, 64, 32, 32];
    let no_vacuum_by_itself = header[52..56] == [0; 4] && header[64..68] == [0; 4];
    let utf_8 = header[56..60] == [0, 0, 0, 1];
    in_log_or_not && no_reserved_bytes_and_fixed_fractions && no_vacuum_by_itself && utf_8
}

/// Whether all its pages are there, whole.
fn is_complete(header: &[u8; HEADER_LEN], length: u64) -> bool {
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    page > 0 && length.is_multiple_of(page) && length >= page * u64::from(pages)
}

fn has_log(file: &Path) -> Result<bool, OpenMediumError> {
    let log = beside(file, "-wal");
    match log.metadata() {
        Ok(log) => Ok(log.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&log)(error)),
    }
}
