//! `link`: show the code that links an account, until it is linked. When no worker holds the account,
//! this process acquires it, links and releases; otherwise it shows the holder's code.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CliError, load_config};
use crate::app::build_shared;
use crate::fleet::Posting;
use crate::ids::{AccountId, Phone};
use crate::session::Board;
use crate::session::qr::{LinkQr, TerminalStyle};
use crate::shutdown::Shutdown;
use crate::store::{Account, LinkCode, LinkCodeKind, Store};
use crate::supervisor::{Shared, Supervisor};

/// How often the store is asked for a new code.
const LOOK: Duration = Duration::from_millis(250);
/// How long the holder believes that somebody looks, after each time we say so.
const WATCHING: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Link {
    /// The account to link.
    #[arg(long, default_value = "default")]
    account: AccountId,
    /// Show an 8-character code to type on this phone, instead of a QR code.
    #[arg(long, value_parser = |text: &str| Phone::parse(text).ok_or("write it with its country code, e.g. +49 151 2345678"))]
    phone: Option<Phone>,
    /// Write the QR code to this PNG file, anew each time it changes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["svg", "raw", "phone"])]
    png: Option<PathBuf>,
    /// Write the QR code to this SVG file, anew each time it changes.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["raw", "phone"])]
    svg: Option<PathBuf>,
    /// Print the text behind each QR code on a line of its own.
    #[arg(long, conflicts_with = "phone")]
    raw: bool,
    /// Give up a link whose auth state is lost, and link anew.
    #[arg(long)]
    again: bool,
    /// Link a phone with another number than the account's last one.
    #[arg(long)]
    replace_number: bool,
    /// Show one code and end, without waiting for it to be used.
    #[arg(long)]
    once: bool,
}

