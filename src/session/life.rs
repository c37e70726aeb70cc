//! The life of a session through one term: connect, be told why it ended, decide what comes next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auth_store::{AuthStore, Credentials, LocalMedium, OpenError, Options, Poison, Sealer};
use rand::RngExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wacore_binary::Jid as WireJid;

use super::connection::{Connection, End};
use super::encode::{Outgoing, Text};
use super::linking::{self, Linking};
use super::missing::{self, StoreLedger};
use super::observer::Signal;
use super::send::{self, Acks};
use super::state::SessionState;
use super::{SessionContext, history, hook};
use crate::clock::Boot;
use crate::ids::Jid;
use crate::lease::keeper::{Loss, Term};
use crate::store::{LinkCodeKind, StoreError};
use crate::telemetry::event::{self, Event};

/// Pauses between attempts: doubled each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// So many replacements within [`CONFLICT_WINDOW`] are a conflict.
const CONFLICTS: usize = 3;
const CONFLICT_WINDOW: Duration = Duration::from_mins(1);
/// Between attempts while somebody else uses the credentials, and for other refusals.
const CONFLICT_PAUSE: Duration = Duration::from_mins(5);
/// How often it is looked for missing messages.
const SWEEP: Duration = Duration::from_secs(5);

/// How long an ended connection may take to settle: what it does not commit comes again.
const SETTLE: Duration = Duration::from_secs(1);

/// Between two tries to use an auth state that a person must mend, and one that is merely busy.
const UNUSABLE: Duration = Duration::from_mins(1);
const BUSY: Duration = Duration::from_secs(1);

/// Answers on their way at once.
const ANSWERS: usize = 16;

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was told to stop, and everything is settled: the lease may be released.
    Stopped,
    /// The lease is gone: nothing more may be touched.
    Lost(Loss),
    /// The auth state cannot be used; a person must act. The text says what and how.
    Unusable {
        /// Reason code.
        code: &'static str,
        /// For people.
        detail: String,
        /// When it may be tried again.
        retry: Duration,
    },
}

/// Runs the session of `context` until it is told to `stop` or loses its lease. `grace` bounds the
/// stop. Not cancel safe: dropped, it leaves what is in flight unacknowledged.
pub async fn run(
    context: &SessionContext,
    term: &Term,
    stop: &CancellationToken,
    grace: Duration,
) -> Outcome {
    let life = Life {
        context,
        term,
        stop,
        grace,
    };
    life.run().await
}

struct Life<'a> {
    context: &'a SessionContext,
    term: &'a Term,
    stop: &'a CancellationToken,
    grace: Duration,
}

/// What follows an ended connection.
enum Next {
    Connect,
    Pause(Duration),
    Relink(String),
    Finish(Outcome),
}

/// What the attempts so far have shown.
struct Attempts {
    failed: u32,
    replaced: VecDeque<Boot>,
    linking: Linking,
    connected: bool,
}

