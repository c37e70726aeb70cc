//! From a decrypted message to a committed job.
//!
//! The session decodes each message into an [`message::Inbound`]; [`disposition`] decides what
//! becomes of it (a closed table), [`identity`] says which message it is, [`intake`] gathers what
//! arrives together and commits it in one fenced transaction. Only after that commit does the session
//! acknowledge. [`backfill`] decides about the past that a phone tells of when it is linked.
//!
//! Failures: a message that cannot be understood becomes a failed job and never an error; a store
//! that does not answer is asked again until trust runs out; a lost lease ends the connection with
//! the messages unacknowledged, so that WhatsApp delivers them to the next holder.

pub mod backfill;
pub mod disposition;
pub mod identity;
pub mod intake;
pub mod message;
pub mod policy;
pub mod summary;