impl Link {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let shared = build_shared(load_config()?).await?;
        let store = shared.store.clone();
        store.add_account(&self.account, "operator").await?;
        if self.again {
            store.forget_link(&self.account, "operator").await?;
        }
        let account = store.account(&self.account).await?;
        if let Some(account) = &account
            && account.linked_at.is_some()
        {
            return already_linked(&shared, account).await;
        }
        // Before the session begins: it then asks for the right kind of code at once.
        self.wish(&store).await?;
        let shutdown = Shutdown::listen(shared.config.shutdown_grace)?;
        let stop = shutdown.token().child_token();
        let standbys = 0;
        let (posts, postings) = watch::channel(Posting { account, standbys });
        let supervisor = Supervisor::new(
            shared.clone(),
            self.account.clone(),
            postings,
            stop.clone(),
            Board::default(),
        );
        let operating = tokio::spawn(supervisor.run());
        let outcome = self.show(&store, &posts, shutdown.token()).await;
        stop.cancel();
        if let Err(error) = operating.await {
            eprintln!("the session failed: {error}");
        }
        shared.leases.close().await;
        store.close().await;
        outcome
    }

    /// Shows each new code until the account is linked and connected.
    async fn show(
        &self,
        store: &Store,
        posts: &watch::Sender<Posting>,
        stop: &CancellationToken,
    ) -> Result<(), CliError> {
        let mut shown: Option<String> = None;
        let mut told: Option<String> = None;
        loop {
            self.wish(store).await?;
            self.post(store, posts).await?;
            let wanted = match self.phone {
                Some(_) => LinkCodeKind::Pairing,
                None => LinkCodeKind::Qr,
            };
            if let Some(code) = store.link_code(&self.account).await?
                && code.kind == wanted
                && shown.as_ref() != Some(&code.code)
            {
                self.put(&code)?;
                if self.once {
                    return Ok(());
                }
                shown = Some(code.code);
            }
            if let Some(status) = store.session_status(&self.account).await? {
                if status.state == "connected" {
                    eprintln!("Linked.");
                    return Ok(());
                }
                let expected =
                    matches!(status.state.as_str(), "starting" | "linking" | "needs_link");
                let quiet = expected && status.reason.as_deref() != Some("other_number");
                if !quiet && told.as_ref() != Some(&status.detail) {
                    eprintln!("Session {}: {}", status.state, status.detail);
                    told = Some(status.detail);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Err(CliError::TryLater("stopped before it was linked".to_owned())),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Tells our own session of what operators change meanwhile.
    async fn post(&self, store: &Store, posts: &watch::Sender<Posting>) -> Result<(), CliError> {
        let account = store.account(&self.account).await?;
        posts.send_if_modified(|posting| {
            let changed = posting.account != account;
            posting.account = account;
            changed
        });
        Ok(())
    }

    /// Lets the holder know what is wanted, and that somebody looks.
    async fn wish(&self, store: &Store) -> Result<(), CliError> {
        let (phone, replace) = (self.phone.as_ref(), self.replace_number);
        Ok(store
            .wish_to_link(&self.account, phone, replace, WATCHING)
            .await?)
    }

    fn put(&self, code: &LinkCode) -> Result<(), CliError> {
        let picture =
            || LinkQr::new(&code.code).map_err(|error| CliError::Failed(error.to_string()));
        if let Some(path) = &self.png {
            let png = picture()?
                .png()
                .map_err(|error| CliError::Failed(error.to_string()))?;
            replace(path, &png)?;
        } else if let Some(path) = &self.svg {
            replace(path, picture()?.svg().as_bytes())?;
        } else if self.raw {
            put!("{}", code.code);
        } else {
            put!("{}", in_terminal(code));
        }
        Ok(())
    }
}

/// Linked, and what that means here: operated by somebody, by nobody, or out of reach.
async fn already_linked(shared: &Shared, account: &Account) -> Result<(), CliError> {
    let id = &account.id;
    if let Some(home) = account
        .auth_home
        .as_ref()
        .filter(|home| **home != shared.home.installation)
    {
        return Err(CliError::Auth(format!(
            "account '{id}' is linked, but its auth state is on installation {home}, not here: run the worker there, or give that link up with `whatsapp-worker link --account {id} --again`"
        )));
    }
    match shared.store.session_status(id).await? {
        Some(status) => eprintln!(
            "Account '{id}' is linked already; its session: {}.",
            status.detail
        ),
        None => eprintln!(
            "Account '{id}' is linked already; no worker operates it now: `whatsapp-worker run` does."
        ),
    }
    Ok(())
}

/// A reader never sees half a picture.
fn replace(path: &std::path::Path, bytes: &[u8]) -> Result<(), CliError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
    let dir = dir.unwrap_or(std::path::Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(dir).map_err(|error| failed(error.kind().into()))?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path)
        .map_err(|error| CliError::Failed(format!("{}: {}", path.display(), error.error)))?;
    eprintln!("The code is in {}.", path.display());
    Ok(())
}

fn in_terminal(code: &LinkCode) -> String {
    let seconds = code.remaining.as_secs();
    match code.kind {
        LinkCodeKind::Pairing => {
            let (first, second) = code.code.split_at(code.code.len() / 2);
            format!(
                "\nType this code on the phone (WhatsApp > Linked devices > Link with phone number), within {seconds} s:\n\n    {first}-{second}\n\n"
            )
        }
        LinkCodeKind::Qr => match LinkQr::new(&code.code) {
            Ok(qr) => {
                let style = if std::io::stdout().is_terminal() {
                    TerminalStyle::Coloured
                } else {
                    TerminalStyle::PlainOnDark
                };
                format!(
                    "\nScan this code on the phone (WhatsApp > Linked devices), within {seconds} s:\n\n{}\n",
                    qr.terminal(style)
                )
            }
            Err(error) => format!("\nThe code cannot be shown: {error}\n"),
        },
    }
}

/// Shows each new code of a board, until the board is gone.
pub(super) async fn show_in_terminal(mut codes: watch::Receiver<Option<LinkCode>>) {
    while codes.changed().await.is_ok() {
        let code = codes.borrow_and_update().clone();
        if let Some(code) = code {
            // A terminal that is gone is nobody looking.
            let _ = writeln!(std::io::stdout(), "{}", in_terminal(&code));
        }
    }
}
