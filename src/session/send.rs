//! Sends one message and waits for the server's word on it.
//!
//! Before anything leaves, the ratchets are made durable: a worker that is killed right after a reply
//! must not come back with keys that the peer has already moved past. A flush that the auth store
//! puts off, because a received message is not stored yet, is repeated.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use wacore_binary::Jid as WireJid;
use waproto::whatsapp as wa;
use whatsapp_rust::Client;
use whatsapp_rust::send::SendOptions;

use crate::clock;
use crate::ids::Jid;

/// How long the server may take to answer.
const ACK: Duration = Duration::from_secs(20);
/// How long a flush is repeated.
const FLUSH: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a message is not known to have been sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The recipient's address cannot be used.
    #[error("the address cannot be sent to: {0}")]
    Address(String),
    /// Nothing left: the ratchets could not be made durable.
    #[error("the signal state could not be stored: {0}")]
    NotDurable(String),
    /// Nothing left, or it is not known: the connection failed.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The server refused.
    #[error("the server refused it with code {0}")]
    Refused(String),
    /// The server did not answer in time; it may have taken it.
    #[error("the server did not answer within {ACK:?}")]
    Unanswered,
}

/// Who waits for which answer of the server.
#[derive(Clone, Debug, Default)]
pub struct Acks(Arc<Mutex<HashMap<String, oneshot::Sender<Option<String>>>>>);

impl Acks {
    fn expect(&self, id: &str) -> oneshot::Receiver<Option<String>> {
        let (tell, answer) = oneshot::channel();
        self.lock().insert(id.to_owned(), tell);
        answer
    }

    /// The server answered; `error` is its refusal.
    pub(super) fn settle(&self, id: &str, error: Option<String>) {
        if let Some(waiting) = self.lock().remove(id) {
            // Who asked may have given up.
            let _ = waiting.send(error);
        }
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Option<String>>>> {
        self.0.lock().expect("no panic while it is held")
    }
}

/// Sends `message` to `to` under the message id `id`; `Ok` means that the server took it. Repeating
/// it with the same id is safe. If it is dropped, the message may have left.
///
/// # Errors
/// [`SendError`].
pub(super) async fn send(
    client: &Arc<Client>,
    acks: &Acks,
    to: &Jid,
    message: &wa::Message,
    id: &str,
) -> Result<(), SendError> {
    let wire: WireJid = to
        .as_str()
        .parse()
        .map_err(|error| SendError::Address(format!("{error}")))?;
    let answer = acks.expect(id);
    let sent = async {
        flush(client).await?;
        hand_over(client, wire, message, id).await?;
        match tokio::time::timeout(ACK, answer).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(code))) => Err(SendError::Refused(code)),
            Ok(Err(_)) => Err(SendError::Connection("it ended".to_owned())),
            Err(_) => Err(SendError::Unanswered),
        }
    };
    let outcome = sent.await;
    acks.forget(id);
    outcome
}

async fn flush(client: &Arc<Client>) -> Result<(), SendError> {
    let flushed = backed_off(|| async {
        client
            .flush_pending_signal_state()
            .await
            .map_err(|error| SendError::NotDurable(format!("{error:#}")))
    });
    flushed.await
}

/// The library flushes once more when it reserves counters; that flush may be put off too.
async fn hand_over(
    client: &Arc<Client>,
    wire: WireJid,
    message: &wa::Message,
    id: &str,
) -> Result<(), SendError> {
    let send = || async {
        let options = SendOptions::default().with_message_id(id);
        let sent = client.send_message_with_options(wire.clone(), message.clone(), options);
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                Err(if text.contains("signal") && text.contains("stor") {
                    SendError::NotDurable(text)
                } else {
                    SendError::Connection(text)
                })
            }
        }
    };
    backed_off(send).await
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
