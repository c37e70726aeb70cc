//! What a session does while its connection lives: it acts on signals.

mod linked;

use std::sync::Arc;
use std::time::Duration;

use auth_store::AuthStore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};
use wacore::iq::keepalive::KeepaliveSpec;
use wacore::iq::spec::IqSpec;
use wacore::types::message::MessageInfo;
use waproto::whatsapp as wa;

use super::Life;
use super::attempts::Attempts;
use crate::clock::Boot;
use crate::ids::Jid;
use crate::inbound::message::Inbound;
use crate::outbound::delivery::Evidence;
use crate::session::arrivals::Arrivals;
use crate::session::connection::Connection;
use crate::session::delivery::Delivery;
use crate::session::observer::Signal;
use crate::session::send::{self, Acks, Line};
use crate::session::{asked, history, hook, linking, missing, peers};
use crate::store::{AuthMedium, LinkCodeKind};
use crate::telemetry::event::{self, Event};

/// Answers on their way at once.
const ANSWERS: usize = 16;
/// How long the history that a connection brought may still be committed after its end.
const HISTORY: Duration = Duration::from_secs(2);

/// What happens while a connection lives.
pub(super) struct Live<'a> {
    life: &'a Life<'a>,
    auth: &'a Arc<AuthStore>,
    line: Line,
    delivery: Delivery,
    arrivals: Arrivals,
    /// Answers, sweeps and rebuilt sessions: they end with the connection.
    tasks: JoinSet<()>,
    /// Pieces of history: a phone sends them once.
    histories: JoinSet<()>,
    /// Messages of devices in trouble, until the backlog is through: what it holds may be readable.
    unread: Vec<Arc<MessageInfo>>,
    sweeping: Option<AbortHandle>,
    /// What other processes ask for, once the backlog is through.
    asked: Option<AbortOnDropHandle<()>>,
    ready: bool,
    /// Nothing new is sent.
    ending: bool,
    medium: AuthMedium,
    /// The phone that was linked just now has another number than the account.
    stranger: Option<Jid>,
}

impl<'a> Live<'a> {
    pub(super) fn new(
        life: &'a Life<'a>,
        connection: &Connection,
        auth: &'a Arc<AuthStore>,
        medium: AuthMedium,
    ) -> Self {
        let line = Line {
            client: connection.client().clone(),
            vow: connection.vow().clone(),
            acks: Acks::default(),
            sessions: life.context.sessions.clone(),
        };
        Self {
            delivery: Delivery::start(life.context, line.clone(), life.reins.clone()),
            arrivals: connection.arrivals().clone(),
            life,
            auth,
            line,
            tasks: JoinSet::new(),
            histories: JoinSet::new(),
            unread: Vec::new(),
            sweeping: None,
            asked: None,
            ready: false,
            ending: false,
            medium,
            stranger: None,
        }
    }

    /// The number of a phone that is to be turned away.
    pub(super) fn stranger(&mut self) -> Option<Jid> {
        self.stranger.take()
    }

    /// The backlog is through: sending and sweeping may begin.
    pub(super) const fn ready(&self) -> bool {
        self.ready
    }

    /// From now on nothing new is sent. What asks for missing messages is given up: it is asked for
    /// again by whoever comes next.
    pub(super) fn send_no_more(&mut self) {
        self.ending = true;
        self.delivery.send_no_more();
        self.asked = None;
        if let Some(sweeping) = self.sweeping.take() {
            sweeping.abort();
        }
    }

    /// Resolves when nothing goes on beside the connection any more. Cancel safe.
    pub(super) async fn settled(&mut self) {
        while self.tasks.join_next().await.is_some() {}
        self.delivery.settled().await;
        while self.histories.join_next().await.is_some() {}
    }

    /// Asks the server for a sign of life. Its answer is heard as any frame is.
    pub(super) fn ask(&mut self, connection: &Connection, patience: Duration) {
        let client = connection.client().clone();
        // Before the login there is nobody to ask.
        if client.is_logged_in() {
            self.tasks.spawn(async move {
                let ping = KeepaliveSpec::with_timeout(patience).build_iq();
                if let Err(error) = client.send_iq(ping).await {
                    debug!(%error, "no answer to a sign of life");
                }
            });
        }
    }

    /// The server answers.
    pub(super) fn hears(&self, attempts: &mut Attempts) {
        if attempts.hears() {
            info!(account = %self.life.context.account, "the server answers again");
            self.life.reins.tell_deaf(0);
        }
    }

    /// Ends what goes on beside the connection.
    pub(super) async fn end(&mut self) {
        self.asked = None;
        self.tasks.shutdown().await;
        // What could not be read of a backlog that did not end.
        if !self.ready {
            let left =
                self.arrivals
                    .hand_in(&self.line.client, &self.life.context.intake, Vec::new());
            let _ = tokio::time::timeout(HISTORY, left).await;
        }
        self.delivery.end().await;
        let told = async { while self.histories.join_next().await.is_some() {} };
        if tokio::time::timeout(HISTORY, told).await.is_err() {
            warn!(account = %self.life.context.account, "older messages were not recorded in time");
            self.histories.shutdown().await;
        }
    }

