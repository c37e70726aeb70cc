//! What auth state looks like at rest: the sealed record, the export bundle, a Baileys auth folder.
//!
//! Bytes in, checked structures out, and back. No keys, no disk, no protocol library: so that what
//! reads bytes of unknown origin can be fuzzed by itself.
