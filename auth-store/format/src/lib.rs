//! What auth state looks like at rest: the sealed record, the export bundle, a Baileys auth folder.
//!
//! Bytes in, checked structures out, and back. No keys are used here and no protocol library is
//! needed: so what reads bytes of unknown origin can be fuzzed by itself.

pub mod baileys;
mod bundle;
mod masked;
mod sealed_record;

pub use bundle::{Bundle, BundleFile, Kdf, SALT_LEN, UnreadableBundle};
pub use masked::Masked;
pub use schema::{ExportContents, ExportRecord};
pub use sealed_record::{KEY_ID_LEN, NONCE_LEN, SealedRecord, UnreadableRecord, VERSION};

/// The messages of `proto/`, as the compiler makes them: unchecked.
mod schema {
    include!(concat!(env!("OUT_DIR"), "/whatsapp_worker.auth.v1.rs"));
}
