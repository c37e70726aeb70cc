//! Where the session connects to, and through what: the rules for `WHATSAPP_WS_URL`,
//! `WHATSAPP_PROXY` and `WHATSAPP_EXTRA_CA_FILE`, checked once at the start.
//!
//! - Plain `ws://` and `http://` reach loopback hosts only: elsewhere the stanzas would still be
//!   encrypted by Noise, but who talks to WhatsApp, and when, would be readable.
//! - A build with the `simulator` feature does not check the server's Noise certificate chain, so
//!   it refuses WhatsApp's own hosts, over WebSocket and over HTTP.
//! - Errors name the setting, its value without credentials, and what to write instead.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use url::{Host, Url};

use super::transport::names::Names;
use super::transport::proxy::Proxy;
use super::transport::tls;

/// The setting that holds the WebSocket URL.
pub const WS_URL_SETTING: &str = "WHATSAPP_WS_URL";
/// The setting that holds the proxy URL.
pub const PROXY_SETTING: &str = "WHATSAPP_PROXY";
/// The setting that names the file with additional trust roots.
pub const EXTRA_CA_SETTING: &str = "WHATSAPP_EXTRA_CA_FILE";

/// How long one connect may take, from the name lookup to the end of the WebSocket handshake.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A setting of the network that cannot be used. Nothing but a changed setting helps.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL with a host.
    #[error("{setting} is {value:?}, which is not a URL ({reason}): write it like {example}")]
    NotAUrl {
        /// Name of the setting.
        setting: &'static str,
        /// Its value, without credentials.
        value: String,
        /// What the parser says.
        reason: String,
        /// A value that would do.
        example: &'static str,
    },
    /// A scheme that we do not speak.
    #[error("{setting} is {value:?}, whose scheme {scheme:?} is not supported: use {supported}")]
    Scheme {
        /// Name of the setting.
        setting: &'static str,
        /// Its value, without credentials.
        value: String,
        /// The scheme.
        scheme: String,
        /// The schemes that are.
        supported: &'static str,
    },
    /// An unencrypted URL that leaves the machine.
    #[error(
        "{setting} is {value:?}, an unencrypted URL of another machine: use wss://, or a loopback host such as 127.0.0.1"
    )]
    PlainRemote {
        /// Name of the setting.
        setting: &'static str,
        /// Its value, without credentials.
        value: String,
    },
    /// WhatsApp's own host in a build that does not verify servers.
    #[error(
        "{setting} is {value:?}, a host of WhatsApp, and this build (feature `simulator`) does not verify the server: use a production build, or the URL of a simulator"
    )]
    WhatsAppHost {
        /// Name of the setting.
        setting: &'static str,
        /// Its value, without credentials.
        value: String,
    },
    /// Proxy credentials that the proxy protocol cannot carry.
    #[error(
        "{setting} is {value:?}, whose user name or password cannot be used ({reason}): percent-encode special characters, and give both"
    )]
    Credentials {
        /// Name of the setting.
        setting: &'static str,
        /// Its value, without credentials.
        value: String,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The file with additional trust roots cannot be read.
    #[error(
        "{EXTRA_CA_SETTING} names {path:?}, which cannot be read: name a readable PEM file, or unset it"
    )]
    CaUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no certificate.
    #[error(
        "{EXTRA_CA_SETTING} names {path:?}, which holds no certificate: it needs one or more PEM sections BEGIN CERTIFICATE"
    )]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// One of the certificates cannot be used.
    #[error(
        "{EXTRA_CA_SETTING} names {path:?}, whose certificate number {number} cannot be used ({reason}): replace or remove it"
    )]
    CaInvalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The URL of a chat server that this build may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsUrl(Url);

impl WsUrl {
    /// WhatsApp's own. In a build with the `simulator` feature this is an error.
    pub fn whatsapp() -> Result<Self, EndpointError> {
        Self::parse(wacore::net::WHATSAPP_WEB_WS_URL)
    }

    /// Checks the value of `WHATSAPP_WS_URL` against the rules of the module.
    pub fn parse(value: &str) -> Result<Self, EndpointError> {
        Self::parse_for(value, cfg!(feature = "simulator"))
    }

    fn parse_for(value: &str, simulator: bool) -> Result<Self, EndpointError> {
        let setting = WS_URL_SETTING;
        let url = parse_url(setting, value, "wss://web.whatsapp.com/ws/chat")?;
        match url.scheme() {
            "wss" => {}
            "ws" if is_loopback(&url) => {}
            "ws" => {
                let value = without_credentials(value);
                return Err(EndpointError::PlainRemote { setting, value });
            }
            scheme => {
                return Err(EndpointError::Scheme {
                    setting,
                    value: without_credentials(value),
                    scheme: scheme.to_owned(),
                    supported: "wss://, or ws:// for a loopback host",
                });
            }
        }
        if simulator && is_whatsapp(&url) {
            let value = without_credentials(value);
            return Err(EndpointError::WhatsAppHost { setting, value });
        }
        Ok(Self(url))
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the stream is wrapped in TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "wss"
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The server's name or address.
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("parse refuses URLs without a host")
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.0
            .port_or_known_default()
            .expect("ws and wss have default ports")
    }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(self.0.as_str()))
    }
}

