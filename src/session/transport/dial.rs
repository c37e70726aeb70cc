//! Opening a TCP connection: name lookup, a race over the addresses, socket options.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use url::Host;

/// How much later the next address is tried while the earlier ones have not answered (RFC 8305,
/// section 5). Without it, a machine whose IPv6 leads nowhere would spend the whole connect
/// time-out on the first address.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// When the kernel starts to probe an idle connection, and how often. Three lost probes end it.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Connects to `host`. Resolves names with the system's resolver. Has no time-out of its own.
/// Cancel safe: a connection that is not returned is closed.
pub async fn connect(host: Host<&str>, port: u16) -> io::Result<TcpStream> {
    match host {
        Host::Ipv4(ip) => TcpStream::connect((ip, port)).await,
        Host::Ipv6(ip) => TcpStream::connect((ip, port)).await,
        Host::Domain(name) => {
            let addresses = tokio::net::lookup_host((name, port)).await?;
            race(alternate(addresses.collect())).await
        }
    }
}

/// Sets what the kill switch and the detection of dead peers depend on.
pub fn tune(stream: &TcpStream, user_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    // It also ends the probing above early, so the shorter of the two counts.
    socket.set_tcp_user_timeout(Some(user_timeout))
}

/// The resolver's order, but with the address families taking turns (RFC 8305, section 4).
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut order = Vec::new();
    for address in first {
        order.push(address);
        order.extend(second.next());
    }
    order.extend(second);
    order
}

async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let pause = tokio::time::sleep(NEXT_ADDRESS_AFTER);
        tokio::pin!(pause);
        // Losing the timer loses nothing; the attempts live on in their set.
        tokio::select! {
            finished = attempts.next() => match finished {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(e)) => failure = e,
                None => {}
            },
            () = &mut pause, if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|a| a.parse().expect("address")).collect()
        };
        let resolved = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"]);
        assert_eq!(
            alternate(resolved),
            parse(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"])
        );
        assert_eq!(alternate(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let good = listener.local_addr().expect("address");
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let bad = closed.local_addr().expect("address");
        drop(closed);
        let stream = race(vec![bad, good]).await.expect("the second answers");
        assert_eq!(stream.peer_addr().expect("peer"), good);
        let refused = race(vec![bad]).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let nothing = race(Vec::new()).await.expect_err("no address");
        assert_eq!(nothing.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn sockets_get_their_options() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let stream = connect(Host::Domain("localhost"), port)
            .await
            .expect("connect");
        tune(&stream, Duration::from_millis(4500)).expect("options");
        let socket = SockRef::from(&stream);
        assert_eq!(
            socket.tcp_user_timeout().expect("read back"),
            Some(Duration::from_millis(4500))
        );
        assert!(socket.keepalive().expect("read back"));
        assert_eq!(socket.tcp_keepalive_time().expect("read back"), PROBE_AFTER);
        assert!(stream.nodelay().expect("read back"));
    }
}
