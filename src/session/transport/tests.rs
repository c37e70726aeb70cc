mod gate;
mod over_tls;
mod starved;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use wacore::net::DisconnectReason;

use super::*;
use crate::clock::Boot;
use crate::session::endpoint::{NetworkSettings, WsUrl};

const HOUR: Duration = Duration::from_secs(3600);

fn trusted_for(time: Duration) -> Trust {
    Trust::until(Boot::now().plus(time))
}

fn settings(url: &str) -> NetworkSettings {
    NetworkSettings {
        ws_url: WsUrl::parse(url).expect("loopback"),
        proxy: None,
        extra_ca_file: None,
        connect_timeout: Duration::from_secs(10),
        user_timeout: Duration::from_secs(5),
    }
}

fn factory(settings: NetworkSettings, trust: &Trust) -> WsTransportFactory {
    let network = Network::new(settings).expect("settings");
    WsTransportFactory::new(Arc::new(network), trust.clone())
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

type Events = async_channel::Receiver<TransportEvent>;
type Served = WebSocketStream<TcpStream>;

/// A connection to a plain loopback server, and the server's end of it.
async fn pair(trust: &Trust) -> (WsTransport, Events, Served) {
    let (listener, port) = listen().await;
    let serve = async {
        let (stream, _) = listener.accept().await.expect("accept");
        tokio_tungstenite::accept_async_with_config(stream, Some(limits()))
            .await
            .expect("upgrade")
    };
    let factory = factory(settings(&format!("ws://127.0.0.1:{port}/ws")), trust);
    let (connected, served) = tokio::join!(factory.connect(), serve);
    let (transport, events) = connected.expect("connected");
    assert!(matches!(next(&events).await, TransportEvent::Connected));
    (transport, events, served)
}

async fn next(events: &Events) -> TransportEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv());
    event.await.expect("an event in time").expect("an event")
}

async fn end_of(events: &Events) -> DisconnectReason {
    match next(events).await {
        TransportEvent::Disconnected(reason) => reason,
        other => panic!("{other:?} instead of the end"),
    }
}

