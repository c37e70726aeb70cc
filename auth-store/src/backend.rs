//! The library's `Backend`: its five storage traits over [`AuthStore`], one
//! file per topic. What each method means is the library's contract; only what
//! differs from it is said here.

pub(crate) mod app_sync;
mod device;
mod due;
mod lid_mapping;
mod message_secret;
mod pending_inbound;
pub(crate) mod pre_key;
mod protocol;
mod sender_key_devices;
mod sent_message;
mod signal;
mod tc_token;

use wacore::store::error::StoreError;

use crate::record::RecordError;

/// Rows that an expiry sweep deletes in one transaction.
const SWEEP: usize = 500;

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        StoreError::Database(Box::new(error))
    }
}
