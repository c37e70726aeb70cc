//! One client's connection, from the WebSocket upgrade to its end.
//!
//! One task reads and writes: the reading half hands stanzas to the server and queues the answers,
//! the writing half sends queued answers first and then what the device's mailbox releases. A
//! client that stops reading therefore stalls its own mail only.
//!
//! [`arrival`] shakes hands, [`login`] decides who it is, [`delivery`] hands out its mail.

mod arrival;
mod delivery;
mod login;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite;
use wacore_binary::Node;

use super::Server;
use super::directory::DeviceAddress;
use super::frames::{FrameError, StanzaReader, StanzaWriter};
use super::lines::{LINE_CAPACITY, Order};
use super::mailbox::{ConnectionId, Mailbox};
use super::noise::{Established, HandshakeError};
use crate::lint::Violation;
use arrival::{Arrival, shake_hands};
use delivery::deliver;

/// How long a client may take for the upgrade and the handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);

/// Some clients miss a stanza that follows the handshake within a few milliseconds.
const BREATH: Duration = Duration::from_millis(10);

/// How long a client may take to close its side after the server said goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// How long the server goes on listening to a client that a newer login has replaced: a client that
/// was frozen may have something to say when it wakes, and that must be seen.
const OVERHEAR: Duration = Duration::from_secs(60);

#[derive(Debug, Error)]
enum ConnectionError {
    #[error("no handshake within {HANDSHAKE_PATIENCE:?}")]
    Late,
    #[error("the WebSocket upgrade failed: {0}")]
    Upgrade(#[from] Box<tungstenite::Error>),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the client left in the handshake")]
    Left,
    #[error("the client neither logs in nor registers")]
    NoPurpose,
}

/// Serves one client until either side ends the connection.
pub(crate) async fn serve(server: Arc<Server>, stream: TcpStream) {
    let id = server.new_connection();
    if let Err(error) = run(&server, id, stream).await {
        tracing::debug!(connection = id.0, %error, "a connection ended");
    }
}

/// How the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    SaidGoodbye,
    Cut,
}

/// Who is on the line.
enum Role {
    /// A client that wants to be linked.
    Candidate,
    /// A linked device.
    Device(DeviceAddress, Arc<Mailbox>),
}

/// Takes a connection off the books however it ends.
struct Presence<'a> {
    server: &'a Server,
    id: ConnectionId,
    mailbox: Option<Arc<Mailbox>>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        super::lock(&self.server.pairing).leave(self.id);
        if let Some(mailbox) = &self.mailbox {
            mailbox.detach(self.id);
        }
        self.server.visits.end(self.id);
        // Last, since it wakes those who wait for the device to be gone.
        self.server.lines.close(self.id);
    }
}

async fn run(server: &Server, id: ConnectionId, stream: TcpStream) -> Result<(), ConnectionError> {
    let Arrival {
        name,
        frames,
        sink,
        session,
    } = timeout(HANDSHAKE_PATIENCE, shake_hands(server, stream))
        .await
        .map_err(|_| ConnectionError::Late)??;
    sleep(BREATH).await; // justified: no client tells when it has begun to listen
    let Established {
        client_static,
        payload,
        seal,
        open,
    } = session;
    let (orders, queue) = mpsc::channel(LINE_CAPACITY);
    server.lines.open(id, orders.clone());
    let mut presence = Presence {
        server,
        id,
        mailbox: None,
    };
    let (role, greeting) = login::greet(server, id, &client_static, &payload)?;
    if let Role::Device(_, mailbox) = &role {
        presence.mailbox = Some(Arc::clone(mailbox));
    }
    for stanza in greeting.stanzas {
        // The line is new and its queue empty.
        if orders.try_send(Order::Send(stanza)).is_err() {
            return Ok(());
        }
    }
    if greeting.hang_up && orders.try_send(Order::HangUp(None)).is_err() {
        return Ok(());
    }
    let mailbox = presence.mailbox.clone();
    let caller = Caller {
        id,
        name: name.as_deref(),
    };
    let reading = read(
        server,
        caller,
        &role,
        StanzaReader::new(frames, open),
        orders,
    );
    let writing = write(
        server,
        caller,
        mailbox,
        StanzaWriter::new(sink, seal),
        queue,
    );
    let mut reading = pin!(reading);
    // Whichever half ends first ends the connection; the other half has nobody to talk to.
    let ending = tokio::select! {
        ended = &mut reading => return ended,
        ended = writing => ended?,
    };
    drop(presence);
    if ending == Ending::SaidGoodbye {
        // A socket closed with unread bytes resets the connection, and the client may never see
        // the last stanza. How the client leaves no longer matters.
        let patience = if server.visits.is_replaced(id) {
            OVERHEAR
        } else {
            LINGER
        };
        timeout(patience, reading).await.ok();
    }
    Ok(())
}

