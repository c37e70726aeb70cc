//! From what an agent wants to say to a message that its account sends.
//!
//! [`message`] is the domain's message: what agents hand in, checked at the door, kept in the store,
//! and encoded by the session that sends it. [`delivery`] decides what becomes of it after an attempt.

pub mod delivery;
pub mod message;
