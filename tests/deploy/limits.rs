//! What a client of the HTTP API may not do: SECURITY.md has the list, and where the others are tested.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::agents::{Agency, listening};
use crate::theatre::{Engine, PATIENCE};

/// As many as the server talks with at once.
const SEATS: usize = 1024;

async fn connect(base: &str) -> TcpStream {
    let address = base.trim_start_matches("http://");
    TcpStream::connect(address).await.expect("it listens")
}

/// The status of the answer to a request with `headers`.
async fn status(base: &str, headers: &str) -> String {
    let mut stream = connect(base).await;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    // The server may close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_lines_is_refused() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let base = listening(&agency.worker).await;
    let lines =
        |count: usize| -> String { (0..count).map(|at| format!("x-{at}: y\r\n")).collect() };
    assert_eq!(status(&base, &lines(50)).await, "200");
    assert_eq!(status(&base, &lines(100)).await, "431");
    let long = |bytes: usize| format!("x-long: {}\r\n", "y".repeat(bytes));
    assert_eq!(status(&base, &long(20 << 10)).await, "200");
    assert_eq!(status(&base, &long(40 << 10)).await, "431");
}

#[tokio::test]
async fn clients_beyond_the_seats_wait_until_one_is_free_and_take_nothing_from_the_others() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let base = listening(&agency.worker).await;
    let mut seated = Vec::new();
    for _ in 0..SEATS {
        let mut stream = connect(&base).await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("seated");
        seated.push(stream);
    }
    let mut late = connect(&base).await;
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = [0; 12];
    let unheard = tokio::time::timeout(Duration::from_millis(300), late.read(&mut answer)).await;
    assert!(unheard.is_err(), "{unheard:?}");
    seated.pop();
    tokio::time::timeout(PATIENCE, late.read_exact(&mut answer))
        .await
        .expect("a seat is free")
        .expect("an answer");
    assert!(answer.ends_with(b"200"), "{answer:?}");
}
