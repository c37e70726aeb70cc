//! One connection of the linked device: from its start to its end, and why it ended.
//!
//! Each connection is a fresh client of the library over the same auth state, because we own
//! reconnecting: the lease is checked before each connect, and the reason of the end decides what
//! comes next ([`End`]). The client's own reconnecting is off.

mod ratchets;
mod taps;
mod vow;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_store::AuthStore;
use tokio::sync::mpsc;
use wacore::pair_code::PairCodeOptions;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::{Client, TokioRuntime};

use super::SessionContext;
use super::arrivals::Arrivals;
use super::ballots::Ballots;
use super::hook::{Hook, InFlight};
use super::observer::{Observer, Signal};
use super::pulse::Ear;
use super::reins::Grace;
use super::transport::WsTransportFactory;
use crate::ids::Phone;

pub(super) use self::ratchets::Readers;
use self::taps::{TappedFactory, Taps};
pub(super) use self::vow::Vow;

/// How long a client may take to end after its socket was closed.
const CUT: Duration = Duration::from_secs(1);

/// How long the server may take to confirm a logout.
const LOGOUT: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server asked for a new connection, as it does after pairing: at once.
    Restart,
    /// It closed or never came about: after a pause.
    Closed {
        /// For people.
        reason: String,
        /// The server's code, when it gave one.
        code: Option<u16>,
    },
    /// The credentials are void.
    LoggedOut {
        /// For people.
        reason: String,
    },
    /// Another connection with the same credentials took over.
    Replaced,
    /// The server refuses the number for a while.
    Banned {
        /// For how long.
        lasts: Duration,
        /// For people.
        reason: String,
    },
    /// The server refuses the client version.
    Outdated,
    /// The server did not answer any more.
    Deaf,
    /// Received messages could not be committed.
    Uncommitted,
    /// All QR codes of this round ran out.
    CodesExhausted,
    /// The server refuses in a way that repeating will not change soon.
    Refused {
        /// The server's code.
        code: u16,
    },
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub enum Errand<'a> {
    /// To operate the account. `phone` asks for a pairing code instead of QR codes, unless it is linked.
    Operate {
        /// The number to pair.
        phone: Option<&'a Phone>,
    },
    /// To log out. Nothing that arrives is taken in or acknowledged.
    Farewell,
}

/// A running connection.
pub struct Connection {
    client: Arc<Client>,
    handle: BotHandle,
    taps: Taps,
    verdict: Arc<OnceLock<End>>,
    in_flight: InFlight,
    auth: Arc<AuthStore>,
    vow: Vow,
    arrivals: Arrivals,
    fetches_version: bool,
    _forwarding: whatsapp_rust::client::RawNodeLease,
    _end: EndOnDrop,
}

/// The library's client lives on in tasks of its own: a connection that is dropped, by a panic for
/// instance, must not leave it and its socket behind.
struct EndOnDrop {
    client: Arc<Client>,
    _gone: tokio_util::sync::DropGuard,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.client.signal_shutdown_sync();
    }
}

impl Connection {
    /// Builds a client and starts it.
    ///
    /// # Errors
    /// The auth state cannot be read; the text names the record.
    pub async fn open(
        context: &SessionContext,
        auth: &Arc<AuthStore>,
        errand: Errand<'_>,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<Signal>)> {
        let (signals, receiver) = mpsc::unbounded_channel();
        let verdict = Arc::new(OnceLock::new());
        let in_flight = InFlight::default();
        let taps = Taps::default();
        let vow = Vow::new(auth.clone());
        let arrivals = Arrivals::default();
        let factory = TappedFactory {
            inner: WsTransportFactory::new(context.network.clone(), context.trust.clone()),
            taps: taps.clone(),
            vow: vow.clone(),
        };
        let answers = context.reply_to_everything.then(|| signals.clone());
        let observer = Observer {
            auth: auth.clone(),
            signals,
            verdict: verdict.clone(),
            vow: vow.clone(),
            arrivals: arrivals.clone(),
            acquaintances: context.acquaintances.clone(),
        };
        let hook = Hook {
            intake: match errand {
                Errand::Operate { .. } => Some(context.intake.clone()),
                Errand::Farewell => None,
            },
            in_flight: in_flight.clone(),
            arrivals: arrivals.clone(),
            broken: taps.broken.clone(),
            answers,
            peers: context.peers.clone(),
            acquaintances: context.acquaintances.clone(),
            ballots: Ballots {
                store: context.store.clone(),
                account: context.account.clone(),
            },
        };
        let mut builder = Bot::builder()
            .with_backend_arc(auth.clone())
            .with_transport_factory(factory)
            .with_http_client(context.http.clone())
            .with_runtime(TokioRuntime)
            .with_inbound_durability_hook(hook)
            .with_event_handler(observer);
        if let Some(version) = context.version.get() {
            builder = builder.with_version(version);
        }
        if let Errand::Operate { phone: Some(phone) } = errand {
            builder = builder.with_pair_code(PairCodeOptions {
                phone_number: phone.digits().to_owned(),
                ..PairCodeOptions::default()
            });
        }
        let bot = builder.build().await?;
        let client = bot.client();
        vow.bind(&client);
        client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        let forwarding = client.acquire_raw_node_forwarding();
        let connection = Self {
            handle: bot.spawn(),
            _end: EndOnDrop {
                client: client.clone(),
                _gone: taps.gone.clone().drop_guard(),
            },
            client,
            taps,
            verdict,
            in_flight,
            auth: auth.clone(),
            vow,
            arrivals,
            fetches_version: context.version.get().is_none(),
            _forwarding: forwarding,
        };
        Ok((connection, receiver))
    }

