//! Files of messages, and the host that keeps them.

use simulator::media::{MediaServer, MediaStore};
use simulator::people::{Attachment, Content, MediaKind, PeopleError, Phone, Received};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::letterhead;

#[test]
fn media_of_every_kind_opens_and_expires() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    for kind in [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Voice,
        MediaKind::Document,
        MediaKind::Sticker,
    ] {
        let attachment = Attachment {
            kind,
            bytes: vec![kind as u8; 70_000],
            mime_type: "application/x-test".to_owned(),
            caption: None,
            file_name: Some("file.bin".to_owned()),
        };
        let content = Content::Media(attachment.clone());
        let content = match kind {
            MediaKind::Image => Content::ViewOnce(Box::new(content)),
            _ => content,
        };
        let composed = phone.compose(&letterhead("M1"), &content, &media).unwrap();
        assert_eq!(composed.stanza_type, "media");
        let read = Received::read(composed.message().unwrap().clone());
        let reference = read.media.unwrap();
        assert_eq!((reference.kind, reference.length), (kind, 70_000));
        assert_eq!(reference.open(&media).unwrap(), attachment.bytes);
        assert!(media.forget(&reference.direct_path));
        assert!(matches!(reference.open(&media), Err(PeopleError::Media(_))));
    }
    assert!(media.is_empty());
}

/// One HTTPS request over a connection of its own; answers the status and the body.
async fn request(server: &MediaServer, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(server.ca_pem().as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = tokio::net::TcpStream::connect(server.host()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12])
        .unwrap()
        .parse()
        .unwrap();
    (status, answer.split_off(split + 4))
}

#[tokio::test]
async fn what_goes_up_to_the_media_host_comes_down() {
    use base64::Engine as _;
    let server = MediaServer::start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let body = vec![5u8; 100_000];
    let digest = ring::digest::digest(&ring::digest::SHA256, &body);
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    let upload = format!("POST /mms/image/{token}?auth=a&token={token}");
    let (status, answer) = request(&server, &upload, &body).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let path = answer["direct_path"].as_str().unwrap();
    assert_eq!(answer["url"], format!("https://{}{path}", server.host()));
    let (status, fetched) = request(&server, &format!("GET {path}?token=x"), b"").await;
    assert_eq!((status, fetched), (200, body.clone()));

    let (status, _) = request(&server, "POST /mms/image/wrong", &body).await;
    assert_eq!(status, 400);
    let (status, _) = request(&server, "GET /v/nothing.enc", b"").await;
    assert_eq!(status, 404);
    server.stop().await;
}
