#![doc = include_str!("../README.md")]

mod account;
mod backend;
mod cache;
mod clock;
mod gate;
mod generation;
mod head;
mod inspection;
mod key_file;
mod ledger;
mod local;
mod pending_rows;
mod poison;
mod publish;
mod quarantine;
mod reading;
mod record;
mod record_name;
mod sealer;
mod store;
mod writer;

pub use account::{AccountName, BadAccountName};
pub use gate::SignalGate;
pub use generation::{Generation, RetiredGeneration};
pub use head::{Head, KeySet};
pub use inspection::{Inspection, inspect};
pub use key_file::{KEY_FILE, KeyFileError, KeyOrigin};
pub use ledger::{InboundId, InboundLedger, LedgerError, Missing};
pub use local::{LocalMedium, OpenMediumError};
pub use poison::Poison;
pub use quarantine::quarantine;
pub use record::{Batch, Damage, RecordError, RecordKey, RecordStore, after_prefix};
pub use sealer::{MasterKey, NoRandomness, Sealer};
pub use store::{AuthStore, Credentials, OpenError, Options};