impl Life<'_> {
    async fn run(self) -> Outcome {
        self.show(SessionState::Starting).await;
        let medium = match self.open_medium().await {
            Ok(medium) => medium,
            Err(outcome) => return outcome,
        };
        let outcome = self.generations(&medium).await;
        medium.close().await;
        outcome
    }

    async fn open_medium(&self) -> Result<Arc<LocalMedium>, Outcome> {
        let home = &self.context.home;
        let name = self.account_name()?;
        self.refuse_to_forget().await?;
        let opened = LocalMedium::open(
            &home.dir,
            &name,
            self.context.store.store_id(),
            self.context.fence.epoch().0,
        );
        match opened.await {
            Ok(medium) => Ok(Arc::new(medium)),
            Err(auth_store::OpenMediumError::Fenced { .. }) => Err(Outcome::Lost(Loss::Refused)),
            Err(auth_store::OpenMediumError::Records(error)) if error.is_transient() => {
                Err(busy(&error))
            }
            Err(error) => Err(unusable("auth_unusable", &error)),
        }
    }

    /// An account that was linked here and has no auth file any more has lost it: new credentials
    /// would hide that.
    async fn refuse_to_forget(&self) -> Result<(), Outcome> {
        let context = self.context;
        let account = match context.store.account(&context.account).await {
            Ok(account) => account,
            Err(error) => return Err(busy(&error)),
        };
        let linked = account.is_some_and(|account| account.linked_at.is_some());
        let file = context
            .home
            .dir
            .join(context.account.as_str())
            .join("auth.db");
        if linked && !file.exists() {
            return Err(Outcome::Unusable {
                code: "auth_missing",
                detail: format!(
                    "account '{account}' is linked, but {file} is not there: restore it, or give the link up with `whatsapp-worker link --account {account} --again`",
                    account = context.account,
                    file = file.display()
                ),
                retry: UNUSABLE,
            });
        }
        Ok(())
    }

    fn account_name(&self) -> Result<auth_store::AccountName, Outcome> {
        auth_store::AccountName::new(self.context.account.as_str())
            .map_err(|error| unusable("auth_unusable", &error))
    }

    /// One round for each set of credentials: a logout begins the next.
    async fn generations(&self, medium: &Arc<LocalMedium>) -> Outcome {
        let mut attempts = Attempts {
            failed: 0,
            replaced: VecDeque::new(),
            linking: Linking::new(self.context.phone.clone()),
            connected: false,
        };
        loop {
            let auth = match self.open_auth(medium).await {
                Ok(auth) => auth,
                Err(outcome) => return outcome,
            };
            match self.connections(&auth, &mut attempts).await {
                Next::Finish(outcome) => {
                    self.close_auth(&auth, &outcome).await;
                    return outcome;
                }
                Next::Relink(reason) => {
                    if let Err(outcome) = self.retire(&auth, &reason).await {
                        return outcome;
                    }
                    attempts.linking.begin_anew();
                    attempts.failed = 0;
                }
                // Only a poisoned auth store comes here: what it holds in memory is of no use.
                Next::Connect | Next::Pause(_) => {
                    self.close_auth(&auth, &Outcome::Lost(Loss::Unanswered))
                        .await;
                }
            }
        }
    }

    async fn open_auth(&self, medium: &Arc<LocalMedium>) -> Result<Arc<AuthStore>, Outcome> {
        let sealer = Sealer::new(self.context.home.key.clone(), self.account_name()?);
        let trust = self.context.trust.clone();
        let options = Options {
            credentials: Credentials::Current,
            ledger: Arc::new(StoreLedger {
                store: self.context.store.clone(),
                fence: self.context.fence.clone(),
            }),
            may_write: Box::new(move || trust.holds()),
        };
        AuthStore::open(medium.clone(), &sealer, options)
            .await
            .map_err(|error| match error {
                OpenError::Records(auth_store::RecordError::Fenced { .. }) => {
                    Outcome::Lost(Loss::Refused)
                }
                OpenError::Records(error) if error.is_transient() => busy(&error),
                error => unusable("auth_damaged", &error),
            })
    }

    async fn close_auth(&self, auth: &AuthStore, outcome: &Outcome) {
        let closed = auth.close().await;
        // After a loss the writes belong to the next holder, and refusing ours is right.
        if let (Err(error), Outcome::Stopped) = (closed, outcome) {
            warn!(account = %self.context.account, %error, "the auth state could not be flushed");
        }
    }

    async fn retire(&self, auth: &AuthStore, reason: &str) -> Result<(), Outcome> {
        self.show(SessionState::LoggedOut {
            reason: reason.to_owned(),
        })
        .await;
        auth.retire(reason)
            .await
            .map_err(|error| unusable("auth_unusable", &error))?;
        event::emit(Event::AuthReset {
            account: &self.context.account,
            reason,
        });
        self.told(
            self.context
                .store
                .record_unlink(&self.context.fence, reason)
                .await,
        );
        Ok(())
    }

    /// Connects again and again with the same credentials.
    async fn connections(&self, auth: &Arc<AuthStore>, attempts: &mut Attempts) -> Next {
        loop {
            if self.stop.is_cancelled() {
                return Next::Finish(Outcome::Stopped);
            }
            if !auth.is_current().await
                && let Some(finish) = self.wait_until_worthwhile(attempts).await
            {
                return finish;
            }
            let next = match self.connection(auth, attempts).await {
                Ok(end) => self.after(end, attempts).await,
                Err(next) => next,
            };
            let pause = match next {
                Next::Connect => Duration::ZERO,
                Next::Pause(pause) => pause,
                next => return next,
            };
            if let Some(finish) = self.pause(pause).await {
                return finish;
            }
            if auth.poisoned().borrow().is_some() {
                return Next::Connect;
            }
        }
    }

    /// Waits for somebody to look at codes, once nobody has for long enough.
    async fn wait_until_worthwhile(&self, attempts: &mut Attempts) -> Option<Next> {
        loop {
            self.told(attempts.linking.look(self.context).await.map(drop));
            if attempts.linking.worthwhile(self.context) {
                return None;
            }
            self.show(SessionState::NeedsLink).await;
            if let Some(finish) = self.pause(linking::LOOK).await {
                return Some(finish);
            }
        }
    }

    /// One connection, to its end. `Err`: the session is over or the client could not be built.
    async fn connection(
        &self,
        auth: &Arc<AuthStore>,
        attempts: &mut Attempts,
    ) -> Result<End, Next> {
        let linked = auth.is_current().await;
        let phone = attempts.linking.phone().filter(|_| !linked);
        let opened = Connection::open(self.context, auth, phone).await;
        let (mut connection, mut signals) = opened.map_err(|error| {
            Next::Finish(Outcome::Unusable {
                code: "auth_damaged",
                detail: format!("{error:#}"),
                retry: UNUSABLE,
            })
        })?;
        attempts.connected = false;
        let mut live = Live {
            life: self,
            auth,
            acks: Acks::default(),
            replies: tokio::task::JoinSet::new(),
            ready: false,
        };
        let mut poisoned = auth.poisoned();
        let mut look = tokio::time::interval(linking::LOOK);
        let mut sweep = tokio::time::interval(SWEEP);
        // Each branch may lose the race: signals stay queued, the others are levels or clocks.
        let end = loop {
            tokio::select! {
                biased;
                loss = self.term.lost() => {
                    connection.cut().await;
                    return Err(Next::Finish(Outcome::Lost(loss)));
                }
                why = poison(&mut poisoned) => {
                    connection.cut().await;
                    return Err(self.poisoned(&why));
                }
                Some(signal) = signals.recv() => live.hear(signal, &connection, attempts).await,
                end = connection.ended() => break end,
                () = self.stop.cancelled() => {
                    live.replies.shutdown().await;
                    connection.drain(self.grace).await;
                    return Err(Next::Finish(Outcome::Stopped));
                }
                _ = look.tick(), if !linked => {
                    match attempts.linking.look(self.context).await {
                        // Another kind of code is wanted: only a new connection can ask for it.
                        Ok(true) => break End::Restart,
                        seen => self.told(seen.map(drop)),
                    }
                }
                _ = sweep.tick(), if live.ready => {
                    self.told(missing::sweep(self.context, connection.client()).await);
                }
            }
        };
        // What was said before the end still counts: pairing succeeds right before its restart.
        while let Ok(signal) = signals.try_recv() {
            live.hear(signal, &connection, attempts).await;
        }
        live.replies.shutdown().await;
        connection.drain(SETTLE).await;
        Ok(end)
    }

    fn poisoned(&self, why: &Poison) -> Next {
        if let Poison::Fenced { .. } = why {
            return Next::Finish(Outcome::Lost(Loss::Refused));
        }
        event::emit(Event::SessionError {
            account: &self.context.account,
            message: &why.to_string(),
        });
        Next::Pause(FIRST_PAUSE)
    }

    /// The failure answers.
    async fn after(&self, end: End, attempts: &mut Attempts) -> Next {
        debug!(account = %self.context.account, ?end, "connection ended");
        if attempts.connected {
            attempts.failed = 0;
        }
        let account = &self.context.account;
        self.context.board.code.send_replace(None);
        match end {
            End::Restart | End::CodesExhausted => Next::Connect,
            End::LoggedOut { reason } => {
                self.closed(Some(401), false, &reason);
                Next::Relink(reason)
            }
            End::Closed { reason, code } => {
                self.closed(code, true, &reason);
                attempts.failed += 1;
                self.show(SessionState::Reconnecting {
                    attempt: attempts.failed,
                    reason,
                })
                .await;
                Next::Pause(pause_after(attempts.failed))
            }
            End::Replaced => {
                match self.term.confirm().await {
                    Ok(()) => {}
                    Err(Some(loss)) => return Next::Finish(Outcome::Lost(loss)),
                    // The holder may have changed: no connect before the store says that it has not.
                    Err(None) => return Next::Pause(LONGEST_PAUSE),
                }
                let now = Boot::now();
                attempts.replaced.push_back(now);
                attempts
                    .replaced
                    .retain(|at| now.since(*at) < CONFLICT_WINDOW);
                let in_a_row = attempts.replaced.len();
                event::emit(Event::Conflict { account, in_a_row });
                if in_a_row < CONFLICTS {
                    attempts.failed += 1;
                    self.show(SessionState::Reconnecting {
                        attempt: attempts.failed,
                        reason: "another connection with the same credentials took over".to_owned(),
                    })
                    .await;
                    Next::Pause(pause_after(attempts.failed + 1))
                } else {
                    self.show(SessionState::Conflict).await;
                    Next::Pause(CONFLICT_PAUSE)
                }
            }
            End::Banned { lasts, reason } => {
                self.closed(Some(402), true, &reason);
                self.show(SessionState::Banned {
                    remaining: lasts,
                    reason,
                })
                .await;
                Next::Pause(lasts.max(FIRST_PAUSE))
            }
            End::Outdated => {
                self.closed(Some(405), true, "the client version is outdated");
                if self.context.version.refresh() {
                    return Next::Connect;
                }
                self.show(SessionState::OutdatedClient).await;
                Next::Pause(CONFLICT_PAUSE)
            }
            End::Refused { code } => {
                let detail = format!("the server refuses the connection with code {code}");
                self.closed(Some(code), true, &detail);
                self.show(SessionState::Failed {
                    code: "refused",
                    detail,
                })
                .await;
                Next::Pause(CONFLICT_PAUSE)
            }
        }
    }

    fn closed(&self, status_code: Option<u16>, should_reconnect: bool, reason: &str) {
        event::emit(Event::Closed {
            account: &self.context.account,
            status_code,
            should_reconnect,
            reason,
        });
    }

    /// Waits, unless the session is over before.
    async fn pause(&self, pause: Duration) -> Option<Next> {
        tokio::select! {
            biased;
            loss = self.term.lost() => Some(Next::Finish(Outcome::Lost(loss))),
            () = self.stop.cancelled() => Some(Next::Finish(Outcome::Stopped)),
            () = tokio::time::sleep(pause) => None,
        }
    }

    async fn show(&self, state: SessionState) {
        if *self.context.board.state.borrow() == state {
            return;
        }
        let text = state.describe();
        let published = self.context.store.publish_session_status(
            &self.context.fence,
            state.name(),
            state.reason_code(),
            &text,
        );
        self.told(published.await);
        self.context.board.state.send_replace(state);
    }

    /// What is shown to others is worth a warning when it fails, not the session.
    fn told(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            warn!(account = %self.context.account, %error, "the store did not take what the session tells");
        }
    }
}

