use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server with a certificate of its own authority, whose PEM comes along.
fn acceptor() -> (TlsAcceptor, String) {
    let authority_key = rcgen::KeyPair::generate().expect("key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("params");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority
        .self_signed(&authority_key)
        .expect("authority")
        .pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("params");
    let certificate = params.signed_by(&key, &issuer).expect("certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("server");
    (TlsAcceptor::from(Arc::new(config)), pem)
}

/// Accepts one connection, optionally behind a CONNECT proxy, and echoes one message.
fn echo_once(listener: TcpListener, acceptor: TlsAcceptor, proxied: bool) -> JoinHandle<String> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut head = Vec::new();
        if proxied {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("request"));
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .await
                .expect("answer");
        }
        if let Ok(tls) = acceptor.accept(stream).await {
            let mut ws = tokio_tungstenite::accept_async(tls).await.expect("upgrade");
            let message = ws.next().await.expect("frame").expect("frame");
            ws.send(message).await.expect("echo");
            // Until the client is gone, so that the echo is not cut off.
            while let Some(Ok(_)) = ws.next().await {}
        }
        String::from_utf8(head).expect("text")
    })
}

fn trusting(
    pem: &str,
    mut settings: NetworkSettings,
) -> (NetworkSettings, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), pem).expect("write");
    settings.extra_ca_file = Some(file.path().to_owned());
    (settings, file)
}

async fn echoed(settings: NetworkSettings) {
    let (transport, events) = factory(settings, &trusted_for(HOUR))
        .connect()
        .await
        .expect("connected");
    assert!(matches!(next(&events).await, TransportEvent::Connected));
    transport
        .write(Bytes::from_static(b"ping"))
        .await
        .expect("sent");
    assert!(matches!(next(&events).await, TransportEvent::DataReceived(data) if data == "ping"));
    transport.close().await;
}

#[tokio::test]
async fn an_extra_authority_is_trusted_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let (listener, port) = listen().await;
        let (acceptor, pem) = acceptor();
        let server = echo_once(listener, acceptor, false);
        let (settings, _file) = trusting(&pem, settings(&format!("wss://{host}:{port}/")));
        echoed(settings).await;
        server.await.expect("served");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_as_such() {
    let (listener, port) = listen().await;
    let (acceptor, _) = acceptor();
    let server = echo_once(listener, acceptor, false);
    let url = format!("wss://localhost:{port}/");
    let refused = factory(settings(&url), &trusted_for(HOUR)).connect().await;
    match refused.expect_err("refused") {
        ConnectError::Certificate { host, .. } => assert_eq!(host, "localhost"),
        other => panic!("{other:?} instead of a certificate error"),
    }
    server.await.expect("served");
}

#[tokio::test]
async fn a_proxy_tunnels_tls_to_a_name_that_only_it_can_resolve() {
    let (listener, port) = listen().await;
    let (acceptor, pem) = acceptor();
    let server = echo_once(listener, acceptor, true);
    let (mut settings, _file) = trusting(&pem, settings("wss://localhost:1/"));
    settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().expect("proxy"));
    echoed(settings).await;
    let request = server.await.expect("served");
    assert!(
        request.starts_with("CONNECT localhost:1 HTTP/1.1\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn nothing_leaves_through_tls_after_trust_has_ended() {
    let (listener, port) = listen().await;
    let (acceptor, pem) = acceptor();
    let trust = trusted_for(HOUR);
    let revoke = trust.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accept");
        let tls = acceptor.accept(stream).await.expect("handshake");
        let ws = tokio_tungstenite::accept_async(tls).await.expect("upgrade");
        let (mut raw, _tls) = ws.into_inner().into_inner();
        revoke.revoke();
        let mut rest = Vec::new();
        let end = raw.read_to_end(&mut rest).await;
        (rest, end.err().map(|e| e.kind()))
    });
    let (settings, _file) = trusting(&pem, settings(&format!("wss://localhost:{port}/")));
    let (transport, events) = factory(settings, &trust)
        .connect()
        .await
        .expect("connected");
    assert!(matches!(next(&events).await, TransportEvent::Connected));
    assert!(matches!(
        end_of(&events).await,
        DisconnectReason::ReadError(_)
    ));
    let late = transport.write(Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(SendError::TrustEnded(_))), "{late:?}");
    let (rest, end) = server.await.expect("served");
    assert_eq!(rest, b"", "neither close_notify nor data");
    assert_eq!(end, Some(io::ErrorKind::ConnectionReset));
}

/// Trust ends between the TCP connection and the TLS handshake: the server hears no ClientHello.
#[tokio::test]
async fn no_handshake_begins_after_trust_has_ended() {
    let (listener, port) = listen().await;
    let trust = trusted_for(HOUR);
    let host = Host::Ipv4([127, 0, 0, 1].into());
    let names = names::Names::default();
    let stream = dial::connect(host, port, &names, &trust)
        .await
        .expect("connected");
    let (mut served, _) = listener.accept().await.expect("accept");
    trust.revoke();
    let (_, pem) = acceptor();
    let (settings, _file) = trusting(&pem, settings(&format!("wss://localhost:{port}/")));
    let network = Network::new(settings).expect("settings");
    let connector = TlsConnector::from(network.tls);
    let name = ServerName::try_from("localhost").expect("a name");
    let gate = Gate::new(stream, trust);
    let refused = connector.connect(name, gate).await.expect_err("refused");
    assert!(TrustEnded::is_cause_of(&refused), "{refused:?}");
    let mut rest = Vec::new();
    let end = served.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "not a byte");
    assert_eq!(
        end.expect_err("a reset").kind(),
        io::ErrorKind::ConnectionReset
    );
}

/// Behind a proxy the moment between the two can be chosen: its answer comes after the end of trust.
#[tokio::test]
async fn nothing_follows_the_answer_of_a_proxy_after_trust_has_ended() {
    let (listener, port) = listen().await;
    let trust = trusted_for(HOUR);
    let revoke = trust.clone();
    let proxy = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("request"));
        }
        revoke.revoke();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .await
            .expect("answer");
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest).await;
        (rest, end.err().map(|e| e.kind()))
    });
    let mut settings = settings("wss://localhost:1/");
    settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().expect("proxy"));
    let refused = factory(settings, &trust).connect().await;
    assert!(
        matches!(refused, Err(ConnectError::TrustEnded(_))),
        "{:?}",
        refused.err()
    );
    let (rest, end) = proxy.await.expect("the proxy sees the end");
    assert_eq!(rest, b"", "neither ClientHello nor anything else");
    assert_eq!(end, Some(io::ErrorKind::ConnectionReset));
}
