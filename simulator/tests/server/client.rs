//! A stock whatsapp-rust client over a plain WebSocket, with its state in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use wacore::net::{
    DisconnectReason, HttpClient, HttpRequest, HttpResponse, Transport, TransportEvent,
    TransportFactory,
};
use wacore::store::InMemoryBackend;
use wacore::types::events::{Event, InboundMessage};
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::{Client, Jid};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

struct Socket(Mutex<SplitSink<WebSocketStream<TcpStream>, Message>>);

#[async_trait]
impl Transport for Socket {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        Ok(self.0.lock().await.send(Message::Binary(data)).await?)
    }

    async fn disconnect(&self) {
        if let Err(error) = self.0.lock().await.close().await {
            tracing::debug!(%error, "the server was gone already");
        }
    }
}

struct Plain(String);

#[async_trait]
impl TransportFactory for Plain {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let host = self.0.split('/').nth(2).expect("a ws URL has a host");
        let stream = TcpStream::connect(host).await?;
        let (socket, _) = tokio_tungstenite::client_async(&self.0, stream).await?;
        let (sink, mut source) = socket.split();
        let (events, queue) = async_channel::bounded(1024);
        tokio::spawn(async move {
            if events.send(TransportEvent::Connected).await.is_err() {
                return;
            }
            while let Some(Ok(message)) = source.next().await {
                if let Message::Binary(data) = message
                    && events
                        .send(TransportEvent::DataReceived(data))
                        .await
                        .is_err()
                {
                    return;
                }
            }
            let end = TransportEvent::Disconnected(DisconnectReason::StreamEnded);
            if events.send(end).await.is_err() {
                tracing::debug!("nobody listens any more");
            }
        });
        Ok((Arc::new(Socket(Mutex::new(sink))), queue))
    }
}

struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _: HttpRequest) -> anyhow::Result<HttpResponse> {
        anyhow::bail!("this client has no HTTP")
    }
}

/// A running client.
pub struct Stock {
    handle: BotHandle,
    events: mpsc::UnboundedReceiver<Arc<Event>>,
    seen: Vec<Arc<Event>>,
    inbox: Vec<InboundMessage>,
    pub backend: Arc<InMemoryBackend>,
}

impl Stock {
    /// Connects with a state, fresh or from an earlier run.
    pub async fn start(url: &str, backend: Arc<InMemoryBackend>) -> Self {
        Self::launch(url, backend, None).await
    }

    /// Connects fresh and asks to be linked by a code.
    pub async fn start_with_code(url: &str, phone_number: &str) -> Self {
        let options = PairCodeOptions {
            phone_number: phone_number.to_owned(),
            ..PairCodeOptions::default()
        };
        Self::launch(url, Arc::new(InMemoryBackend::new()), Some(options)).await
    }

    async fn launch(
        url: &str,
        backend: Arc<InMemoryBackend>,
        code: Option<PairCodeOptions>,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let builder = Bot::builder()
            .with_backend_arc(backend.clone())
            .with_transport_factory(Plain(url.to_owned()))
            .with_http_client(NoHttp)
            .with_version((2, 3000, 1_030_000_000))
            .on_event(move |event, _| {
                // The receiver ends with the test; what comes later interests nobody.
                let _ = sender.send(event);
                std::future::ready(())
            });
        let builder = match code {
            Some(options) => builder.with_pair_code(options),
            None => builder,
        };
        let bot = builder.build().await.expect("the in-memory store works");
        Self {
            handle: bot.spawn(),
            events,
            seen: Vec::new(),
            inbox: Vec::new(),
            backend,
        }
    }

    pub fn client(&self) -> Arc<Client> {
        self.handle.client()
    }

    /// Waits for an event that was not returned before; skipped ones are kept for later calls.
    pub async fn wait<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(index) = self.seen.iter().position(|event| wanted(event).is_some()) {
            let event = self.seen.remove(index);
            return wanted(&event).expect("it matched just now");
        }
        loop {
            self.next().await;
            let found = self.seen.last().and_then(|event| wanted(event));
            if let Some(found) = found {
                self.seen.pop();
                return found;
            }
        }
    }

    async fn next(&mut self) {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        let event = event.expect("the event comes in time");
        match &*event.expect("the client runs") {
            Event::Messages(batch) => self.inbox.extend(batch.messages.iter().cloned()),
            other => self.seen.push(Arc::new(other.clone())),
        }
    }

    pub async fn qr(&mut self) -> String {
        self.wait(|event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn code(&mut self) -> String {
        self.wait(|event| match event {
            Event::PairingCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn connected(&mut self) {
        self.wait(|event| matches!(event, Event::Connected(_)).then_some(()))
            .await;
    }

    pub async fn replaced(&mut self) {
        self.wait(|event| matches!(event, Event::StreamReplaced(_)).then_some(()))
            .await;
    }

    pub async fn logged_out(&mut self) {
        self.wait(|event| matches!(event, Event::LoggedOut(_)).then_some(()))
            .await;
    }

    /// Waits for a receipt of this kind, by its name in the library.
    pub async fn receipt(&mut self, id: &str, kind: &str) {
        self.wait(|event| match event {
            Event::Receipt(receipt) => {
                let named = receipt.message_ids.iter().any(|named| named == id);
                (named && format!("{:?}", receipt.r#type) == kind).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// Waits for the message with this id.
    pub async fn message(&mut self, id: &str) -> InboundMessage {
        self.copies(id, 1).await.remove(0)
    }

    /// Waits for `count` messages with this id.
    pub async fn copies(&mut self, id: &str, count: usize) -> Vec<InboundMessage> {
        loop {
            let copies = self.inbox.iter().filter(|message| message.info.id == id);
            let copies: Vec<_> = copies.cloned().collect();
            if copies.len() >= count {
                return copies;
            }
            self.next().await;
        }
    }

    /// The ids of the messages from a person that were waited past so far.
    pub fn inbox_of(&self, person: &simulator::Person) -> Vec<String> {
        let user = person.jid().user;
        let lid = person.lid().user;
        let sender = |message: &&InboundMessage| {
            let sender = &message.info.source.sender;
            sender.user == user || sender.user == lid
        };
        let theirs = self.inbox.iter().filter(sender);
        theirs.map(|message| message.info.id.to_string()).collect()
    }

    pub async fn send_text(&self, to: &Jid, text: &str) -> String {
        let message = waproto::whatsapp::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        let sent = self.client().send_message(to, message).await;
        sent.expect("the client sends").message_id
    }

    /// Ends the client in good order.
    pub async fn stop(self) -> Arc<InMemoryBackend> {
        self.handle.shutdown().await;
        self.backend
    }

    /// Ends the client as a crash would.
    pub fn kill(self) -> Arc<InMemoryBackend> {
        self.handle.abort();
        self.backend
    }
}

pub fn text(message: &InboundMessage) -> String {
    message.message.conversation.clone().unwrap_or_default()
}

/// Stores a device as a client would that was linked before.
pub async fn save(backend: &InMemoryBackend, device: &wacore::store::Device) {
    use wacore::store::traits::DeviceStore as _;
    backend.create().await.expect("the in-memory store works");
    backend
        .save(device)
        .await
        .expect("the in-memory store works");
}