#[tokio::test]
async fn frames_travel_both_ways_and_pings_are_answered() {
    let (transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    transport
        .write(Bytes::from_static(b"up"))
        .await
        .expect("sent");
    assert_eq!(
        server.next().await.expect("frame").expect("frame"),
        Message::binary("up")
    );
    server.send(Message::Ping("p".into())).await.expect("sent");
    server.send(Message::text("ignored")).await.expect("sent");
    server.send(Message::binary("down")).await.expect("sent");
    assert_eq!(
        server.next().await.expect("frame").expect("frame"),
        Message::Pong("p".into())
    );
    match next(&events).await {
        TransportEvent::DataReceived(data) => assert_eq!(data, "down"),
        other => panic!("{other:?} instead of data"),
    }
}

#[tokio::test]
async fn a_large_message_passes_in_both_directions_at_once() {
    let (transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    let large = Bytes::from(vec![7; 20 << 20]);
    let from_server = large.clone();
    let serve = async move {
        server
            .send(Message::Binary(from_server))
            .await
            .expect("sent");
        server.next().await.expect("frame").expect("frame")
    };
    let (sent, event, received) =
        tokio::join!(transport.write(large.clone()), next(&events), serve);
    sent.expect("sent");
    assert_eq!(received.into_data(), large);
    assert!(matches!(event, TransportEvent::DataReceived(data) if data == large));
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection() {
    let (_transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    let flood = server.send(Message::binary(vec![0; MAX_MESSAGE_BYTES + 1]));
    let (_, reason) = tokio::join!(flood, end_of(&events));
    assert!(
        matches!(&reason, DisconnectReason::ReadError(why) if why.contains("limit")),
        "{reason:?}"
    );
}

#[tokio::test]
async fn disconnect_says_goodbye_reports_the_end_and_may_be_repeated() {
    let (transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    tokio::join!(transport.close(), transport.close());
    assert!(transport.ended.is_cancelled());
    assert_eq!(
        server.next().await.expect("frame").expect("frame"),
        Message::Close(None)
    );
    assert!(matches!(end_of(&events).await, DisconnectReason::Unknown));
    assert!(events.recv().await.is_err(), "the end is the last event");
    let late = transport.write(Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(SendError::Closed)), "{late:?}");
    transport.close().await;
}

#[tokio::test]
async fn the_servers_goodbye_and_its_silence_are_told_apart() {
    let (_transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    let frame = CloseFrame {
        code: 1001.into(),
        reason: "bye".into(),
    };
    server.close(Some(frame)).await.expect("sent");
    match end_of(&events).await {
        DisconnectReason::ServerClose { code, reason } => {
            assert_eq!((code, reason.as_str()), (Some(1001), "bye"));
        }
        other => panic!("{other:?} instead of the server's reason"),
    }
    assert!(
        matches!(server.next().await, Some(Ok(Message::Close(_)))),
        "it is answered"
    );

    let (_transport, events, server) = pair(&trusted_for(HOUR)).await;
    drop(server);
    assert!(matches!(
        end_of(&events).await,
        DisconnectReason::StreamEnded
    ));
}

#[tokio::test]
async fn a_consumer_that_does_not_read_neither_fills_memory_nor_blocks_the_close() {
    let (transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    let flood: JoinHandle<usize> = tokio::spawn(async move {
        let mut sent = 0;
        while server.send(Message::binary(vec![0; 1 << 20])).await.is_ok() {
            sent += 1;
        }
        sent
    });
    while events.len() < EVENT_QUEUE {
        tokio::task::yield_now().await;
    }
    transport.close().await;
    let sent = flood.await.expect("no panic");
    assert!(sent < EVENT_QUEUE + 64, "{sent} MiB were taken");
    assert_eq!(events.len(), EVENT_QUEUE);
}

#[tokio::test]
async fn dropping_the_transport_closes_the_socket() {
    let (transport, events, mut server) = pair(&trusted_for(HOUR)).await;
    drop(transport);
    assert!(events.recv().await.is_err());
    assert!(matches!(server.next().await, Some(Err(_)) | None));
}

/// The kill switch, seen from the server: not a byte arrives after trust has ended.
#[tokio::test]
async fn nothing_leaves_after_trust_has_ended() {
    let trust = trusted_for(HOUR);
    let (transport, events, server) = pair(&trust).await;
    let mut raw = server.into_inner();
    trust.revoke();
    let refused = transport.write(Bytes::from_static(b"forbidden")).await;
    assert!(
        matches!(refused, Err(SendError::TrustEnded(_))),
        "{refused:?}"
    );
    transport.close().await;
    let mut rest = Vec::new();
    let end = raw.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "no Close frame either");
    assert_eq!(
        end.expect_err("a reset").kind(),
        io::ErrorKind::ConnectionReset
    );
    assert!(matches!(
        next(&events).await,
        TransportEvent::Disconnected(_)
    ));
}

#[tokio::test]
async fn a_write_in_a_buffer_does_not_survive_the_end_of_trust() {
    let trust = trusted_for(HOUR);
    let (transport, events, server) = pair(&trust).await;
    let mut raw = server.into_inner();
    // More than the kernel takes while the server does not read.
    let message = Bytes::from(vec![7; 24 << 20]);
    let revoked_while_waiting = async {
        let mut first = [0; 1];
        raw.read_exact(&mut first)
            .await
            .expect("the write has begun");
        trust.revoke();
    };
    let (sent, ()) = tokio::join!(transport.write(message), revoked_while_waiting);
    assert!(
        matches!(sent, Err(SendError::TrustEnded(_) | SendError::Closed)),
        "{sent:?}"
    );
    assert!(matches!(
        end_of(&events).await,
        DisconnectReason::ReadError(_)
    ));
    let mut arrived = 1;
    let mut buffer = vec![0; 1 << 20];
    let end = loop {
        match raw.read(&mut buffer).await {
            Ok(0) => panic!("an orderly end instead of a reset"),
            Ok(n) => arrived += n,
            Err(e) => break e,
        }
    };
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    assert!(arrived < 16 << 20, "{arrived} bytes arrived");
}

#[tokio::test]
async fn an_idle_connection_ends_with_its_trust_and_not_before() {
    let start = Boot::now();
    let trust = Trust::until(start.plus(Duration::from_millis(2000)));
    let (_transport, events, mut server) = pair(&trust).await;
    let extended = start.plus(Duration::from_millis(2600));
    trust.extend(extended);
    let reason = end_of(&events).await;
    assert!(Boot::now() >= extended, "the extension counts");
    assert!(
        matches!(&reason, DisconnectReason::ReadError(why) if *why == TrustEnded.to_string()),
        "{reason:?}"
    );
    let end = server.next().await.expect("an end").expect_err("a reset");
    assert!(
        matches!(&end, WsError::Io(e) if e.kind() == io::ErrorKind::ConnectionReset),
        "{end}"
    );
}

#[tokio::test]
async fn a_pong_is_refused_once_trust_has_ended() {
    let trust = trusted_for(HOUR);
    let (_transport, events, mut server) = pair(&trust).await;
    trust.revoke();
    server.send(Message::Ping("p".into())).await.expect("sent");
    assert!(matches!(
        end_of(&events).await,
        DisconnectReason::ReadError(_)
    ));
    assert!(matches!(server.next().await, Some(Err(_))));
}

#[tokio::test]
async fn without_trust_no_connect_is_started() {
    let (listener, port) = listen().await;
    let url = format!("ws://127.0.0.1:{port}/");
    let factory = factory(settings(&url), &Trust::none());
    let refused = factory.create_transport().await.err().expect("refused");
    let refused = refused.downcast::<ConnectError>().expect("typed");
    assert!(
        matches!(refused, ConnectError::TrustEnded(_)),
        "{refused:?}"
    );
    // The listener's queue holds what was connected, accepted or not.
    let probe = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    let (first, _) = listener.accept().await.expect("accept");
    assert_eq!(
        first.peer_addr().expect("peer"),
        probe.local_addr().expect("local")
    );
}

#[tokio::test]
async fn trust_that_ends_during_a_connect_ends_the_connect() {
    let (listener, port) = listen().await;
    let bytes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bytes);
    let trust = trusted_for(HOUR);
    let revoke = trust.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            counted.fetch_add(n, Ordering::Relaxed);
            // The upgrade request is here and is never answered.
            revoke.revoke();
        }
    });
    let url = format!("ws://127.0.0.1:{port}/");
    let ended = factory(settings(&url), &trust).connect().await;
    assert!(
        matches!(ended, Err(ConnectError::TrustEnded(_))),
        "{:?}",
        ended.err()
    );
    server.await.expect("the server sees the end");
    assert!(bytes.load(Ordering::Relaxed) < 4096);
}

#[tokio::test]
async fn a_server_that_never_answers_times_out() {
    let (listener, port) = listen().await;
    let mut settings = settings(&format!("ws://127.0.0.1:{port}/"));
    settings.connect_timeout = Duration::from_millis(200);
    let silent = factory(settings, &trusted_for(HOUR)).connect().await;
    assert!(matches!(silent, Err(ConnectError::TimedOut(limit)) if limit.as_millis() == 200));
    drop(listener);
}

#[tokio::test]
async fn refusals_of_the_upgrade_carry_their_status() {
    let (listener, port) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("request"));
        }
        let answer = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("answer");
        String::from_utf8(request).expect("text").to_lowercase()
    });
    let url = format!("ws://127.0.0.1:{port}/ws/chat");
    let refused = factory(settings(&url), &trusted_for(HOUR)).connect().await;
    assert!(matches!(
        refused,
        Err(ConnectError::Refused { status: 429 })
    ));
    let request = server.await.expect("request");
    assert!(
        request.starts_with("get /ws/chat http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\norigin: https://web.whatsapp.com\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let (listener, port) = listen().await;
    drop(listener);
    let url = format!("ws://127.0.0.1:{port}/");
    let refused = factory(settings(&url), &trusted_for(HOUR)).connect().await;
    match refused.expect_err("refused") {
        ConnectError::Unreachable { host, source } => {
            assert_eq!(host, "127.0.0.1");
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?} instead of unreachable"),
    }
}
