//! A network between a worker and its store that can be bad: TCP on loopback, passed on, delayed,
//! held, swallowed, cut or refused, switched while it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::clock::Boot;

/// Pieces on their way in one direction of one connection.
const ON_THE_WAY: usize = 256;
const PIECE: usize = 16 << 10;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes at once.
    Fair,
    /// Everything passes, this much later.
    Slow(Duration),
    /// Nothing passes, and what was sent arrives when the weather changes: a partition that TCP
    /// outlives by sending again.
    Held,
    /// New connections are taken, and everything is swallowed. A connection that lost something
    /// stays a black hole until it is cut or its client closes it.
    Hole,
    /// New connections are reset. Open ones are as in [`Self::Fair`].
    Refusing,
}

/// A running proxy. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    cut: watch::Sender<CancellationToken>,
    taken: Arc<AtomicUsize>,
    _listener: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts a proxy to `upstream` on a free port of loopback.
    ///
    /// # Errors
    /// There is none.
    pub async fn start(upstream: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather::Fair);
        let cut = watch::Sender::new(CancellationToken::new());
        let taken = Arc::new(AtomicUsize::new(0));
        let road = Road {
            upstream,
            weather: weather.subscribe(),
            cut: cut.subscribe(),
            taken: taken.clone(),
        };
        Ok(Self {
            address,
            weather,
            cut,
            taken,
            _listener: AbortOnDropHandle::new(tokio::spawn(road.listen(listener))),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for what is open and what comes.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Closes every open connection on both sides. What was on its way is lost.
    pub fn cut(&self) {
        self.cut.send_replace(CancellationToken::new()).cancel();
    }

    /// How many connections were taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

struct Road {
    upstream: SocketAddr,
    weather: watch::Receiver<Weather>,
    cut: watch::Receiver<CancellationToken>,
    taken: Arc<AtomicUsize>,
}

impl Road {
    async fn listen(self, listener: TcpListener) {
        let connections = TaskTracker::new();
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            if *self.weather.borrow() == Weather::Refusing {
                reset(client);
                continue;
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            let cut = self.cut.borrow().clone();
            let serving = serve(client, self.upstream, self.weather.clone());
            connections.spawn(async move {
                // Whoever is cut has nothing to finish.
                tokio::select! {
                    () = cut.cancelled() => {}
                    () = serving => {}
                }
            });
        }
    }
}

/// Closes so that the client sees a reset, not an end.
fn reset(client: TcpStream) {
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .ok();
    drop(client);
}

async fn serve(client: TcpStream, upstream: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return reset(client);
    };
    // Small packets that wait for company would be a delay that nobody ordered.
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let lost = Arc::new(AtomicBool::new(false));
    tokio::join!(
        carry(from_client, to_server, weather.clone(), lost.clone()),
        carry(from_server, to_client, weather, lost),
    );
}

/// One direction of one connection, until its source ends.
async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    lost: Arc<AtomicBool>,
) {
    let (send, receive) = mpsc::channel(ON_THE_WAY);
    tokio::join!(
        collect(from, send, weather.clone(), lost.clone()),
        hand_out(to, receive, weather, lost),
    );
}

async fn collect(
    mut from: OwnedReadHalf,
    send: mpsc::Sender<(Boot, Vec<u8>)>,
    weather: watch::Receiver<Weather>,
    lost: Arc<AtomicBool>,
) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let due = match *weather.borrow() {
            Weather::Slow(by) => Boot::now().plus(by),
            Weather::Hole => {
                lost.store(true, Ordering::Relaxed);
                continue;
            }
            Weather::Fair | Weather::Held | Weather::Refusing => Boot::now(),
        };
        if send.send((due, piece[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn hand_out(
    mut to: OwnedWriteHalf,
    mut receive: mpsc::Receiver<(Boot, Vec<u8>)>,
    mut weather: watch::Receiver<Weather>,
    lost: Arc<AtomicBool>,
) {
    while let Some((due, piece)) = receive.recv().await {
        let wait = due.remaining();
        // A sleep of nothing takes a millisecond.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let moving = |weather: &Weather| *weather != Weather::Held;
        let Ok(now) = weather.wait_for(moving).await.map(|now| *now) else {
            return;
        };
        if now == Weather::Hole {
            lost.store(true, Ordering::Relaxed);
        } else if !lost.load(Ordering::Relaxed) && to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // In a black hole the far end does not learn that the near one is gone.
    if lost.load(Ordering::Relaxed) || *weather.borrow() == Weather::Hole {
        std::future::pending::<()>().await;
    }
    to.shutdown().await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A proxy to a server that sends everything back.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("binds");
        let upstream = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Proxy::start(upstream).await.expect("starts")
    }

    async fn ask(stream: &mut TcpStream, patience: Duration) -> Option<[u8; 4]> {
        stream.write_all(b"ping").await.ok()?;
        let mut answer = [0; 4];
        tokio::time::timeout(patience, stream.read_exact(&mut answer))
            .await
            .ok()?
            .ok()?;
        Some(answer)
    }

    #[tokio::test]
    async fn what_is_held_arrives_later_and_what_is_swallowed_never_does() {
        let proxy = echo().await;
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
        assert_eq!(ask(&mut stream, PATIENCE).await, Some(*b"ping"));
        proxy.set(Weather::Held);
        assert_eq!(ask(&mut stream, Duration::from_millis(50)).await, None);
        proxy.set(Weather::Fair);
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.expect("arrives late");
        assert_eq!(answer, *b"ping");

        proxy.set(Weather::Hole);
        assert_eq!(ask(&mut stream, Duration::from_millis(50)).await, None);
        proxy.set(Weather::Fair);
        assert_eq!(
            ask(&mut stream, Duration::from_millis(50)).await,
            None,
            "a stream with a gap passes nothing"
        );
        let mut fresh = TcpStream::connect(proxy.address()).await.expect("connects");
        assert_eq!(ask(&mut fresh, PATIENCE).await, Some(*b"ping"));
        assert_eq!(proxy.taken(), 2);
    }

    #[tokio::test]
    async fn a_slow_network_delays_without_narrowing() {
        let proxy = echo().await;
        proxy.set(Weather::Slow(Duration::from_millis(100)));
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
        let began = Boot::now();
        for _ in 0..5 {
            stream.write_all(b"ping").await.expect("open");
        }
        let mut answers = [0; 20];
        stream.read_exact(&mut answers).await.expect("arrives");
        let took = Boot::now().since(began);
        assert!(took >= Duration::from_millis(199), "{took:?}");
        assert!(
            took < Duration::from_millis(900),
            "they travel together: {took:?}"
        );
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_open_and_a_refusal_what_comes() {
        let proxy = echo().await;
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
        assert_eq!(ask(&mut stream, PATIENCE).await, Some(*b"ping"));
        proxy.set(Weather::Refusing);
        assert_eq!(ask(&mut stream, PATIENCE).await, Some(*b"ping"));
        proxy.cut();
        assert_eq!(ask(&mut stream, PATIENCE).await, None);
        let refused = TcpStream::connect(proxy.address()).await;
        if let Ok(mut stream) = refused {
            assert_eq!(ask(&mut stream, PATIENCE).await, None);
        }
        proxy.set(Weather::Fair);
        let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
        assert_eq!(ask(&mut stream, PATIENCE).await, Some(*b"ping"));
    }
}
