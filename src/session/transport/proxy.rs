//! Proxies: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, 1929), given as
//! `http://[user:password@]host[:port]` or `socks5://…`.
//!
//! The proxy resolves the server's name, so that the name lookup leaves this network where the
//! connection does.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use url::{Host, Url};

use crate::session::endpoint::{EndpointError, PROXY_SETTING, parse_url, without_credentials};

/// The answer to CONNECT may not be longer.
const MAX_ANSWER_BYTES: usize = 8 * 1024;

/// Why a proxy did not open a tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It wants other credentials; another attempt will not help.
    #[error("the proxy refuses our credentials")]
    Unauthorized,
    /// It answered that it cannot or will not reach the server.
    #[error("the proxy did not open a tunnel: {0}")]
    Refused(String),
    /// It does not speak the protocol that its URL names.
    #[error("the proxy does not answer as a proxy of its kind does: {0}")]
    Protocol(String),
    /// The connection to it failed.
    #[error("the connection to the proxy failed")]
    Io(#[from] io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    HttpConnect,
    Socks5,
}

/// A proxy and the credentials for it. Printed without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    url: Url,
    credentials: Option<(String, String)>,
}

impl Proxy {
    /// The proxy's name or address.
    pub fn host(&self) -> Host<&str> {
        self.url
            .host()
            .expect("parsing refuses URLs without a host")
    }

    /// The proxy's port; 80 for HTTP and 1080 for SOCKS5 unless given.
    pub fn port(&self) -> u16 {
        let default = match self.kind {
            Kind::HttpConnect => 80,
            Kind::Socks5 => 1080,
        };
        self.url.port().unwrap_or(default)
    }

    /// The URL that makes reqwest behave like this module: credentials included, names resolved by
    /// the proxy.
    pub(crate) fn for_reqwest(&self) -> Url {
        match self.kind {
            Kind::HttpConnect => self.url.clone(),
            Kind::Socks5 => {
                let rest = &self.url.as_str()[self.url.scheme().len()..];
                let mut url = Url::parse(&format!("socks5h{rest}"))
                    .expect("a URL stays one under another scheme of the same class");
                url.set_port(Some(self.port()))
                    .expect("a URL with a host takes a port");
                url
            }
        }
    }

    /// Opens a tunnel to `host` over `stream`, which is connected to the proxy. Not cancel safe:
    /// drop the stream with the future.
    pub async fn tunnel<S>(&self, stream: S, host: Host<&str>, port: u16) -> Result<S, ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.kind {
            Kind::HttpConnect => self.http_connect(stream, host, port).await,
            Kind::Socks5 => self.socks5(stream, host, port).await,
        }
    }

    async fn http_connect<S>(
        &self,
        mut stream: S,
        host: Host<&str>,
        port: u16,
    ) -> Result<S, ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.credentials {
            let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {basic}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        match read_status(&mut stream).await? {
            200..=299 => Ok(stream),
            407 => Err(ProxyError::Unauthorized),
            status => Err(ProxyError::Refused(format!("HTTP status {status}"))),
        }
    }

    async fn socks5<S>(&self, stream: S, host: Host<&str>, port: u16) -> Result<S, ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let target = match host {
            Host::Domain(name) => TargetAddr::Domain(name.into(), port),
            Host::Ipv4(ip) => TargetAddr::Ip((ip, port).into()),
            Host::Ipv6(ip) => TargetAddr::Ip((ip, port).into()),
        };
        let tunnel = match &self.credentials {
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
            None => Socks5Stream::connect_with_socket(stream, target).await,
        };
        Ok(tunnel.map_err(socks_error)?.into_inner())
    }
}

impl FromStr for Proxy {
    type Err = EndpointError;

    fn from_str(value: &str) -> Result<Self, EndpointError> {
        let setting = PROXY_SETTING;
        let url = parse_url(setting, value, "http://proxy.example.com:3128")?;
        let kind = match url.scheme() {
            "http" => Kind::HttpConnect,
            "socks5" | "socks5h" => Kind::Socks5,
            scheme => {
                return Err(EndpointError::Scheme {
                    setting,
                    value: without_credentials(value),
                    scheme: scheme.to_owned(),
                    supported: "http:// or socks5://",
                });
            }
        };
        let refused = |reason| EndpointError::Credentials {
            setting,
            value: without_credentials(value),
            reason,
        };
        let credentials = credentials(&url).map_err(refused)?;
        if let Some((user, password)) = &credentials {
            let fits = |text: &str| (1..=255).contains(&text.len());
            if kind == Kind::Socks5 && !(fits(user) && fits(password)) {
                return Err(refused("SOCKS5 takes 1 to 255 bytes of each"));
            }
            if kind == Kind::HttpConnect && user.contains(':') {
                return Err(refused("HTTP takes no colon in a user name"));
            }
        }
        Ok(Self {
            kind,
            url,
            credentials,
        })
    }
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, &'static str> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| "they are not UTF-8")
    };
    Ok(Some((
        decoded(url.username())?,
        decoded(url.password().unwrap_or_default())?,
    )))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(self.url.as_str()))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Reads the head of the answer to CONNECT. A byte at a time, because what follows it belongs to
/// the tunnel; it happens once for each connection.
async fn read_status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u16, ProxyError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_ANSWER_BYTES {
            let limit = format!("its answer is longer than {MAX_ANSWER_BYTES} bytes");
            return Err(ProxyError::Protocol(limit));
        }
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ProxyError::Protocol("it closed the connection".to_owned()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    let status = head
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| ProxyError::Protocol("its answer is not HTTP/1".to_owned()))
}

fn socks_error(error: tokio_socks::Error) -> ProxyError {
    use tokio_socks::Error;
    match error {
        Error::Io(e) => ProxyError::Io(e),
        Error::PasswordAuthFailure(_)
        | Error::NoAcceptableAuthMethods
        | Error::InvalidAuthValues(_) => ProxyError::Unauthorized,
        refused @ (Error::GeneralSocksServerFailure
        | Error::ConnectionNotAllowedByRuleset
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired
        | Error::CommandNotSupported
        | Error::AddressTypeNotSupported
        | Error::ProxyServerUnreachable) => ProxyError::Refused(refused.to_string()),
        other => ProxyError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
#[path = "proxy/tests.rs"]
mod tests;
