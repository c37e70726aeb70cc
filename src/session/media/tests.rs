use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use wacore::upload::encrypt_media_with_key;

use super::*;
use crate::session::endpoint::{NetworkSettings, WsUrl};

fn store(ws_url: &str) -> MediaStore {
    let network = Network::new(NetworkSettings {
        ws_url: WsUrl::parse(ws_url).expect("URL"),
        proxy: None,
        extra_ca_file: None,
        connect_timeout: Duration::from_secs(10),
        user_timeout: Duration::from_secs(5),
    });
    let network = network.expect("settings");
    MediaStore::new(WebClient::new(&network).expect("client"), &network)
}

/// A file of 100 kB, its encrypted form, and a message that refers to it.
fn sample() -> (Vec<u8>, Vec<u8>, Media) {
    let plain: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let sealed =
        encrypt_media_with_key(&plain, MediaType::Image, Some(&[9; 32])).expect("encrypted");
    let media = Media {
        mime_type: "image/jpeg".to_owned(),
        size: plain.len() as u64,
        sha256: hex::encode(sealed.file_sha256),
        enc_sha256: hex::encode(sealed.file_enc_sha256),
        media_key: hex::encode(sealed.media_key),
        direct_path: "/v/t62.7118-24/1?ccb=11-4".to_owned(),
        ..Media::default()
    };
    (plain, sealed.data_to_upload, media)
}

struct Host {
    url: String,
    _task: AbortOnDropHandle<()>,
}

impl Host {
    /// Answers every request with `status`, announces `announced` bytes and sends `body`.
    async fn start(status: &str, announced: usize, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!(
            "http://{}/file.enc",
            listener.local_addr().expect("address")
        );
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n"
        );
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.expect("request"));
                }
                // The client may stop before the end.
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        Self {
            url,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

/// Downloads `media` from a host that answers with `status` and `body`; the error and what is left
/// in the directory.
async fn failed(status: &str, announced: usize, body: Vec<u8>, media: Media) -> MediaError {
    let host = Host::start(status, announced, body).await;
    let directory = tempfile::tempdir().expect("directory");
    let media = Media {
        url: Some(host.url.clone()),
        ..media
    };
    let error = store("ws://127.0.0.1:9/")
        .download(&media, MediaKind::Image, &directory.path().join("file"))
        .await
        .expect_err("refused");
    let left = std::fs::read_dir(directory.path())
        .expect("directory")
        .count();
    assert_eq!(left, 0, "a failed download leaves nothing");
    error
}

async fn corrupt(body: Vec<u8>, media: Media) -> &'static str {
    match failed("200 OK", body.len(), body, media).await {
        MediaError::Corrupt { what } => what,
        other => panic!("{other:?} instead of corrupt"),
    }
}

#[tokio::test]
async fn a_file_arrives_decrypted_and_replaces_an_older_one() {
    let (plain, sealed, media) = sample();
    let host = Host::start("200 OK", sealed.len(), sealed).await;
    let media = Media {
        url: Some(host.url.clone()),
        ..media
    };
    let directory = tempfile::tempdir().expect("directory");
    let target = directory.path().join("picture.jpg");
    std::fs::write(&target, "older").expect("write");
    let size = store("ws://127.0.0.1:9/")
        .download(&media, MediaKind::Image, &target)
        .await
        .expect("downloaded");
    assert_eq!(size, 100_000);
    assert!(std::fs::read(&target).expect("file") == plain);
    let files = std::fs::read_dir(directory.path())
        .expect("directory")
        .count();
    assert_eq!(files, 1, "no temporary file is left");
}

#[tokio::test]
async fn what_is_not_what_was_sent_is_corrupt() {
    let (_, sealed, media) = sample();
    let mut flipped = sealed.clone();
    flipped[50_000] ^= 1;
    assert_eq!(
        corrupt(flipped.clone(), media.clone()).await,
        "the encrypted file does not have the announced SHA-256"
    );
    let unhashed = Media {
        enc_sha256: String::new(),
        ..media.clone()
    };
    assert_eq!(
        corrupt(flipped, unhashed).await,
        "it does not authenticate under the message's key"
    );
    let other_hash = Media {
        sha256: hex::encode([1; 32]),
        ..media.clone()
    };
    assert_eq!(
        corrupt(sealed.clone(), other_hash).await,
        "it does not have the announced SHA-256"
    );
    let larger = Media {
        size: media.size + 1,
        ..media.clone()
    };
    assert_eq!(
        corrupt(sealed.clone(), larger).await,
        "it does not have the announced size"
    );
    let mut longer = sealed;
    longer.extend_from_slice(&[0; 64]);
    assert_eq!(
        corrupt(longer, media.clone()).await,
        "it is longer than announced"
    );
    assert_eq!(
        corrupt(Vec::new(), media).await,
        "the encrypted file does not have the announced SHA-256"
    );
}

