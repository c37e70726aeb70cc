//! The time-limited right to operate an account.
//!
//! ```text
//!            ┌─────────┐  lease free, holder dead, or no beat for a TTL   ┌────────┐
//!            │ standby │ ───────────────────────────────────────────────▶ │ holder │
//!            └─────────┘ ◀─────────────────────────────────────────────── └────────┘
//!                          beat refused (fenced), trust ran out, released
//! ```
//!
//! - All lease times are computed by the store's clock. No worker's wall clock is compared with
//!   another's.
//! - A holder trusts its lease until `0.99 · TTL − margin` after it *sent* its last successful
//!   renewal, on `CLOCK_BOOTTIME` ([`trust::Trust`]). So it stops by itself before the store lets
//!   anybody else in, whatever happened to the answer.
//! - What trust cannot stop, a write that was on its way, the fence does: every protected
//!   transaction first looks for its epoch and token ([`crate::store::Fence`]).
//! - On one machine a holder also locks a file ([`beacon`]). Who gets that lock knows that the
//!   holder's process is dead and need not wait for the TTL. Safety never rests on it.
//!
//! Failures: an unanswered heartbeat changes nothing until trust runs out; a refused one ends the
//! term at once; an error is retried within a second, not at the next beat.

pub mod beacon;
pub mod core;
pub mod keeper;
pub mod timing;
pub mod trust;
