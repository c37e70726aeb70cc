use std::convert::Infallible;
use std::net::SocketAddr;

use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::outbound::message::Outgoing;
use crate::store::StoreOptions;

const LIMIT: u64 = 100_000;

struct Bench {
    accepting: Accepting,
    store: Store,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn new(allow_private: bool) -> Self {
        crate::session::install_crypto_provider();
        let dir = tempfile::tempdir().expect("temporary directory");
        let url = format!("sqlite:{}", dir.path().join("store.db").display());
        let store = Store::open(&url, StoreOptions::default())
            .await
            .expect("opens");
        let limits = MediaLimits {
            max_bytes: LIMIT,
            allow_private,
            dir: Some(dir.path().join("media")),
        };
        std::fs::create_dir(dir.path().join("media")).expect("makes");
        let accepting = Accepting::new(store.clone(), tls(), limits).expect("builds");
        Self {
            accepting,
            store,
            dir,
        }
    }

    async fn prepare(&self, source: MediaSource) -> Result<Upload, MediaProblem> {
        let media = MediaRef {
            source,
            mime_type: None,
        };
        let draft = Outgoing::Document {
            media,
            caption: None,
            file_name: None,
        };
        let draft = self.accepting.prepare(draft.into()).await?;
        let media = draft.content.media().expect("a file");
        let MediaSource::Upload(id) = &media.source else {
            panic!("{media:?} is not in the store");
        };
        let upload = self.store.use_upload(id).await.expect("answers");
        let upload = upload.expect("it is whole");
        assert_eq!(media.mime_type.as_ref(), Some(&upload.mime_type));
        Ok(upload)
    }

    async fn url(&self, url: &str) -> Result<Upload, MediaProblem> {
        self.prepare(MediaSource::Url(url.to_owned())).await
    }

    async fn path(&self, path: &str) -> Result<Upload, MediaProblem> {
        self.prepare(MediaSource::Path(path.to_owned())).await
    }
}

fn tls() -> ClientConfig {
    ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

/// Answers each path as `answer` says, byte for byte.
async fn server(answer: fn(&str, SocketAddr) -> Vec<u8>) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            // Who had enough hangs up.
            let _ = stream.write_all(&answer(&path, address)).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, AbortOnDropHandle::new(task))
}

fn found(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn elsewhere(url: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    head.into_bytes()
}

fn site(path: &str, me: SocketAddr) -> Vec<u8> {
    match path {
        "/a%20b.pdf" => found("application/pdf", b"contents"),
        "/page" => found("text/html", b"<p>not a picture</p>"),
        "/moved" => elsewhere("/a%20b.pdf"),
        "/round" => elsewhere("/round"),
        "/file" => elsewhere("file:///etc/passwd"),
        "/home" => elsewhere(&format!("http://{me}/a%20b.pdf")),
        "/next-door" => elsewhere(&format!("http://127.0.0.1:{}/a%20b.pdf", me.port())),
        "/next-door-by-name" => elsewhere("http://localhost/"),
        "/announced" => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 100001\r\nconnection: close\r\n\r\n".to_vec()
        }
        "/endless" => found("application/pdf", &[7; LIMIT as usize + 1]),
        "/short" => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nonly this".to_vec()
        }
        "/empty" => found("application/pdf", b""),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
    }
}

