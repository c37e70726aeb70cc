//! The way to WhatsApp, stage by stage, without logging in: name, TCP, proxy, TLS, WebSocket; and the
//! page that tells the client version.

use std::sync::Arc;
use std::time::Duration;

use super::Finding;
use crate::cli::chain;
use crate::clock::Boot;
use crate::config::Config;
use crate::lease::trust::Trust;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::transport::proxy::ProxyError;
use crate::session::transport::{ConnectError, WsTransportFactory};
use crate::session::version::ClientVersion;

/// Longer than a connect may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// In the order in which they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Tcp,
    Proxy,
    Tls,
    WebSocket,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
        }
    }
}

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) {
    let network = match Network::new(config.network.clone()) {
        Ok(network) => network,
        Err(error) => {
            findings.push(Finding::failed(
                "trust roots",
                chain(&error),
                "correct WHATSAPP_EXTRA_CA_FILE",
            ));
            return;
        }
    };
    let through = match &config.network.proxy {
        Some(_) => "the proxy of WHATSAPP_PROXY",
        None => "the server of WHATSAPP_WS_URL",
    };
    let asked = Boot::now();
    findings.push(match network.look_up().await {
        Ok(()) => Finding::fine(
            "dns",
            format!(
                "{through} is found in {} ms",
                Boot::now().since(asked).as_millis()
            ),
        ),
        Err(error) => Finding::failed(
            "dns",
            format!("{through}: {error}"),
            "see that /etc/resolv.conf names a resolver that answers, and that the name is right",
        ),
    });
    connect(config, network.clone(), findings).await;
    findings.push(client_version(config, &network).await);
}

async fn connect(config: &Config, network: Network, findings: &mut Vec<Finding>) {
    let url = network.ws_url().clone();
    let stages = [
        Some(Stage::Tcp),
        config.network.proxy.as_ref().map(|_| Stage::Proxy),
        url.is_tls().then_some(Stage::Tls),
        Some(Stage::WebSocket),
    ];
    let trust = Trust::until(Boot::now().plus(PATIENCE));
    let asked = Boot::now();
    let failure = match WsTransportFactory::new(Arc::new(network), trust)
        .connect()
        .await
    {
        Ok((transport, _events)) => {
            transport.close().await;
            None
        }
        Err(error) => Some((stage(&error), error)),
    };
    let took = Boot::now().since(asked).as_millis();
    for stage in stages.into_iter().flatten() {
        findings.push(match &failure {
            None if stage == Stage::WebSocket => {
                Finding::fine(stage.name(), format!("{url} answers in {took} ms"))
            }
            Some((at, error)) if *at == stage => Finding::failed(
                stage.name(),
                format!("{url}: {}", chain(error)),
                cure(error),
            ),
            Some((at, _)) if *at < stage => Finding::passed(stage.name(), "not reached"),
            None | Some(_) => Finding::fine(stage.name(), "passed"),
        });
    }
}

/// Where a connect ended.
fn stage(error: &ConnectError) -> Stage {
    match error {
        ConnectError::TrustEnded(_)
        | ConnectError::TimedOut(_)
        | ConnectError::Unreachable { .. } => Stage::Tcp,
        ConnectError::Proxy(_) => Stage::Proxy,
        ConnectError::Certificate { .. } | ConnectError::Tls(_) => Stage::Tls,
        ConnectError::Refused { .. } | ConnectError::WebSocket(_) => Stage::WebSocket,
    }
}

fn cure(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::TrustEnded(_) | ConnectError::TimedOut(_) => {
            "something swallows packets, a firewall or a proxy: let this machine out, set WHATSAPP_PROXY, or raise WHATSAPP_CONNECT_TIMEOUT_MS"
        }
        ConnectError::Unreachable { .. } => {
            "let this machine open this TCP connection (name, firewall, route), or set WHATSAPP_PROXY"
        }
        ConnectError::Proxy(ProxyError::Unauthorized) => {
            "set the user and password in WHATSAPP_PROXY"
        }
        ConnectError::Proxy(ProxyError::Refused(_)) => {
            "have the proxy allow a tunnel to this host and port"
        }
        ConnectError::Proxy(ProxyError::Protocol(_) | ProxyError::Io(_)) => {
            "see that scheme and port of WHATSAPP_PROXY are those of the proxy"
        }
        ConnectError::Certificate { .. } => {
            "behind a TLS proxy name its CA in WHATSAPP_EXTRA_CA_FILE; otherwise set the clock, or find out who answers in the server's place"
        }
        ConnectError::Tls(_) => {
            "find what breaks TLS on the way: a proxy that expects plain HTTP, or a firewall"
        }
        ConnectError::Refused { .. } => {
            "this server takes no such connection from this address: try another address, WHATSAPP_PROXY, or correct WHATSAPP_WS_URL"
        }
        ConnectError::WebSocket(_) => {
            "what answers is no WebSocket server: correct WHATSAPP_WS_URL, or let the proxy pass WebSockets"
        }
    }
}

async fn client_version(config: &Config, network: &Network) -> Finding {
    const CHECK: &str = "client version";
    if let Some((a, b, c)) = config.client_version {
        return Finding::fine(CHECK, format!("{a}.{b}.{c}, from WHATSAPP_CLIENT_VERSION"));
    }
    if cfg!(feature = "simulator") {
        return Finding::passed(CHECK, "a simulator build does not ask WhatsApp");
    }
    let version = ClientVersion::new(None);
    let learnt = match WebClient::new(network) {
        Ok(http) => version.learn(&http).await,
        Err(_) => false,
    };
    match version.get().filter(|_| learnt) {
        Some((a, b, c)) => Finding::fine(CHECK, format!("{a}.{b}.{c}, as WhatsApp tells it")),
        None => Finding::failed(
            CHECK,
            "WhatsApp's version page does not answer",
            "let this machine reach it over HTTPS, or set WHATSAPP_CLIENT_VERSION to what the browser's client has",
        ),
    }
}
