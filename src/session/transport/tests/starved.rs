//! The kill switch when nothing else of the program runs: one thread for everything, and that thread is
//! stuck until long after the deadline. No keeper renews, no reader watches, no timer fires.

use std::io::Read;
use std::net::TcpStream as BlockingStream;
use std::sync::mpsc;
use std::thread;

use super::*;

/// Until the end of trust, in these tests.
const TRUSTED: Duration = Duration::from_millis(400);

/// A server on a thread of its own, which no stuck runtime holds up. It answers the upgrade, then reads
/// nothing before it is told to, and then everything.
struct Witness {
    port: u16,
    read_on: mpsc::Sender<()>,
    heard: thread::JoinHandle<(usize, io::ErrorKind)>,
}

fn witness() -> Witness {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let (read_on, told) = mpsc::channel();
    let heard = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("accept");
        let served = tokio_tungstenite::tungstenite::accept(stream).expect("upgrade");
        told.recv().expect("told to read on");
        drain(served.get_ref())
    });
    Witness {
        port,
        read_on,
        heard,
    }
}

/// Reads to the end: how much came, and how it ended.
fn drain(mut stream: &BlockingStream) -> (usize, io::ErrorKind) {
    let mut buffer = vec![0; 1 << 20];
    let mut arrived = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (arrived, io::ErrorKind::UnexpectedEof),
            Ok(n) => arrived += n,
            Err(error) => return (arrived, error.kind()),
        }
    }
}

/// Blocks the only thread of the runtime until `deadline` is well past.
fn stuck_until_after(deadline: Boot) {
    thread::sleep(deadline.remaining() + Duration::from_millis(100)); // justified: being stuck is what is tested
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_after_the_deadline_sends_no_byte() {
    let witness = witness();
    let deadline = Boot::now().plus(TRUSTED);
    let trust = Trust::until(deadline);
    let url = format!("ws://127.0.0.1:{}/ws", witness.port);
    let connected = factory(settings(&url), &trust).connect().await;
    let (transport, events) = connected.expect("trust holds");
    stuck_until_after(deadline);
    let late = transport.write(Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(SendError::TrustEnded(_))), "{late:?}");
    witness.read_on.send(()).expect("it waits");
    assert!(matches!(next(&events).await, TransportEvent::Connected));
    assert!(matches!(
        end_of(&events).await,
        DisconnectReason::ReadError(_)
    ));
    let (arrived, end) = witness.heard.join().expect("no panic");
    assert_eq!(arrived, 0, "bytes after the deadline");
    assert_eq!(end, io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "current_thread")]
async fn a_connect_after_the_deadline_is_refused() {
    let (listener, port) = listen().await;
    let deadline = Boot::now().plus(TRUSTED);
    let trust = Trust::until(deadline);
    let factory = factory(settings(&format!("ws://127.0.0.1:{port}/ws")), &trust);
    stuck_until_after(deadline);
    let refused = factory.connect().await;
    assert!(
        matches!(refused, Err(ConnectError::TrustEnded(_))),
        "{:?}",
        refused.err()
    );
    let probe = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    let (first, _) = listener.accept().await.expect("accept");
    assert_eq!(
        first.peer_addr().expect("peer"),
        probe.local_addr().expect("local"),
        "nobody connected before"
    );
}

/// It was handed in while trust held, and waited for the peer to read. When the peer does, trust is
/// over: what the kernel had taken may arrive, the rest never does.
#[tokio::test(flavor = "current_thread")]
async fn a_write_that_waited_for_the_peer_is_not_sent_after_the_deadline() {
    const LENGTH: usize = 24 << 20;
    let witness = witness();
    let deadline = Boot::now().plus(TRUSTED);
    let trust = Trust::until(deadline);
    let url = format!("ws://127.0.0.1:{}/ws", witness.port);
    let connected = factory(settings(&url), &trust).connect().await;
    let (transport, _events) = connected.expect("trust holds");
    let message = Bytes::from(vec![7; LENGTH]);
    let stuck = async {
        // The write has been polled once: it fills the send window, and waits.
        stuck_until_after(deadline);
        witness.read_on.send(()).expect("it waits");
    };
    let (sent, ()) = tokio::join!(biased; transport.write(message), stuck);
    assert!(
        matches!(sent, Err(SendError::TrustEnded(_) | SendError::Closed)),
        "{sent:?}"
    );
    drop(transport);
    let (arrived, end) = witness.heard.join().expect("no panic");
    assert!(arrived > 0, "the write had begun");
    assert!(arrived < LENGTH / 2, "{arrived} bytes arrived");
    assert_eq!(end, io::ErrorKind::ConnectionReset);
}