#[tokio::test]
async fn statuses_and_broken_transfers_are_told_apart() {
    let (_, sealed, media) = sample();
    for (line, code) in [("404 Not Found", 404), ("410 Gone", 410)] {
        let error = failed(line, 0, Vec::new(), media.clone()).await;
        assert!(
            matches!(error, MediaError::Expired { status } if status == code),
            "{error:?}"
        );
    }
    let error = failed("503 Busy", 0, Vec::new(), media.clone()).await;
    assert!(
        matches!(error, MediaError::Refused { status: 503 }),
        "{error:?}"
    );
    let half = sealed[..sealed.len() / 2].to_vec();
    let error = failed("200 OK", sealed.len(), half, media).await;
    assert!(
        matches!(error, MediaError::Network(HttpError::Network(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_plain_file_of_a_channel_is_checked_by_its_hash() {
    let (plain, _, media) = sample();
    let media = Media {
        media_key: String::new(),
        enc_sha256: String::new(),
        ..media
    };
    let mut flipped = plain.clone();
    flipped[0] ^= 1;
    assert_eq!(
        corrupt(flipped, media.clone()).await,
        "it does not have the announced SHA-256"
    );
    let host = Host::start("200 OK", plain.len(), plain.clone()).await;
    let directory = tempfile::tempdir().expect("directory");
    let target = directory.path().join("file");
    let media = Media {
        url: Some(host.url.clone()),
        ..media
    };
    let store = store("ws://127.0.0.1:9/");
    let size = store.download(&media, MediaKind::Image, &target).await;
    assert_eq!(size.expect("downloaded"), 100_000);
    assert!(std::fs::read(&target).expect("file") == plain);
}

#[tokio::test]
async fn senders_cannot_point_us_at_other_hosts() {
    let store = store("wss://example.com/");
    let addresses = |url: &str, direct_path: &str| {
        let media = Media {
            url: Some(url.to_owned()),
            direct_path: direct_path.to_owned(),
            ..sample().2
        };
        store
            .addresses(&media)
            .map(|urls| urls.iter().map(Url::to_string).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    for url in [
        "http://127.0.0.1/x",
        "http://169.254.169.254/latest",
        "https://intranet.example.com/x",
        "http://mmg.whatsapp.net/x",
        "https://mmg.whatsapp.net.example.com/x",
        "https://web.whatsapp.net",
        "nonsense",
    ] {
        assert_eq!(addresses(url, ""), Vec::<String>::new(), "{url}");
    }
    for path in ["@example.com/x", ".example.com/x", "v/x", ":1/x"] {
        assert_eq!(addresses("", path), Vec::<String>::new(), "{path}");
    }
    assert_eq!(
        addresses("https://mmg.whatsapp.net/v/1?a=b", "/v/1?a=b"),
        [
            "https://mmg.whatsapp.net/v/1?a=b",
            "https://mmg-fallback.whatsapp.net/v/1?a=b"
        ]
    );
}

#[tokio::test]
async fn unusable_references_and_directories_are_named() {
    let (_, sealed, media) = sample();
    let no_key = Media {
        media_key: "00ff".to_owned(),
        ..media.clone()
    };
    let error = failed("200 OK", 0, Vec::new(), no_key).await;
    assert!(
        matches!(
            error,
            MediaError::Reference("its key is not 32 bytes in hex")
        ),
        "{error:?}"
    );
    let host = Host::start("200 OK", sealed.len(), sealed).await;
    let media = Media {
        url: Some(host.url.clone()),
        ..media
    };
    let target = Path::new("/nonexistent/directory/file");
    let error = store("ws://127.0.0.1:9/")
        .download(&media, MediaKind::Image, target)
        .await
        .expect_err("no directory");
    assert!(
        matches!(&error, MediaError::File { path, .. } if path == Path::new("/nonexistent/directory")),
        "{error:?}"
    );
}

#[test]
fn an_edit_leads_to_the_new_file() {
    let (_, _, media) = sample();
    let edit = Content::Edit {
        target: crate::inbound::message::Target {
            message_id: "A".to_owned(),
            from_me: false,
            author: None,
        },
        content: Box::new(Content::Sticker {
            media: media.clone(),
            animated: false,
        }),
    };
    assert_eq!(MediaKind::of(&edit), Some((MediaKind::Sticker, &media)));
    let text = Content::Text {
        body: String::new(),
    };
    assert_eq!(MediaKind::of(&text), None);
}
