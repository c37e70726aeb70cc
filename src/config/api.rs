//! How agents and operators reach this process, and it agents.

use std::net::SocketAddr;
use std::path::Path;

use super::{ConfigError, Values};
use crate::api::Doors;
use crate::webhooks::signature::Secret;
use crate::webhooks::{Webhook, read_file};

/// Settings of the HTTP API and of the webhooks.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where the API listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Where metrics are told, if they are.
    pub metrics: Option<SocketAddr>,
    /// Who is let in.
    pub doors: Doors,
    /// Webhooks that the operator wrote into a file.
    pub webhooks: Vec<Webhook>,
}

impl ApiConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let listen = address(values, "HTTP_LISTEN", "127.0.0.1:8080 or [::]:8080")?;
        let metrics = address(values, "METRICS_LISTEN", "127.0.0.1:9464 or [::]:9464")?;
        if let (Some(http), Some(metrics)) = (listen, metrics)
            && collide(http, metrics)
        {
            return Err(ConfigError::Together(format!(
                "HTTP_LISTEN is {http} and METRICS_LISTEN {metrics}, and one of them would wait for the other for ever: give METRICS_LISTEN another port, e.g. 9464"
            )));
        }
        let doors = Doors::new(
            &secrets(values, "AGENT_SECRET")?,
            &secrets(values, "ADMIN_READ_TOKEN")?,
            &secrets(values, "ADMIN_API_TOKEN")?,
        );
        if let Some(address) = listen.filter(|address: &SocketAddr| !address.ip().is_loopback())
            && doors.are_shut()
        {
            return Err(ConfigError::Together(format!(
                "HTTP_LISTEN is {address}, which other machines reach, and no token is set: set ADMIN_API_TOKEN (for operators) or AGENT_SECRET (for agents), e.g. from `openssl rand -hex 32`, or listen on 127.0.0.1:{}",
                address.port()
            )));
        }
        let webhooks = match values.optional("WEBHOOKS_FILE") {
            Some(path) => read_file(Path::new(path))
                .map_err(|error| values.wrong("WEBHOOKS_FILE", error.to_string()))?,
            None => Vec::new(),
        };
        Ok(Self {
            listen,
            metrics,
            doors,
            webhooks,
        })
    }
}

/// Whether only one of them can be listened on. An unspecified address is all of the machine's.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, all) = (
        one.ip(),
        [one, other].map(|address| address.ip().is_unspecified()),
    );
    one.port() != 0 && one.port() == other.port() && (ip == other.ip() || all.contains(&true))
}

fn address(
    values: &Values,
    name: &'static str,
    example: &str,
) -> Result<Option<SocketAddr>, ConfigError> {
    let parse = |text: &str| {
        let why = format!("write an address and a port, e.g. {example}; empty for none");
        text.parse().map_err(|_| values.wrong(name, why))
    };
    values.optional(name).map(parse).transpose()
}

/// Several values, so that one can be changed while the one before it is still in use.
pub(super) fn secrets(values: &Values, name: &'static str) -> Result<Vec<Secret>, ConfigError> {
    let texts = values.optional(name).unwrap_or_default();
    let parse = |text| {
        let parsed = Secret::parse(text);
        parsed.map_err(|error| {
            let why = format!("{error}, e.g. from `openssl rand -hex 32`");
            values.wrong(name, why)
        })
    };
    texts.split_ascii_whitespace().map(parse).collect()
}
