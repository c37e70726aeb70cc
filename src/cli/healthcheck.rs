//! `healthcheck`: asks the worker of this machine how it is, for container images that hold nothing
//! but this binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::table::print_one;
use super::{CliError, Output, load_config};

/// How long connecting and the answer may take together; the worker asks its store for 2 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than a probe's answer has.
const MOST_BYTES: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Ask whether it can serve (/readyz), not only whether it turns (/healthz).
    #[arg(long)]
    ready: bool,
}

impl Healthcheck {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Some(listen) = load_config()?.api.listen else {
            return Err(CliError::Config(
                "HTTP_LISTEN is empty, so nobody can ask this worker: set it, e.g. to 127.0.0.1:8080".to_owned(),
            ));
        };
        let address = reachable(listen);
        let path = if self.ready { "/readyz" } else { "/healthz" };
        let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
        let status = asked
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                CliError::Unavailable(format!("http://{address}{path} does not answer: {error}"))
            })?;
        print_one(
            output,
            vec![
                ("url", json!(format!("http://{address}{path}"))),
                ("status", json!(status)),
            ],
        );
        match status {
            200 => Ok(()),
            status => Err(CliError::Unavailable(format!(
                "http://{address}{path} answers {status}: the worker is stopping, or its store does not answer; its log tells"
            ))),
        }
    }
}

/// A worker that listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status of the answer. Cancel safe.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    status(&answer).ok_or_else(|| std::io::Error::other("what answers is no HTTP server"))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|&byte| byte == b'\r').next()?;
    let (version, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    version
        .starts_with("HTTP/1.")
        .then(|| rest.get(..3)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_anything_else_is_no_answer() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        for other in [&b"SSH-2.0-x\r\n"[..], b"", b"HTTP/1.1 \r\n", b"\xff\xfe"] {
            assert_eq!(status(other), None);
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        let told = |listen: &str| reachable(listen.parse().expect("an address")).to_string();
        assert_eq!(told("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(told("[::]:8080"), "[::1]:8080");
        assert_eq!(told("192.0.2.1:80"), "192.0.2.1:80");
    }
}
