//! Opening a TCP connection: name lookup, a race over the addresses, socket options.
//!
//! Trust is looked at before each attempt, however long the lookup or an earlier attempt took.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use url::Host;

use super::gate::TrustEnded;
use super::names::Names;
use crate::lease::trust::Trust;

/// How much later the next address is tried while the earlier ones have not answered (RFC 8305,
/// section 5). Without it, a machine whose IPv6 leads nowhere would spend the whole connect
/// time-out on the first address.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// When the kernel starts to probe an idle connection, and how often. Three lost probes end it.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Connects to `host` while `trust` holds, a name by what `names` knows of it. Has no time-out of its
/// own. Cancel safe: a connection that is not returned is closed.
///
/// # Errors
/// The network's; [`TrustEnded`] inside, when an attempt was not begun because of it.
pub async fn connect(
    host: Host<&str>,
    port: u16,
    names: &Names,
    trust: &Trust,
) -> io::Result<TcpStream> {
    match host {
        Host::Ipv4(ip) => attempt((ip, port).into(), trust).await,
        Host::Ipv6(ip) => attempt((ip, port).into(), trust).await,
        Host::Domain(name) => {
            let addresses = names.addresses(name, port).await?;
            let connected = race(alternate(addresses), trust).await;
            if connected.is_err() {
                names.doubt(name, port);
            }
            connected
        }
    }
}

async fn attempt(address: SocketAddr, trust: &Trust) -> io::Result<TcpStream> {
    if !trust.holds() {
        return Err(TrustEnded.into());
    }
    TcpStream::connect(address).await
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

async fn race(addresses: Vec<SocketAddr>, trust: &Trust) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(attempt(address, trust)),
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
    use crate::clock::Boot;

    fn trusted() -> Trust {
        Trust::until(Boot::now().plus(Duration::from_secs(60)))
    }

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
        let stream = race(vec![bad, good], &trusted())
            .await
            .expect("the second answers");
        assert_eq!(stream.peer_addr().expect("peer"), good);
        let refused = race(vec![bad], &trusted())
            .await
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let nothing = race(Vec::new(), &trusted()).await.expect_err("no address");
        assert_eq!(nothing.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn sockets_get_their_options() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let stream = connect(
            Host::Domain("localhost"),
            port,
            &Names::default(),
            &trusted(),
        )
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

    /// The check of the factory lies before the name lookup, which may take its time.
    #[tokio::test]
    async fn no_attempt_begins_after_trust_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let names = [
            Host::Domain("localhost"),
            Host::Ipv4(std::net::Ipv4Addr::LOCALHOST),
        ];
        for host in names {
            let refused = connect(host, address.port(), &Names::default(), &Trust::none()).await;
            let refused = refused.expect_err("refused");
            assert!(TrustEnded::is_cause_of(&refused), "{refused:?}");
        }
        // The listener's queue holds what was connected, accepted or not.
        let probe = TcpStream::connect(address).await.expect("connect");
        let (first, _) = listener.accept().await.expect("accept");
        assert_eq!(
            first.peer_addr().expect("peer"),
            probe.local_addr().expect("local")
        );
    }
}