#[tokio::test]
async fn a_url_becomes_an_upload_with_its_type_and_name() {
    let bench = Bench::new(true).await;
    let (address, _server) = server(site).await;
    for path in ["a%20b.pdf", "moved", "home"] {
        let upload = bench
            .url(&format!("http://{address}/{path}"))
            .await
            .expect("taken in");
        assert_eq!(
            (upload.mime_type.as_str(), upload.size),
            ("application/pdf", 8)
        );
        assert_eq!(upload.name.as_deref(), Some("a b.pdf"));
        let piece = bench
            .store
            .upload_piece(&upload.id, 0)
            .await
            .expect("answers");
        assert_eq!(piece.as_deref(), Some(&b"contents"[..]));
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_apart_and_leaves_nothing() {
    let bench = Bench::new(true).await;
    let (address, _server) = server(site).await;
    for (path, code) in [
        ("nothing", "media_status"),
        ("round", "media_url"),
        ("file", "media_url"),
        ("announced", "media_too_large"),
        ("endless", "media_too_large"),
        ("short", "media_unreachable"),
        ("empty", "media_empty"),
    ] {
        let problem = bench.url(&format!("http://{address}/{path}")).await;
        assert_eq!(problem.expect_err(path).code(), code, "{path}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let nobody = format!("http://{}/", closed.local_addr().expect("bound"));
    drop(closed);
    let problem = bench.url(&nobody).await.expect_err("nobody is there");
    assert_eq!(problem.code(), "media_unreachable");
    let image = Outgoing::Image {
        media: MediaRef {
            source: MediaSource::Url(format!("http://{address}/page")),
            mime_type: None,
        },
        caption: None,
    };
    let problem = bench
        .accepting
        .prepare(image.into())
        .await
        .expect_err("a page");
    assert_eq!(problem.code(), "media_kind");
    assert_eq!(left(&bench).await, 0);
}

#[tokio::test]
async fn urls_of_this_machine_and_its_networks_are_refused_in_every_spelling() {
    let bench = Bench::new(false).await;
    let (address, _server) = server(site).await;
    let port = address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0",
        "169.254.169.254",
    ] {
        let problem = bench.url(&format!("http://{host}:{port}/a%20b.pdf")).await;
        assert_eq!(
            problem.expect_err(host).code(),
            "media_not_public",
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_redirect_to_an_address_that_is_not_permitted_is_refused() {
    let mut bench = Bench::new(true).await;
    let (address, _server) = server(site).await;
    bench.accepting.web = Web::new(tls(), |ip| ip.to_string() == "127.0.0.2").expect("builds");
    let home = bench.url(&format!("http://{address}/home")).await;
    assert_eq!(home.expect("permitted").size, 8);
    for path in ["next-door", "next-door-by-name"] {
        let problem = bench.url(&format!("http://{address}/{path}")).await;
        assert_eq!(
            problem.expect_err(path).code(),
            "media_not_public",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_path_is_read_beneath_the_folder_alone() {
    let bench = Bench::new(false).await;
    let media = bench.dir.path().join("media");
    std::fs::write(bench.dir.path().join("secret"), "secret").expect("writes");
    std::fs::create_dir(media.join("sub")).expect("makes");
    std::fs::write(media.join("sub/a.txt"), "hello").expect("writes");
    std::os::unix::fs::symlink("sub/a.txt", media.join("inside.txt")).expect("links");
    std::os::unix::fs::symlink("../secret", media.join("outside")).expect("links");
    let whole = media.join("sub/a.txt");
    for path in [
        "sub/a.txt",
        "sub/../sub/a.txt",
        "inside.txt",
        whole.to_str().expect("text"),
    ] {
        let upload = bench.path(path).await.expect("taken in");
        assert_eq!((upload.mime_type.as_str(), upload.size), ("text/plain", 5));
        assert_eq!(upload.name.as_deref(), Some("a.txt"));
    }
    for path in [
        "../secret",
        "outside",
        "/etc/passwd",
        "sub",
        "nothing",
        "a\0b",
    ] {
        let problem = bench.path(path).await.expect_err(path);
        assert_eq!(problem.to_string(), NONE_TOLD, "{path}");
    }
}

const NONE_TOLD: &str = "there is no such file beneath MEDIA_DIR";

#[tokio::test]
async fn an_upload_must_be_there_and_keeps_its_type() {
    let bench = Bench::new(false).await;
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"png"))]);
    let upload = bench
        .accepting
        .take_in(body, Some("image/png"), Some("a.png"))
        .await;
    let upload = upload.expect("taken in");
    let again = bench.prepare(MediaSource::Upload(upload.id.clone())).await;
    assert_eq!(again.expect("known"), upload);
    let none = bench.prepare(MediaSource::Upload(UploadId::new())).await;
    assert_eq!(none.expect_err("unknown").code(), "media_no_upload");
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_too_large_leaves_nothing() {
    let bench = Bench::new(false).await;
    let piece = || Ok(Bytes::from(vec![1; 60_000]));
    let broken = stream::iter([piece(), Err("it broke off")]);
    let problem = bench.accepting.take_in(broken, None, None).await;
    assert_eq!(problem.expect_err("broken").code(), "media_unreachable");
    let large = stream::iter([piece(), piece()]);
    let problem = bench.accepting.take_in::<&str>(large, None, None).await;
    let told = problem.expect_err("too large").to_string();
    assert_eq!(told, "is larger than 100000 bytes (MEDIA_MAX_BYTES)");
    assert_eq!(left(&bench).await, 0);
}

/// Uploads in the store, whole or not.
async fn left(bench: &Bench) -> i64 {
    let url = format!("sqlite:{}", bench.dir.path().join("store.db").display());
    let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&url)
        .await
        .expect("opens");
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM uploads");
    count.fetch_one(&mut connection).await.expect("counts")
}
