use std::io::Cursor;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

use super::*;
use crate::session::endpoint::{NetworkSettings, WsUrl};

fn client() -> WebClient {
    let network = Network::new(NetworkSettings {
        ws_url: WsUrl::parse("ws://127.0.0.1:9/").expect("loopback"),
        proxy: None,
        extra_ca_file: None,
        connect_timeout: Duration::from_secs(10),
        user_timeout: Duration::from_secs(5),
    });
    WebClient::new(&network.expect("settings")).expect("client")
}

struct Server {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Answers every request, after reading its head and the body it announces, with `answer`.
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), answer.into());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Some(request) = read_request(&mut stream).await {
                    seen.lock().expect("no panic").push(request);
                    // The client may have hung up on purpose.
                    let _ = stream.write_all(&answer).await;
                }
            }
        });
        Self {
            base,
            requests,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn request(&self) -> String {
        self.requests
            .lock()
            .expect("no panic")
            .pop()
            .expect("a request")
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(format!("{head}{}", String::from_utf8_lossy(&body)))
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn refusals_of_the_server_are_answers() {
    for (status, code) in [("404 Not Found", 404), ("500 Broken", 500), ("200 OK", 200)] {
        let server = Server::start(answer(status, "text")).await;
        let got = client()
            .fetch(HttpRequest::get(&server.base))
            .await
            .expect("answer");
        assert_eq!(
            (got.status_code, got.body.as_slice()),
            (code, b"text".as_slice())
        );
    }
}

#[tokio::test]
async fn requests_carry_origin_headers_and_body() {
    let server = Server::start(answer("200 OK", "")).await;
    let request = HttpRequest::post(format!("{}/up?x=1", server.base))
        .with_header("X-Test", "yes")
        .with_body("payload");
    client().fetch(request).await.expect("answer");
    let seen = server.request();
    assert!(seen.starts_with("post /up?x=1 http/1.1\r\n"), "{seen}");
    assert!(
        seen.contains("\r\norigin: https://web.whatsapp.com\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains("\r\nx-test: yes\r\n") && seen.ends_with("\r\n\r\npayload"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_stream_arrives_whole_and_a_broken_one_is_an_error() {
    let whole = "0123456789".repeat(100_000);
    let server = Server::start(answer("206 Partial", &whole)).await;
    let (http, url) = (client(), server.base.clone());
    let (status, text) = spawn_blocking(move || {
        let mut answer = http
            .execute_streaming(HttpRequest::get(url))
            .expect("answer");
        let mut text = String::new();
        answer.body.read_to_string(&mut text).expect("whole");
        (answer.status_code, text)
    })
    .await
    .expect("no panic");
    assert_eq!(status, 206);
    assert!(text == whole, "{} bytes came", text.len());

    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this";
    let server = Server::start(cut).await;
    let (http, url) = (client(), server.base.clone());
    let (read, error) = spawn_blocking(move || {
        let (_, mut body) = http.stream(&HttpRequest::get(url)).expect("head");
        let mut read = Vec::new();
        let error = body.read_to_end(&mut read).expect_err("cut");
        (read, error.downcast::<HttpError>().expect("typed"))
    })
    .await
    .expect("no panic");
    assert_eq!(read, b"only this");
    assert!(matches!(error, HttpError::Network(_)), "{error:?}");
}

#[tokio::test]
async fn an_upload_has_its_exact_length_and_is_not_chunked() {
    let server = Server::start(answer("201 Created", "{\"url\":1}")).await;
    let (http, url) = (client(), server.base.clone());
    let body = "abcdefghij".repeat(50_000);
    let source = Cursor::new(format!("{body}beyond the announced length"));
    let length = body.len() as u64;
    let got = spawn_blocking(move || {
        http.execute_upload(HttpRequest::post(url), Box::new(source), length)
    });
    let got = got.await.expect("no panic").expect("answer");
    assert_eq!(
        (got.status_code, got.body_string().expect("text")),
        (201, "{\"url\":1}".to_owned())
    );
    let seen = server.request();
    assert!(
        seen.contains("\r\ncontent-length: 500000\r\n"),
        "exact length"
    );
    assert!(!seen.contains("transfer-encoding"), "not chunked");
    assert!(seen.ends_with(&format!("\r\n\r\n{body}")), "whole body");
}

#[tokio::test]
async fn an_upload_that_ends_early_fails_and_the_server_sees_no_whole_body() {
    let server = Server::start(answer("200 OK", "")).await;
    let (http, url) = (client(), server.base.clone());
    let short = Cursor::new(b"short".to_vec());
    let failed = spawn_blocking(move || http.upload(&HttpRequest::post(url), Box::new(short), 100));
    match failed.await.expect("no panic") {
        Err(HttpError::Upload(e)) => assert_eq!(e.to_string(), "the body ended 95 bytes early"),
        other => panic!("{other:?} instead of a failed upload"),
    }
    assert!(server.requests.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        stream.read_u8().await.expect("request");
        stream
            .write_all(answer("401 No", "").as_bytes())
            .await
            .expect("answer");
        stream
    });
    let http = client();
    let length = 1 << 30;
    let endless = std::io::repeat(b'x');
    let got =
        spawn_blocking(move || http.upload(&HttpRequest::post(url), Box::new(endless), length));
    let got = got.await.expect("no panic");
    drop(server.await.expect("served"));
    // A server that closes at once may also be seen as a broken connection.
    match got {
        Ok(answer) => assert_eq!(answer.status_code, 401),
        Err(e) => assert!(matches!(e, HttpError::Network(_)), "{e:?}"),
    }
}

#[tokio::test]
async fn redirects_stay_on_allowed_schemes_and_end() {
    let target = Server::start(answer("200 OK", "there")).await;
    let server = Server::start(redirect(&target.base)).await;
    let got = client()
        .fetch(HttpRequest::get(&server.base))
        .await
        .expect("followed");
    assert_eq!(got.body, b"there");
    for forbidden in ["http://example.com/", "ftp://127.0.0.1/"] {
        let server = Server::start(redirect(forbidden)).await;
        let refused = client().fetch(HttpRequest::get(&server.base)).await;
        let shown = refused.as_ref().map(|answer| answer.status_code);
        assert!(
            matches!(shown, Err(HttpError::Network(_)) | Ok(302)),
            "{forbidden}: {shown:?}"
        );
    }
    let circle = Server::start(redirect("/again")).await;
    let refused = client().fetch(HttpRequest::get(&circle.base)).await;
    assert!(matches!(refused, Err(HttpError::Network(_))), "{refused:?}");
    assert_eq!(
        circle.requests.lock().expect("no panic").len(),
        MAX_REDIRECTS + 1
    );
}

#[tokio::test]
async fn forbidden_requests_are_refused_before_they_are_sent() {
    for url in ["http://example.com/", "file:///etc/hostname", "nonsense"] {
        let refused = client().fetch(HttpRequest::get(url)).await;
        assert!(
            matches!(refused, Err(HttpError::NotAllowed(_))),
            "{url}: {refused:?}"
        );
    }
    let header = HttpRequest::get("http://127.0.0.1:9/").with_header("X-Test", "a\r\nb");
    assert!(matches!(
        client().fetch(header).await,
        Err(HttpError::NotAllowed(_))
    ));
    let own = Url::parse("https://mmg.whatsapp.net/x").expect("URL");
    assert!(check(&own, true).is_err());
    assert_eq!(check(&own, false), Ok(()));
}

#[tokio::test]
async fn a_response_that_is_too_large_is_not_taken() {
    let length = MAX_BUFFERED_BYTES + 1;
    let server = Server::start(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    let refused = client().fetch(HttpRequest::get(&server.base)).await;
    assert!(matches!(
        refused,
        Err(HttpError::TooLarge {
            limit: MAX_BUFFERED_BYTES
        })
    ));
}

#[tokio::test]
async fn errors_do_not_show_the_url() {
    let refused = client()
        .fetch(HttpRequest::get("http://127.0.0.1:1/secret-token"))
        .await;
    let text = format!("{:?}", refused.expect_err("nobody listens"));
    assert!(!text.contains("secret-token"), "{text}");
}
