//! Sends what waits in the outbox, while one connection lives.
//!
//! One task. It hears of receipts from the connection's first moment, and begins to send when the
//! backlog is through: what it tells of needs no other attempt. Then it settles what earlier workers
//! and connections left in the middle, and takes messages from the store, one of each chat at a time,
//! [`ABREAST`] chats at most. Each is `sending` in the store before it leaves. When the task is dropped,
//! what is on its way stays `sending` and is recovered by the next connection.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use self::attempt::Desk;
use super::SessionContext;
use super::asked::Listener;
use super::reins::Reins;
use super::send::Line;
use crate::clock::Boot;
use crate::outbound::delivery::Evidence;
use crate::outbound::pacing::Pace;
use crate::store::{Proof, StoreError};
use crate::telemetry::event::{self, Attempt, Event};

/// Chats that are written to at once.
const ABREAST: usize = 16;
/// Receipts in one transaction.
const BATCH: usize = 200;
/// Before a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long receipts that have come may still be committed after the connection's end.
const LAST_RECEIPTS: Duration = Duration::from_secs(1);

enum Notice {
    /// A receipt, or an acknowledgement that nobody waits for.
    Proof(Proof),
    /// The backlog is through.
    Ready,
}

/// The session's end of the task.
pub(super) struct Delivery {
    /// Until the end.
    notices: Option<mpsc::UnboundedSender<Notice>>,
    no_more: CancellationToken,
    busy: watch::Receiver<bool>,
    task: AbortOnDropHandle<()>,
}

impl Delivery {
    pub(super) fn start(context: &SessionContext, line: Line, reins: Reins) -> Self {
        // Unbounded: the library's dispatch cannot wait. The server's pace bounds it.
        let (notices, heard) = mpsc::unbounded_channel();
        let (tell_busy, busy) = watch::channel(false);
        let no_more = CancellationToken::new();
        let rounds = Rounds {
            desk: Arc::new(Desk::new(context, line, no_more.clone())),
            heard,
            bell: context.bell.hear(&context.account),
            reins,
            no_more: no_more.clone(),
            busy: tell_busy,
            sending: JoinSet::new(),
            pace: Pace::new(context.outbox.pacing.every),
            adrift: false,
        };
        Self {
            notices: Some(notices),
            no_more,
            busy,
            task: AbortOnDropHandle::new(tokio::spawn(rounds.run())),
        }
    }

    /// A message is known to have come so far.
    pub(super) fn prove(&self, message_id: String, evidence: Evidence) {
        self.notice(Notice::Proof(Proof {
            message_id,
            evidence,
        }));
    }

    /// The backlog is through: sending may begin.
    pub(super) fn begin(&self) {
        self.notice(Notice::Ready);
    }

    fn notice(&self, notice: Notice) {
        if let Some(notices) = &self.notices {
            // A task that found its lease lost has ended, and the session does next.
            let _ = notices.send(notice);
        }
    }

    /// From now on nothing new is taken; what is on its way goes on.
    pub(super) fn send_no_more(&self) {
        self.no_more.cancel();
    }

    /// Resolves when nothing is on its way. Cancel safe.
    pub(super) async fn settled(&mut self) {
        // Without its sender the task has ended.
        let _ = self.busy.wait_for(|busy| !busy).await;
    }

    /// Ends the task, and lets it commit the receipts that have come.
    pub(super) async fn end(&mut self) {
        self.no_more.cancel();
        // Once it has ended there is nothing to wait for.
        if self.notices.take().is_none() {
            return;
        }
        if tokio::time::timeout(LAST_RECEIPTS, &mut self.task)
            .await
            .is_err()
        {
            warn!("the last receipts were not committed in time");
        }
    }
}

struct Rounds {
    desk: Arc<Desk>,
    heard: mpsc::UnboundedReceiver<Notice>,
    bell: Listener,
    reins: Reins,
    no_more: CancellationToken,
    busy: watch::Sender<bool>,
    sending: JoinSet<()>,
    pace: Pace,
    /// A claim failed, and may have been committed: then it has messages that nobody sends.
    adrift: bool,
}

