#![doc = include_str!("../README.md")]

mod account;
mod backend;
mod baileys;
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
mod reading;
mod record;
mod record_name;
mod sealer;
mod snapshot;
mod store;
mod writer;

pub use account::{AccountName, BadAccountName};
pub use baileys::{BaileysError, BaileysReport, SkippedFile};
pub use gate::SignalGate;
pub use generation::{Generation, RetiredGeneration};
pub use head::{Head, KeySet};
pub use inspection::{Inspection, inspect};
pub use key_file::{KEY_FILE, KeyFileError, KeyOrigin};
pub use ledger::{InboundId, InboundLedger, LedgerError, Missing};
pub use local::{LocalMedium, OpenMediumError};
pub use poison::Poison;
pub use record::{Batch, Damage, RecordError, RecordKey, RecordStore, after_prefix};
pub use sealer::{MasterKey, NoRandomness, Sealer};
pub use snapshot::{BadPassphrase, BundleError, Passphrase, Snapshot};
pub use store::{AuthStore, Credentials, OpenError, Options};
