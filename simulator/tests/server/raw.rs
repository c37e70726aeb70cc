//! A client that does as it is told, right or wrong.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use simulator::{Person, Simulator};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use wacore::store::Device;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::{Node, OwnedNodeRef};
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{IkHandshakeState, IkServerHelloOutcome, NoiseCipher};

use crate::client::PATIENCE;

pub struct Raw {
    socket: WebSocketStream<TcpStream>,
    frames: FrameDecoder,
    seal: NoiseCipher,
    open: NoiseCipher,
    sent: u32,
    received: u32,
    pub device: Device,
}

impl Raw {
    /// Links a device of `person` and logs in by IK.
    pub async fn log_in(sim: &Simulator, person: &Person) -> Self {
        let device = sim.seed_linked_device(person).expect("the phone vouches");
        let mut raw = Self::connect(sim, device).await;
        assert_eq!(raw.next().await.expect("an answer").tag, "success");
        raw
    }

    /// Shakes hands with what a device stored.
    pub async fn connect(sim: &Simulator, device: Device) -> Self {
        let url = sim.url();
        let host = url.split('/').nth(2).expect("a ws URL has a host");
        let stream = TcpStream::connect(host).await.expect("it listens");
        let (mut socket, _) = tokio_tungstenite::client_async(&url, stream)
            .await
            .expect("it upgrades");
        let payload = waproto::codec::client_payload_to_vec(&device.get_client_payload());
        let server = device
            .server_cert_chain
            .as_ref()
            .expect("a seeded chain")
            .leaf
            .key;
        let mut handshake =
            IkHandshakeState::new(device.noise_key.clone(), server, payload, &WA_CONN_HEADER)
                .expect("keys are keys");
        let hello = handshake.build_client_hello().expect("keys are keys");
        let hello = encode_frame(&hello, Some(&WA_CONN_HEADER)).expect("it fits");
        let mut frames = FrameDecoder::new();
        socket
            .send(Message::Binary(hello.into()))
            .await
            .expect("sent");
        let answer = frame(&mut socket, &mut frames).await.expect("an answer");
        let IkServerHelloOutcome::Continue(keys) = handshake
            .read_server_hello(&answer)
            .expect("a server hello")
        else {
            panic!("the server refused IK");
        };
        Self {
            socket,
            frames,
            seal: keys.write_cipher,
            open: keys.read_cipher,
            sent: 0,
            received: 0,
            device,
        }
    }

    pub async fn send(&mut self, stanza: &Node) {
        self.send_bytes(wacore_binary::marshal(stanza).expect("it encodes"))
            .await;
    }

    pub async fn send_bytes(&mut self, mut bytes: Vec<u8>) {
        self.seal
            .encrypt_in_place_with_counter(self.sent, &mut bytes)
            .expect("keys are keys");
        self.sent += 1;
        let frame = encode_frame(&bytes, None).expect("it fits");
        let message = Message::Binary(Bytes::from(frame));
        self.socket.send(message).await.expect("sent");
    }

    /// The next stanza, or `None` when the server closed the connection.
    pub async fn next(&mut self) -> Option<Node> {
        let mut bytes = frame(&mut self.socket, &mut self.frames).await?;
        self.open
            .decrypt_in_place_with_counter(self.received, &mut bytes)
            .expect("sealed for us");
        self.received += 1;
        let bytes = wacore_binary::util::unpack(&bytes)
            .expect("packed")
            .into_owned();
        Some(OwnedNodeRef::new(bytes).expect("a stanza").to_owned_node())
    }

    /// Sends a request and returns its answer; what comes before it is dropped.
    pub async fn ask(&mut self, namespace: &str, kind: &str, child: Node) -> Node {
        let request = NodeBuilder::new("iq")
            .attr("to", "s.whatsapp.net")
            .attr("id", format!("ask-{}", self.sent))
            .attr("type", kind)
            .attr("xmlns", namespace)
            .children([child])
            .build();
        self.send(&request).await;
        loop {
            let answer = self.next().await.expect("an answer");
            if answer.tag == "iq" && answer.attrs.get("id") == request.attrs.get("id") {
                return answer;
            }
        }
    }
}

async fn frame(
    socket: &mut WebSocketStream<TcpStream>,
    frames: &mut FrameDecoder,
) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = frames.decode_frame() {
            return Some(frame.to_vec());
        }
        let message = tokio::time::timeout(PATIENCE, socket.next()).await;
        match message.expect("the server says something") {
            Some(Ok(Message::Binary(bytes))) => frames.feed(&bytes),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}
