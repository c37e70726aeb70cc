//! From what an agent wants to say to a message that its account sends.
//!
//! [`message`] is the domain's message: what agents hand in, checked at the door, kept in the store,
//! and encoded by the session that sends it. [`media`] takes in the file that it names, [`delivery`]
//! decides what becomes of it after an attempt,
//! [`pacing`] how fast an account may write.

pub mod delivery;
pub mod media;
pub mod message;
pub mod pacing;