/// Whose connection it is.
#[derive(Clone, Copy)]
struct Caller<'a> {
    id: ConnectionId,
    name: Option<&'a str>,
}

async fn read(
    server: &Server,
    caller: Caller<'_>,
    role: &Role,
    mut stanzas: StanzaReader,
    orders: mpsc::Sender<Order>,
) -> Result<(), ConnectionError> {
    loop {
        let id = caller.id;
        let faults = server.faults.current();
        if faults.slow_reader_ms > 0 {
            // justified: the pause is the fault.
            sleep(Duration::from_millis(faults.slow_reader_ms)).await;
        }
        let Some(stanza) = stanzas.next().await? else {
            return Ok(());
        };
        if let Role::Device(_, mailbox) = role
            && mailbox.reader() != Some(id)
        {
            server.visits.late(id, &stanza.tag);
            continue;
        }
        if faults.is_deaf_to(caller.name) || orders.is_closed() {
            continue;
        }
        tracing::trace!(connection = id.0, tag = %stanza.tag, "received");
        let reply = match role {
            Role::Candidate => server.receive_from_candidate(id, &stanza),
            Role::Device(address, _) => {
                check_receipt(server, *address, &stanza).await;
                let mut reply = server.receive(*address, id, &stanza);
                if stanza.tag == "message" {
                    let fate = server.faults.ack_fate();
                    if !fate.delay.is_zero() {
                        sleep(fate.delay).await; // justified: the delay is the fault
                    }
                    let ack = std::mem::take(&mut reply.stanzas);
                    let copies = std::iter::repeat_n(ack, fate.copies);
                    reply.stanzas = copies.flatten().collect();
                }
                reply
            }
        };
        let hang_up = reply.hang_up.then_some(Order::HangUp(None));
        let answers = reply.stanzas.into_iter().map(Order::Send).chain(hang_up);
        for order in answers {
            if orders.send(order).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Runs the receipt check before the receipt takes effect.
async fn check_receipt(server: &Server, from: DeviceAddress, stanza: &Node) {
    let Some(check) = server.lint.receipt_check() else {
        return;
    };
    let taken_over = server.messages_taken_over(from, stanza);
    let account = server.directory().account(from.account).pn.user.to_string();
    for message_id in taken_over {
        if !check(account.clone(), message_id.clone()).await {
            server
                .lint
                .note(Violation::ReceiptBeforeCommit { message_id });
        }
    }
}

async fn write(
    server: &Server,
    caller: Caller<'_>,
    mailbox: Option<Arc<Mailbox>>,
    mut stanzas: StanzaWriter,
    mut orders: mpsc::Receiver<Order>,
) -> Result<Ending, ConnectionError> {
    loop {
        let patience = mailbox
            .as_ref()
            .and_then(|mail| mail.patience_ends(caller.id));
        // Each branch only waits; nothing is lost with the one that is dropped.
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Send(stanza)) => {
                    stanzas.feed(&stanza).await?;
                    stanzas.flush().await?;
                }
                Some(Order::HangUp(stanza)) => {
                    if let Some(stanza) = stanza {
                        stanzas.feed(&stanza).await?;
                        stanzas.flush().await?;
                    }
                    stanzas.close().await;
                    return Ok(Ending::SaidGoodbye);
                }
                Some(Order::Cut) | None => return Ok(Ending::Cut),
            },
            () = mail_or_never(mailbox.as_deref()) => {
                deliver(server, caller, mailbox.as_deref(), &mut stanzas).await?;
            }
            () = due_or_never(patience) => {
                deliver(server, caller, mailbox.as_deref(), &mut stanzas).await?;
            }
        }
    }
}

async fn mail_or_never(mailbox: Option<&Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.changed().await,
        None => std::future::pending().await,
    }
}

async fn due_or_never(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