    /// The library's client, for what the rest of `session` asks of it.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What must be stored before a message leaves.
    pub(super) fn vow(&self) -> &Vow {
        &self.vow
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// When something was last heard.
    pub(super) fn ear(&self) -> &Ear {
        &self.taps.ear
    }

    /// Resolves when the connection has ended. Cancel safe.
    pub async fn ended(&mut self) -> End {
        tokio::select! {
            // A commit that cannot succeed ends the connection: what is unacknowledged comes again.
            () = self.taps.broken.cancelled() => End::Uncommitted,
            () = &mut self.handle => self.verdict(),
        }
    }

    fn verdict(&self) -> End {
        if let Some(end) = self.verdict.get() {
            return end.clone();
        }
        let heard = self
            .taps
            .last_words
            .lock()
            .expect("no panic while it is held")
            .clone();
        let unknown = || {
            match self.fetches_version {
            // The library logs its failure to fetch it and tells nobody.
            true => "no connection came about: the client version may not have been fetched; set WHATSAPP_CLIENT_VERSION, or check proxy and network".to_owned(),
            false => "it ended without a reason".to_owned(),
        }
        };
        End::Closed {
            reason: heard.unwrap_or_else(unknown),
            code: None,
        }
    }

    /// Stops in the order that loses nothing: no more frames are read, what was read is committed,
    /// then the socket closes and the rest is flushed. `grace` bounds each step; what is not committed
    /// by then was not acknowledged either, and comes again.
    pub async fn drain(self, grace: Grace) {
        self.taps.paused.cancel();
        let settled = async {
            self.in_flight.settled().await;
            let mut rows = self.auth.in_flight_rows();
            // The sender lives in the auth store, which this connection keeps.
            let _ = rows.wait_for(|rows| *rows == 0).await;
        };
        let settled = tokio::time::timeout(grace.commits().remaining(), settled).await;
        if settled.is_err() {
            tracing::warn!(
                "messages were in flight at the end of the grace period: they will be delivered again"
            );
        }
        let closed = tokio::time::timeout(grace.end().remaining(), self.handle.shutdown()).await;
        if closed.is_err() {
            self.client.signal_shutdown_sync();
            let _ = tokio::time::timeout(CUT, self.taps.close()).await;
        }
    }

    /// [`Connection::drain`], unless `cut` comes first: then it ends at once, and that is returned.
    pub async fn drain_unless<T>(self, grace: Grace, cut: impl Future<Output = T>) -> Option<T> {
        let (client, taps) = (self.client.clone(), self.taps.clone());
        // The drain that loses has no right to go on.
        tokio::select! {
            biased;
            why = cut => {
                client.signal_shutdown_sync();
                let _ = tokio::time::timeout(CUT, taps.close()).await;
                Some(why)
            }
            () = self.drain(grace) => None,
        }
    }

    /// Takes the device off the phone's list, if it is logged in and the server answers soon.
    pub async fn log_out(&self) {
        if self.client.is_logged_in()
            && tokio::time::timeout(LOGOUT, self.client.logout())
                .await
                .is_err()
        {
            tracing::warn!("the server did not confirm the logout");
        }
    }

    /// Ends the connection without waiting for anything: the lease is lost.
    pub async fn cut(self) {
        self.taps.paused.cancel();
        self.client.signal_shutdown_sync();
        self.handle.abort();
        self.taps.close().await;
        // The client's own tasks end with its connection state. Nothing of what it still flushes is
        // written: the auth store refuses.
        let _ = tokio::time::timeout(CUT, self.client.disconnect()).await;
    }
}
