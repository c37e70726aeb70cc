//! What auth state looks like at rest: the sealed record, the export bundle, a Baileys auth folder.
//!
//! Bytes in, checked structures out, and back. No keys, no protocol library: so that what reads
//! bytes of unknown origin can be fuzzed by itself.

mod sealed_record;

pub use sealed_record::{KEY_ID_LEN, NONCE_LEN, SealedRecord, UnreadableRecord, VERSION};

/// The messages of `proto/`, as the compiler makes them: unchecked.
mod schema {
    include!(concat!(env!("OUT_DIR"), "/whatsapp_worker.auth.v1.rs"));
}