impl Rounds {
    async fn run(mut self) {
        let mut ready = false;
        let mut look = false;
        let mut rest: Option<Boot> = None;
        loop {
            let held = self.reins.holds_sends() || self.no_more.is_cancelled();
            if std::mem::take(&mut look) && ready && !held {
                match self.take().await {
                    Ok(wait) => rest = wait.map(|wait| Boot::now().plus(wait)),
                    Err(StoreError::Fenced(_)) => return,
                    Err(error) => {
                        self.failed(&error);
                        rest = Some(Boot::now().plus(ASK_AGAIN));
                    }
                }
            }
            let due = async {
                match rest {
                    Some(at) => tokio::time::sleep(at.remaining()).await,
                    None => std::future::pending().await,
                }
            };
            // Each branch may lose the race: notices stay queued, the others are levels or clocks.
            tokio::select! {
                biased;
                notice = self.heard.recv() => match notice {
                    None => break,
                    Some(Notice::Proof(proof)) => {
                        if let Some(Notice::Ready) = self.prove(proof).await {
                            ready = self.begin().await;
                        }
                    }
                    Some(Notice::Ready) => ready = self.begin().await,
                },
                Some(_) = self.sending.join_next() => {
                    self.busy.send_replace(!self.sending.is_empty());
                }
                () = self.bell.due(), if ready => {}
                () = self.reins.may_send(), if held && !self.no_more.is_cancelled() => {}
                () = due => rest = None,
            }
            look = true;
        }
        self.sending.shutdown().await;
    }

    /// Commits a receipt and those that have come behind it; what else came behind them is returned.
    async fn prove(&mut self, first: Proof) -> Option<Notice> {
        let mut proofs = vec![first];
        let mut behind = None;
        while proofs.len() < BATCH {
            match self.heard.try_recv() {
                Ok(Notice::Proof(proof)) => proofs.push(proof),
                Ok(notice) => {
                    behind = Some(notice);
                    break;
                }
                Err(_) => break,
            }
        }
        let desk = &self.desk;
        let proven = loop {
            match desk.store.prove_outgoing(&desk.fence, &proofs).await {
                Ok(proven) => break proven,
                Err(error) if self.may_ask_again(&error).await => {}
                Err(_) => break Vec::new(),
            }
        };
        for sent in &proven {
            let attempt = sent.attempt.map(|(number, took)| Attempt {
                number,
                took,
                job: sent.job.as_ref(),
                outbox: &sent.outbox,
            });
            event::emit(Event::Sent {
                account: &self.desk.account,
                message_id: &sent.message_id,
                attempt,
            });
        }
        behind
    }

    /// The backlog is through. `false`: the lease is lost.
    async fn begin(&mut self) -> bool {
        let recovered = loop {
            match self.recover().await {
                Ok(recovered) => break recovered,
                Err(error) if self.may_ask_again(&error).await => {}
                Err(_) => return false,
            }
        };
        event::emit(Event::OutboundStarted {
            account: &self.desk.account,
            recovered,
        });
        true
    }

    /// Settles what is `sending` in the store and is not being sent. Nothing may be.
    async fn recover(&self) -> Result<usize, StoreError> {
        let desk = &self.desk;
        let recovered = desk
            .store
            .recover_outgoing(&desk.fence, &desk.rules)
            .await?;
        for message in &recovered {
            desk.tell_recovered(message);
        }
        Ok(recovered.len())
    }

    /// After an error of the store: waits, if it may answer another time. `false`: the lease is lost, or
    /// the store refuses.
    async fn may_ask_again(&self, error: &StoreError) -> bool {
        if let StoreError::Fenced(_) = error {
            return false;
        }
        self.failed(error);
        let passes = matches!(error, StoreError::Unavailable(_));
        if passes {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        passes
    }

    /// Takes messages from the store and sends them. Returns how long until there is more to take;
    /// nothing while all places are taken or nothing waits.
    async fn take(&mut self) -> Result<Option<Duration>, StoreError> {
        let free = ABREAST.saturating_sub(self.sending.len());
        if free == 0 {
            return Ok(None);
        }
        if self.adrift {
            if !self.sending.is_empty() {
                return Ok(None);
            }
            self.recover().await?;
            self.adrift = false;
        }
        match self.desk.store.outgoing_due(&self.desk.account).await? {
            None => return Ok(None),
            Some(wait) if !wait.is_zero() => return Ok(Some(wait)),
            Some(_) => {}
        }
        let limit = match self.pace.allows(free, Boot::now()) {
            Ok(limit) => limit,
            Err(wait) => return Ok(Some(wait)),
        };
        // Before it is looked whether the end has begun: who waits for the end sees that it is not yet.
        self.busy.send_replace(true);
        let claimed = match self.no_more.is_cancelled() {
            true => Ok(None),
            false => self.desk.claim(limit).await.map(Some),
        };
        self.adrift = claimed.is_err();
        if let Ok(Some(claimed)) = &claimed {
            for dispatch in claimed.messages.clone() {
                self.pace.spend(Boot::now());
                let desk = self.desk.clone();
                self.sending
                    .spawn(async move { desk.attempt(dispatch).await });
            }
        }
        self.busy.send_replace(!self.sending.is_empty());
        Ok(claimed?.and_then(|claimed| claimed.rest))
    }

    fn failed(&self, error: &StoreError) {
        event::emit(Event::OutboundError {
            account: &self.desk.account,
            message: &error.to_string(),
        });
    }
}
