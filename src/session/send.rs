//! Sends one message and waits for the server's word on it.
//!
//! Before anything leaves, the ratchets are made durable: a worker that is killed right after a reply
//! must not come back with keys that the peer has already moved past. A flush that the auth store
//! puts off, because a received message is not stored yet, is repeated. What moves a ratchet after that is
//! stored before the frame leaves ([`Vow`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::warn;
use wacore_binary::{Jid as WireJid, JidExt};
use waproto::whatsapp as wa;
use whatsapp_rust::Client;
use whatsapp_rust::client::ClientError;
use whatsapp_rust::send::{SendError as LibraryError, SendOptions};

use super::connection::{Readers, Vow};
use crate::clock;
use crate::ids::Jid;
use crate::outbound::delivery::{self, Outcome};
use crate::telemetry::scrub::scrub;

/// How long a flush is repeated.
const FLUSH: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a message is not known to have been sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing left: the recipient's address cannot be used.
    #[error("the address cannot be sent to: {0}")]
    Address(String),
    /// Nothing left: the ratchets could not be made durable.
    #[error("the signal state could not be stored: {0}")]
    NotDurable(String),
    /// Nothing left: there was no connection, or the server did not tell what was needed.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The server refused.
    #[error("the server refused it with code {0}")]
    Refused(String),
    /// The connection broke while it was written.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server did not answer in time; it may have taken it.
    #[error("the server did not answer in time")]
    Unanswered,
}

impl From<SendError> for Outcome {
    fn from(error: SendError) -> Self {
        let code = match error {
            SendError::Refused(code) => return Self::Refused(code),
            SendError::Unanswered => return Self::Unanswered(delivery::ACK_TIMEOUT),
            SendError::Broken(_) => return Self::Unanswered(delivery::INTERRUPTED),
            SendError::Address(error) => {
                return Self::Impossible {
                    code: "address",
                    error: scrub(&error, true).into_owned(),
                };
            }
            SendError::NotDurable(_) => "signal_state",
            SendError::Connection(_) => "connection",
        };
        Self::NotSent {
            code,
            error: scrub(&error.to_string(), true).into_owned(),
        }
    }
}

/// What messages leave by, for one connection.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) client: Arc<Client>,
    pub(super) vow: Vow,
    pub(super) acks: Acks,
    /// Held by those who write; whoever drops a session waits for them.
    pub(super) sessions: Sessions,
}

/// See [`Line::sessions`].
pub type Sessions = Arc<tokio::sync::RwLock<()>>;

/// Who waits for which answer of the server.
#[derive(Clone, Debug, Default)]
pub struct Acks(Arc<Mutex<HashMap<String, oneshot::Sender<Option<String>>>>>);

impl Acks {
    fn expect(&self, id: &str) -> oneshot::Receiver<Option<String>> {
        let (tell, answer) = oneshot::channel();
        self.lock().insert(id.to_owned(), tell);
        answer
    }

    /// The server answered; `error` is its refusal. `false`: nobody waits for it.
    pub(super) fn settle(&self, id: &str, error: Option<String>) -> bool {
        let waiting = self.lock().remove(id);
        // Who asked may have given up.
        waiting.is_some_and(|waiting| waiting.send(error).is_ok())
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Option<String>>>> {
        self.0.lock().expect("no panic while it is held")
    }
}

/// Sends `message` to `to` under the message id `id`; `Ok` means that the server took it, or that the
/// recipient has it. Repeating it with the same id is safe. If it is dropped, the message may have left.
///
/// # Errors
/// [`SendError`].
pub(super) async fn send(
    line: &Line,
    to: &Jid,
    message: &wa::Message,
    id: &str,
    patience: Duration,
) -> Result<(), SendError> {
    let Line { acks, .. } = line;
    let wire: WireJid = to
        .as_str()
        .parse()
        .map_err(|error| SendError::Address(format!("{error}")))?;
    let answer = acks.expect(id);
    let sent = async {
        let _writing = line.vow.writing(addressed(&line.client, &wire).await);
        flush(line).await?;
        hand_over(line, &wire, message, id).await?;
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(code))) => Err(SendError::Refused(code)),
            Ok(Err(_)) => Err(SendError::Broken("it ended".to_owned())),
            Err(_) => Err(SendError::Unanswered),
        }
    };
    let outcome = sent.await;
    acks.forget(id);
    outcome
}

