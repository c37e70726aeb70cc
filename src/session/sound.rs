//! How long a voice note is. Phones show what the message says, not what the file holds.
//!
//! Ogg (RFC 3533): pages begin with `OggS`, and bytes 6 to 13 of a page tell how many samples end on
//! it. Opus in Ogg (RFC 7845): 48,000 of them a second, after those that the header says to skip.

const PAGE: &[u8] = b"OggS";
const HEAD: &[u8] = b"OpusHead";
const SAMPLES_PER_SECOND: i64 = 48_000;
/// A page has at most 65,307 bytes: the last one begins in here.
const LAST: usize = 65_307;
const FIRST: usize = 512;

/// Hears a file and tells its length, if it is Opus in Ogg.
#[derive(Debug, Default)]
pub(super) struct OpusLength {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl OpusLength {
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let missing = FIRST.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..missing]);
        self.last
            .extend_from_slice(&bytes[bytes.len().saturating_sub(LAST)..]);
        let surplus = self.last.len().saturating_sub(LAST);
        self.last.drain(..surplus);
    }

    /// Whole seconds, at least one; nothing for other files.
    pub(super) fn seconds(&self) -> Option<u32> {
        if !self.first.starts_with(PAGE) {
            return None;
        }
        let head = find(&self.first, HEAD)?;
        let skip = self.first.get(head + 10..head + 12)?;
        let skip = i64::from(u16::from_le_bytes(skip.try_into().ok()?));
        let page = self.last.windows(PAGE.len()).rposition(|at| at == PAGE)?;
        let samples = self.last.get(page + 6..page + 14)?;
        let samples = i64::from_le_bytes(samples.try_into().ok()?);
        let heard = samples.checked_sub(skip).filter(|heard| *heard > 0)?;
        u32::try_from(heard / SAMPLES_PER_SECOND)
            .ok()
            .map(|seconds| seconds.max(1))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|at| at == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(samples: i64, body: &[u8]) -> Vec<u8> {
        let mut page = PAGE.to_vec();
        page.extend([0, 0]);
        page.extend(samples.to_le_bytes());
        page.extend([0; 13]);
        page.extend(body);
        page
    }

    fn file(seconds: i64) -> Vec<u8> {
        let head = [HEAD, &[1, 1], &312_u16.to_le_bytes(), &[0; 7]].concat();
        let sound = page(48_000, &[7; 60_000]).repeat(3);
        let last = page(seconds * 48_000 + 312 + 47_999, &[7; 5_000]);
        [page(0, &head), sound, last].concat()
    }

    fn heard(file: &[u8], piece: usize) -> Option<u32> {
        let mut length = OpusLength::default();
        file.chunks(piece).for_each(|piece| length.hear(piece));
        length.seconds()
    }

    #[test]
    fn a_voice_note_tells_its_length_however_it_comes() {
        for piece in [1, 7, 512, 100_000, 1_000_000] {
            assert_eq!(heard(&file(83), piece), Some(83));
        }
        assert_eq!(heard(&file(0), 1000), Some(1), "shorter than a second");
    }

    #[test]
    fn other_and_damaged_files_have_no_length() {
        let whole = file(5);
        assert_eq!(heard(b"ID3 and so on", 5), None);
        assert_eq!(heard(&whole[..20], 5), None);
        assert_eq!(heard(&[page(-1, HEAD), vec![0; 20]].concat(), 5), None);
        assert_eq!(
            heard(&page(i64::MIN, &[HEAD, &[1, 1, 9, 9]].concat()), 50),
            None
        );
    }
}