    pub(super) async fn hear(
        &mut self,
        signal: Signal,
        connection: &Connection,
        attempts: &mut Attempts,
    ) {
        let context = self.life.context;
        let account = &context.account;
        match signal {
            Signal::Qr(code, valid) => {
                self.life.show(attempts.linking.linking()).await;
                let shown = linking::show(context, LinkCodeKind::Qr, code, valid);
                self.life.told(shown.await);
            }
            Signal::PairingCode(code, valid) => {
                self.life.show(attempts.linking.linking()).await;
                let shown = linking::show(context, LinkCodeKind::Pairing, code, valid);
                self.life.told(shown.await);
            }
            Signal::PairingCodeFailed(error) | Signal::PairFailed(error) => {
                event::emit(Event::SessionError {
                    account,
                    message: &format!("linking failed: {error}"),
                });
            }
            Signal::Paired { jid, lid } => {
                self.paired(connection, &jid, &lid, attempts).await;
            }
            Signal::Connected => {
                attempts.logged_in(Boot::now());
                self.logged_in(connection, attempts).await;
            }
            Signal::OfflineDone => {
                self.ready = true;
                self.hand_in(Vec::new()).await;
                self.delivery.begin();
                self.serve();
                for unread in std::mem::take(&mut self.unread) {
                    self.rebuild(connection, unread);
                }
            }
            Signal::Undecryptable(info) => {
                // Of a backlog, what can be read is handed in later, and what cannot with it.
                if self.ready {
                    self.hand_in(Vec::new()).await;
                }
                if context.peers.unreadable(&info.source) {
                    match self.ready {
                        true => self.rebuild(connection, info),
                        false => self.unread.push(info),
                    }
                }
            }
            Signal::Ungated(batch) => {
                let messages = hook::decode_all(connection.client(), &batch).await;
                self.hand_in(messages).await;
            }
            Signal::Answer(chat) => self.answer(chat),
            Signal::ServerAck { id, error } => {
                let late = error.is_none();
                if !self.line.acks.settle(&id, error) && late {
                    self.delivery.prove(id, Evidence::Server);
                }
            }
            Signal::Receipt { ids, evidence } => {
                for id in ids {
                    self.line.acks.settle(&id, None);
                    self.delivery.prove(id, evidence);
                }
            }
            Signal::History(history) => {
                let (context, client) = (context.clone(), connection.client().clone());
                self.histories.spawn(async move {
                    let account = &context.account;
                    match history::accept(&context, &client, &history).await {
                        Ok(told) if told.older + told.of_the_gap == 0 => {}
                        Ok(told) => {
                            info!(%account, older = told.older, around_the_gap = told.of_the_gap, "the phone told of older messages; history may be incomplete");
                        }
                        Err(error) => warn!(%account, %error, "older messages were not recorded"),
                    }
                });
            }
        }
    }

    /// Begins to do what other processes ask for.
    fn serve(&mut self) {
        if self.ending {
            return;
        }
        let context = self.life.context.clone();
        let (client, reins) = (self.line.client.clone(), self.life.reins.clone());
        let serving = tokio::spawn(asked::serve(context, client, reins));
        self.asked = Some(AbortOnDropHandle::new(serving));
    }

    /// Hands in what the library acknowledges by itself. Its place is certain then; that it is stored is not
    /// waited for, since acks and receipts come by the same way.
    async fn hand_in(&mut self, messages: Vec<Inbound>) {
        let intake = &self.life.context.intake;
        let handed = self.arrivals.hand_in(&self.line.client, intake, messages);
        let handed = handed.await;
        let account = self.life.context.account.clone();
        self.tasks.spawn(async move {
            let committed = match handed {
                Ok(committing) => committing.done().await,
                Err(error) => Err(error),
            };
            if let Err(error) = committed {
                warn!(%account, %error, "messages that were acknowledged already could not be committed");
            }
        });
    }

    /// Builds the session anew with the device that wrote `unread`.
    fn rebuild(&mut self, connection: &Connection, unread: Arc<MessageInfo>) {
        let (context, client) = (self.life.context.clone(), connection.client().clone());
        let auth = self.auth.clone();
        self.tasks
            .spawn(async move { peers::rebuild(&context, &auth, &client, &unread).await });
    }

    /// Looks for missing messages, unless it is doing so already: asking for them takes its time, and
    /// the session must go on hearing of its end.
    pub(super) fn sweep(&mut self, connection: &Connection) {
        while self.tasks.try_join_next().is_some() {}
        if self
            .sweeping
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return;
        }
        let context = self.life.context.clone();
        let client = connection.client().clone();
        self.sweeping = Some(self.tasks.spawn(async move {
            if let Err(error) = missing::sweep(&context, &client).await {
                warn!(account = %context.account, %error, "missing messages could not be looked after");
            }
        }));
    }

    /// Answers a message, for the crash tests: replying while receiving is the load under which the
    /// library's ratchets were seen to run ahead of their messages.
    fn answer(&mut self, chat: Jid) {
        while self.tasks.try_join_next().is_some() {}
        let held = self.ending || self.life.reins.holds_sends();
        if held || !self.ready || self.tasks.len() >= ANSWERS {
            return;
        }
        let line = self.line.clone();
        let patience = self.life.context.outbox.rules.ack;
        let account = self.life.context.account.clone();
        self.tasks.spawn(async move {
            let id = format!(
                "3EB0{}",
                &uuid::Uuid::new_v4().simple().to_string()[..18].to_uppercase()
            );
            let text = wa::Message {
                conversation: Some("thank you".to_owned()),
                ..Default::default()
            };
            match send::send(&line, &chat, &text, &id, patience).await {
                Ok(()) => event::emit(Event::Sent {
                    account: &account,
                    message_id: &id,
                    attempt: None,
                }),
                Err(error) => event::emit(Event::SendFailed {
                    account: &account,
                    message_id: &id,
                    code: "answer",
                    message: &error.to_string(),
                    retry: None,
                    attempt: None,
                }),
            }
        });
    }
}
