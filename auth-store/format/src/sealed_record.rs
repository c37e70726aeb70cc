//! The envelope of one sealed value.

use bytes::Bytes;
use prost::Message as _;

use crate::schema;

/// The version of the envelope that this release writes and reads.
pub const VERSION: u32 = 1;
/// Length of a key's id.
pub const KEY_ID_LEN: usize = 8;
/// Length of a nonce.
pub const NONCE_LEN: usize = 12;
/// The cipher's tag: nothing sealed is shorter.
pub(crate) const TAG_LEN: usize = 16;

/// One sealed value and what is needed to open it. See `proto/sealed_record.proto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    /// Names the key that sealed it.
    pub key_id: [u8; KEY_ID_LEN],
    /// Number of the generation of credentials that it belongs to.
    pub generation: u64,
    /// Drawn for this value.
    pub nonce: [u8; NONCE_LEN],
    /// The value under AES-256-GCM, its tag at the end.
    pub ciphertext: Bytes,
}

/// Why bytes are no [`SealedRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRecord {
    /// They are damaged, or were never one.
    #[error("its envelope does not decode")]
    Envelope,
    /// It was written by a newer release.
    #[error("its version {0} is unknown to this release")]
    Version(u32),
}

impl SealedRecord {
    /// Reads an envelope of this release's [`VERSION`]; the ciphertext shares the memory of `bytes`.
    ///
    /// # Errors
    /// [`UnreadableRecord::Version`] if another release wrote it, whatever else is in it;
    /// [`UnreadableRecord::Envelope`] if a field is missing, has a wrong length or is not known.
    pub fn decode(bytes: Bytes) -> Result<Self, UnreadableRecord> {
        let length = bytes.len();
        let read = schema::SealedRecord::decode(bytes).map_err(|_| UnreadableRecord::Envelope)?;
        // The default is what a record without a version reads as.
        if read.version == 0 {
            return Err(UnreadableRecord::Envelope);
        }
        if read.version != VERSION {
            return Err(UnreadableRecord::Version(read.version));
        }
        // Whatever the schema does not know, or what stands twice, is lost in decoding.
        if read.encoded_len() != length || read.ciphertext.len() < TAG_LEN {
            return Err(UnreadableRecord::Envelope);
        }
        let exactly = |_| UnreadableRecord::Envelope;
        Ok(Self {
            key_id: read.key_id.as_ref().try_into().map_err(exactly)?,
            generation: read.generation,
            nonce: read.nonce.as_ref().try_into().map_err(exactly)?,
            ciphertext: read.ciphertext,
        })
    }

    /// Writes the envelope that [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Bytes {
        let record = schema::SealedRecord {
            version: VERSION,
            key_id: Bytes::copy_from_slice(&self.key_id),
            generation: self.generation,
            nonce: Bytes::copy_from_slice(&self.nonce),
            ciphertext: self.ciphertext.clone(),
        };
        record.encode_to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SealedRecord {
        SealedRecord {
            key_id: [7; KEY_ID_LEN],
            generation: 3,
            nonce: [9; NONCE_LEN],
            ciphertext: Bytes::from_static(&[1; 40]),
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        assert_eq!(SealedRecord::decode(record().encode()), Ok(record()));
    }

    #[test]
    fn a_record_cut_anywhere_is_refused() {
        let whole = record().encode();
        for length in 0..whole.len() {
            let cut = SealedRecord::decode(whole.slice(..length));
            assert_eq!(cut, Err(UnreadableRecord::Envelope), "at {length}");
        }
    }

    #[test]
    fn what_the_schema_does_not_know_is_refused_and_a_newer_version_named() {
        let mut longer = Vec::from(record().encode());
        longer.extend_from_slice(&[0x78, 1]);
        let known = SealedRecord::decode(longer.into());
        assert_eq!(known, Err(UnreadableRecord::Envelope));

        let newer = schema::SealedRecord {
            version: VERSION + 1,
            ..Default::default()
        };
        assert_eq!(
            SealedRecord::decode(newer.encode_to_vec().into()),
            Err(UnreadableRecord::Version(VERSION + 1))
        );
    }
}