/// What happens while a connection lives.
struct Live<'a> {
    life: &'a Life<'a>,
    auth: &'a Arc<AuthStore>,
    acks: Acks,
    replies: tokio::task::JoinSet<()>,
    ready: bool,
}

impl Live<'_> {
    async fn hear(&mut self, signal: Signal, connection: &Connection, attempts: &mut Attempts) {
        let context = self.life.context;
        let account = &context.account;
        match signal {
            Signal::Qr(code, valid) => {
                self.life.show(SessionState::Linking).await;
                let shown = linking::show(context, LinkCodeKind::Qr, code, valid);
                self.life.told(shown.await);
            }
            Signal::PairingCode(code, valid) => {
                self.life.show(SessionState::Linking).await;
                let shown = linking::show(context, LinkCodeKind::Pairing, code, valid);
                self.life.told(shown.await);
            }
            Signal::PairingCodeFailed(error) | Signal::PairFailed(error) => {
                event::emit(Event::SessionError {
                    account,
                    message: &format!("linking failed: {error}"),
                });
            }
            Signal::Paired { jid, lid } => self.paired(connection, &jid, &lid).await,
            Signal::Connected => {
                attempts.connected = true;
                self.logged_in(connection).await;
            }
            Signal::OfflineDone => self.ready = true,
            Signal::Undecryptable(info) => {
                self.life
                    .told(missing::note_undecryptable(context, &info).await);
            }
            Signal::Ungated(batch) => match hook::decode_all(connection.client(), &batch).await {
                Ok(messages) => {
                    if let Err(error) = context.intake.accept(messages).await {
                        warn!(%account, %error, "messages that were acknowledged already could not be committed");
                    }
                }
                Err(error) => warn!(%account, %error, "messages could not be decoded"),
            },
            Signal::Answer(chat) => self.answer(connection, chat),
            Signal::ServerAck { id, error } => self.acks.settle(&id, error),
            Signal::History(history) => {
                match history::record(context, connection.client(), &history).await {
                    Ok(0) => {}
                    Ok(recorded) => {
                        info!(%account, recorded, "older messages were recorded; history may be incomplete");
                    }
                    Err(error) => warn!(%account, %error, "older messages were not recorded"),
                }
            }
        }
    }

    /// Answers a message, for the crash tests: replying while receiving is the load under which the
    /// library's ratchets were seen to run ahead of their messages.
    fn answer(&mut self, connection: &Connection, chat: Jid) {
        while self.replies.try_join_next().is_some() {}
        if !self.ready || self.replies.len() >= ANSWERS {
            return;
        }
        let (client, acks) = (connection.client().clone(), self.acks.clone());
        let account = self.life.context.account.clone();
        self.replies.spawn(async move {
            let id = format!(
                "3EB0{}",
                &uuid::Uuid::new_v4().simple().to_string()[..18].to_uppercase()
            );
            let text = Outgoing::Text(Text::from("thank you".to_owned()));
            match send::send(&client, &acks, &chat, &text, &id).await {
                Ok(()) => event::emit(Event::Sent {
                    account: &account,
                    message_id: &id,
                }),
                Err(error) => event::emit(Event::SendFailed {
                    account: &account,
                    message_id: &id,
                    message: &error.to_string(),
                }),
            }
        });
    }

    /// The credentials become current before the server closes the connection: it does so next.
    async fn paired(&self, connection: &Connection, jid: &WireJid, lid: &WireJid) {
        let context = self.life.context;
        let kept = async {
            connection.client().persistence_manager().flush().await?;
            self.auth.promote().await?;
            anyhow::Ok(())
        };
        if let Err(error) = kept.await {
            event::emit(Event::SessionError {
                account: &context.account,
                message: &format!("the new link could not be stored: {error:#}"),
            });
            return;
        }
        let (jid, lid) = (Jid::new(jid.to_string()), Jid::new(lid.to_string()));
        let recorded =
            context
                .store
                .record_link(&context.fence, &jid, Some(&lid), &context.home.installation);
        self.life.told(recorded.await);
        info!(account = %context.account, number = %jid, "linked");
    }

    async fn logged_in(&self, connection: &Connection) {
        let context = self.life.context;
        // A process that died between the phone's answer and here left the credentials prepared.
        if !self.auth.is_current().await
            && let (Some(jid), Some(lid)) = (connection.client().pn(), connection.client().lid())
        {
            self.paired(connection, &jid, &lid).await;
        }
        context.board.code.send_replace(None);
        self.life.show(SessionState::Connected).await;
        event::emit(Event::Connected {
            account: &context.account,
        });
    }
}

/// Resolves when the auth store takes no more writes. Cancel safe.
async fn poison(state: &mut watch::Receiver<Option<Poison>>) -> Poison {
    let reason = state.wait_for(Option::is_some).await;
    reason
        .ok()
        .and_then(|reason| reason.clone())
        .unwrap_or(Poison::Closed)
}

/// Doubled each time, with a fifth of jitter.
fn pause_after(failed: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
    let jitter = rand::rng().random_range(0.8..1.2);
    doubled.min(LONGEST_PAUSE).mul_f64(jitter)
}

/// Somebody else has the file or the store for the moment: perhaps a frozen process in the middle of a
/// transaction.
fn busy(error: &dyn std::error::Error) -> Outcome {
    Outcome::Unusable {
        code: "store_busy",
        detail: format!("the store is busy: {error}"),
        retry: BUSY,
    }
}

fn unusable(code: &'static str, error: &dyn std::error::Error) -> Outcome {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Outcome::Unusable {
        code,
        detail,
        retry: UNUSABLE,
    }
}
