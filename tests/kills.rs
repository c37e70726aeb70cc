//! kill -9 at random moments: after each the worker connects without a code, nothing is lost, nothing
//! doubled, nothing acknowledged before it was committed, and no counter of a ratchet used twice, which
//! the simulator looks out for.
//!
//! [`linking`]: while an account is linked. [`backlog`]: while what waited is taken in. [`streaming`]:
//! while messages come and answers go.

mod backlog;
mod linking;
mod medium;
mod streaming;
