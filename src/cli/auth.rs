//! `auth`: the linked device's keys.
//!
//! What looks, looks past whoever operates the account. What writes holds the account's lease itself
//! ([`custody`]), or asks the holder by an order in the store.

mod bundle;
mod custody;
mod keys;
mod migrate;
mod orders;
mod passphrase;
mod quarantine;
mod status;

use auth_store::{AccountName, LocalMedium, RecordStore, Sealer};
use clap::Subcommand;

use self::custody::Custody;
use super::{CliError, Output, chain, load_config};
use crate::app::{auth_home, existing_store};
use crate::config::{Config, KEY_CURE};
use crate::ids::AccountId;
use crate::session::AuthHome;
use crate::session::shelf::Shelf;
use crate::store::{Account, AuthMedium, AuthOrder, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Auth {
    /// What is known of an account's auth state, without touching it.
    Status {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
    },
    /// Write the account's credentials to a file, sealed with a passphrase.
    Export(bundle::Export),
    /// Take over credentials from an exported file or from a Baileys auth folder, without a new link.
    Import(bundle::Import),
    /// Move the auth state between this disk and the shared store, without a new link.
    Migrate(migrate::Migrate),
    /// Take the credentials out of use, keep them sealed, and let the account be linked again.
    Clear(orders::Order),
    /// Go on with an auth state that was restored from an older copy.
    AcceptRollback(orders::Order),
    /// Credentials that were taken out of use, and are kept.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// What seals auth states.
    #[command(subcommand)]
    Keys(keys::Keys),
}

impl Auth {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::Status { account } => status::show(&account, output).await,
            Self::Export(command) => command.run().await,
            Self::Import(command) => command.run().await,
            Self::Migrate(command) => command.run().await,
            Self::Clear(command) => command.run(AuthOrder::Clear).await,
            Self::AcceptRollback(command) => command.run(AuthOrder::AcceptRollback).await,
            Self::Quarantine(command) => command.run(output).await,
            Self::Keys(command) => command.run(output).await,
        }
    }
}

/// What every command about one account's auth state needs.
struct Desk {
    config: Config,
    store: Store,
    home: AuthHome,
    account: AccountId,
    name: AccountName,
    known: Account,
}

impl Desk {
    async fn open(account: &AccountId) -> Result<Self, CliError> {
        let config = load_config()?;
        let home = auth_home(&config.auth)?;
        let store = existing_store(&config).await?;
        let known = store.account(account).await?.ok_or_else(|| {
            CliError::Failed(format!(
                "there is no account '{account}': `whatsapp-worker accounts list` shows them"
            ))
        })?;
        Self::of(config, store, home, known)
    }

    fn of(config: Config, store: Store, home: AuthHome, known: Account) -> Result<Self, CliError> {
        let account = known.id.clone();
        let name = AccountName::new(account.as_str())
            .map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Self {
            config,
            store,
            home,
            account,
            name,
            known,
        })
    }

    /// Where the account's auth state is, or would begin.
    fn kind(&self) -> AuthMedium {
        self.known.auth_medium.unwrap_or(self.home.mode)
    }

    /// What seals it there.
    ///
    /// # Errors
    /// A state in the shared store, and no key that other machines have too.
    fn sealer(&self, kind: AuthMedium) -> Result<Sealer, CliError> {
        if kind == AuthMedium::Remote && self.home.configured.is_none() {
            return Err(CliError::Config(format!(
                "the shared store's auth states need a key of their own: {KEY_CURE}"
            )));
        }
        let ring = self.home.ring();
        let ring = ring.map_err(|error| CliError::Auth(chain(&error)))?;
        Ok(Sealer::new(ring, self.name.clone()))
    }

    /// # Errors
    /// A local state on the disk of another installation.
    fn must_be_here(&self) -> Result<(), CliError> {
        match &self.known.auth_home {
            Some(home) if *home != self.home.installation => Err(CliError::Auth(format!(
                "the auth state of account '{}' is on the disk of installation {home}: run this there",
                self.account
            ))),
            _ => Ok(()),
        }
    }

    /// Where the mark of its state is, on the medium `kind`.
    fn shelf(&self, kind: AuthMedium, custody: &Custody) -> Shelf {
        match kind {
            AuthMedium::Local => Shelf::Store(self.store.clone(), custody.fence().clone()),
            AuthMedium::Remote => Shelf::of_remote(&self.home.dir, &self.account),
        }
    }

    /// The auth state, to look at; `None` if there is none.
    async fn look(&self) -> Result<Option<Box<dyn RecordStore>>, CliError> {
        self.must_be_here()?;
        Ok(match self.kind() {
            AuthMedium::Local => LocalMedium::view(&self.home.dir, &self.name)
                .await
                .map_err(|error| CliError::Auth(chain(&error)))?
                .map(|view| Box::new(view) as Box<dyn RecordStore>),
            AuthMedium::Remote => Some(Box::new(self.store.auth_view(&self.account))),
        })
    }

    async fn has_state(&self) -> Result<bool, CliError> {
        let Some(view) = self.look().await? else {
            return Ok(false);
        };
        let head = view.head().await;
        let head = head.map_err(|error| CliError::Auth(chain(&error)))?;
        Ok(head.is_some_and(|head| head.keys.count() > 0))
    }

    fn nothing_here(&self) -> CliError {
        CliError::Failed(format!(
            "account '{account}' has no auth state yet: `whatsapp-worker link --account {account}` links it",
            account = self.account
        ))
    }
}
