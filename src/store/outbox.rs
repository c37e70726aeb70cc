//! Messages that wait to be sent, and what became of them.
//!
//! A chat's messages queue in a lane, in the order in which they were put in. Its row is locked before
//! anything about its messages is written, so that no lane is left idle with work, nor has two messages
//! on their way. Whoever may write puts messages in; what concerns their sending is written by the
//! lease holder, fenced, and decided by [`outbound::delivery`](crate::outbound::delivery).
//!
//! - [`enqueue`]: in, and the conversation that it belongs to
//! - [`lane`]: whose turn it is
//! - [`claim`], [`settle`]: an attempt's begin and end; what a dead holder left
//! - [`proof`]: what receipts tell
//! - [`operator`]: taking back, trying anew
//! - [`talk`]: what was said in a conversation, both ways

mod claim;
mod depth;
mod enqueue;
mod lane;
mod operator;
mod proof;
mod row;
mod settle;
mod talk;

pub use self::claim::{ChatAddress, Claimed, Dispatch};
pub use self::depth::OutboxDepth;
pub use self::enqueue::{Enqueued, Origin, Request};
pub(in crate::store) use self::enqueue::{insert_outgoing, resolve};
pub(in crate::store) use self::lane::refresh as refresh_lane;
pub use self::operator::{Cancelled, Retried};
pub use self::proof::{Proof, Proven};
pub use self::row::{Attempt, OutboxDetail, OutboxFilter, OutboxRow};
pub use self::settle::{Recovered, Settled};
pub use self::talk::{Cursor, Talk, Turn};