/// Who reads a message to `to`, in every form of address.
async fn addressed(client: &Client, to: &WireJid) -> Readers {
    if to.is_group() || to.is_status_broadcast() || to.is_newsletter() {
        return Readers::Any;
    }
    let Ok(Some(forms)) = client.get_lid_pn_entry(to).await else {
        return Readers::Any;
    };
    let mut users = vec![forms.lid.to_string(), forms.phone_number.to_string()];
    let own = [client.pn(), client.lid()].into_iter().flatten();
    users.extend(own.map(|jid| jid.user.as_str().to_owned()));
    Readers::Of(users)
}

async fn flush(line: &Line) -> Result<(), SendError> {
    let flushed = backed_off(|| async {
        let stored = line.vow.store_ratchets(&line.client).await;
        stored.map_err(|error| SendError::NotDurable(format!("{error:#}")))
    });
    flushed.await
}

/// Hands the message to the library, which flushes once more when it reserves counters; that flush may
/// be put off too.
///
/// The library first makes sessions with all devices of a person and then writes to those that have
/// one. A device whose session was dropped in between is passed over, and nobody is told: it would
/// never see the message. So our own drops wait for those who write ([`Line::sessions`]), and when a
/// session is missing afterwards, because the device itself had it dropped, everything is written once
/// more. Who has it already knows it by its id.
async fn hand_over(
    line: &Line,
    wire: &WireJid,
    message: &wa::Message,
    id: &str,
) -> Result<(), SendError> {
    let _sessions = line.sessions.read().await;
    let known = readers(&line.client, wire).await;
    backed_off(|| write(&line.client, wire, message, id)).await?;
    if is_one_lost(&line.client, &known).await {
        warn!(to = %Jid::new(wire.to_string()), message_id = id, "a device lost its session while it was written to: written again");
        backed_off(|| write(&line.client, wire, message, id)).await?;
    }
    Ok(())
}

/// The devices of the person `to` that there is a session with. In groups the library asks for what it
/// misses by itself.
async fn readers(client: &Client, to: &WireJid) -> Vec<WireJid> {
    if to.is_group() {
        return Vec::new();
    }
    let signal = client.signal();
    let devices = signal.get_user_devices(std::slice::from_ref(to)).await;
    let mut readers = Vec::new();
    // Whatever is wrong is found again, and told, by the writing.
    for device in devices.unwrap_or_default() {
        if let Ok(true) = signal.validate_session(&device).await {
            readers.push(device);
        }
    }
    readers
}

/// Whether the session with one of `readers` is gone.
async fn is_one_lost(client: &Client, readers: &[WireJid]) -> bool {
    for device in readers {
        if let Ok(false) = client.signal().validate_session(device).await {
            return true;
        }
    }
    false
}

async fn write(
    client: &Client,
    wire: &WireJid,
    message: &wa::Message,
    id: &str,
) -> Result<(), SendError> {
    let options = SendOptions::default().with_message_id(id);
    let sent = client.send_message_with_options(wire.clone(), message.clone(), options);
    sent.await.map(drop).map_err(|error| {
        let text = format!("{error:#}");
        match error {
            LibraryError::InvalidRequest(why) => SendError::Address(why),
            LibraryError::Client(ClientError::Socket(_) | ClientError::EncryptSend(_)) => {
                SendError::Broken(text)
            }
            LibraryError::Internal(error) if is_put_off(&error) => {
                SendError::NotDurable(format!("{error:#}"))
            }
            _ => SendError::Connection(text),
        }
    })
}

/// Whether the auth store did not take the ratchets yet. The library hands its words on, and no more.
fn is_put_off(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("signal") && text.contains("stor")
}

async fn backed_off<F>(mut attempt: impl FnMut() -> F) -> Result<(), SendError>
where
    F: Future<Output = Result<(), SendError>>,
{
    let give_up = clock::Boot::now().plus(FLUSH);
    loop {
        match attempt().await {
            Err(SendError::NotDurable(_)) if clock::Boot::now() < give_up => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
