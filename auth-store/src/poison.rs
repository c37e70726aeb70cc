//! Why a store takes no more writes.

/// A terminal reason. Whoever runs the session drops it when it sees one: what
/// the library holds in memory can no longer become durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// A newer owner holds the auth state.
    #[error("fenced by epoch {stored} (this process held {ours})")]
    Fenced {
        /// Epoch of this store.
        ours: i64,
        /// Epoch found in the medium.
        stored: i64,
    },
    /// The medium or a record in it is damaged.
    #[error("{0}")]
    Damaged(String),
    /// A write kept failing until the trust deadline.
    #[error("a write failed until the trust deadline: {0}")]
    DeadlinePassed(String),
    /// More received messages wait for storage than memory may hold.
    #[error("too many received messages are waiting to be stored")]
    RowsOverflow,
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    NoRandomness,
    /// Its generation was taken out of use. Open the store again for a fresh one.
    #[error("its generation was retired")]
    Retired,
    /// It was closed.
    #[error("it was closed")]
    Closed,
}