/// The settings of [`Network`], parsed.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The chat server.
    pub ws_url: WsUrl,
    /// The proxy for everything that goes to WhatsApp, its media hosts included.
    pub proxy: Option<Proxy>,
    /// A PEM file with trust roots beside the public ones.
    pub extra_ca_file: Option<PathBuf>,
    /// Bounds one connect, see [`DEFAULT_CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged before the kernel drops the
    /// connection and them. Must not exceed the margin between the end of trust and the end of the
    /// lease, or bytes of an old holder could arrive after a takeover.
    pub user_timeout: Duration,
}

/// What every connection of this process to WhatsApp is made with. Built once, shared by accounts.
#[derive(Clone, Debug)]
pub struct Network {
    pub(super) ws_url: WsUrl,
    pub(super) proxy: Option<Proxy>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) names: Names,
    pub(super) connect_timeout: Duration,
    pub(super) user_timeout: Duration,
}

impl Network {
    /// Reads the additional trust roots (blocking) and prepares TLS.
    pub fn new(settings: NetworkSettings) -> Result<Self, EndpointError> {
        let tls = tls::client_config(settings.extra_ca_file.as_deref())?;
        Ok(Self {
            ws_url: settings.ws_url,
            proxy: settings.proxy,
            tls: Arc::new(tls),
            names: Names::default(),
            connect_timeout: settings.connect_timeout,
            user_timeout: settings.user_timeout,
        })
    }

    /// TLS for HTTP, with the same trust roots.
    pub fn http_tls(&self) -> ClientConfig {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = tls::http_protocols();
        tls
    }

    /// The chat server.
    pub fn ws_url(&self) -> &WsUrl {
        &self.ws_url
    }

    /// TLS with the roots that are set, for connections to others than WhatsApp.
    pub fn tls(&self) -> ClientConfig {
        (*self.tls).clone()
    }

    /// Looks up the name that the next connect needs: the server's, or its proxy's. Cancel safe.
    ///
    /// # Errors
    /// The resolver's; what is known stays.
    pub async fn look_up(&self) -> io::Result<()> {
        let (host, port) = self.next_hop();
        match host {
            Host::Domain(name) => self.names.look_up(name, port).await.map(drop),
            Host::Ipv4(_) | Host::Ipv6(_) => Ok(()),
        }
    }

    /// Where TCP connects to.
    pub(super) fn next_hop(&self) -> (Host<&str>, u16) {
        match &self.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (self.ws_url.host(), self.ws_url.port()),
        }
    }
}

/// Parses a URL that must have a host. The value is shown in errors without credentials.
pub(super) fn parse_url(
    setting: &'static str,
    value: &str,
    example: &'static str,
) -> Result<Url, EndpointError> {
    let not_a_url = |reason: String| EndpointError::NotAUrl {
        setting,
        value: without_credentials(value),
        reason,
        example,
    };
    let url = Url::parse(value).map_err(|e| not_a_url(e.to_string()))?;
    if url.host().is_none() {
        return Err(not_a_url("it names no host".to_owned()));
    }
    Ok(url)
}

/// `value` with what may be a user name and password replaced, whether or not it is a URL.
pub(crate) fn without_credentials(value: &str) -> String {
    let start = value.find("://").map_or(0, |at| at + 3);
    let authority = value[start..]
        .find(['/', '?', '#'])
        .unwrap_or(value.len() - start);
    // A password may hold an unescaped slash, so an '@' behind the authority counts as well when
    // there is none in it.
    let within = value[start..start + authority].rfind('@');
    match within.or_else(|| value[start..].rfind('@')) {
        Some(at) => format!("{}…@{}", &value[..start], &value[start + at + 1..]),
        None => value.to_owned(),
    }
}

/// Whether the URL's host is this machine, by name (RFC 6761) or by address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => Ipv4Addr::is_loopback(&ip),
        Some(Host::Ipv6(ip)) => {
            Ipv6Addr::is_loopback(&ip) || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}

/// Whether the URL's host belongs to WhatsApp.
pub(super) fn is_whatsapp(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else {
        return false;
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    ["whatsapp.com", "whatsapp.net"].iter().any(|own| {
        name.strip_suffix(own)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
#[path = "endpoint/tests.rs"]
mod tests;
