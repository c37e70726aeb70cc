//! How agents reach this process, and it them.

use std::net::SocketAddr;
use std::path::Path;

use super::{ConfigError, Values};
use crate::webhooks::signature::Secret;
use crate::webhooks::{Webhook, read_file};

/// Settings of the HTTP API and of the webhooks.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where the API listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Where metrics are told, if they are.
    pub metrics: Option<SocketAddr>,
    /// Any of these lets an agent in; without one nobody is.
    pub secrets: Vec<Secret>,
    /// Webhooks that the operator wrote into a file.
    pub webhooks: Vec<Webhook>,
}

impl ApiConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let listen = address(values, "HTTP_LISTEN", "127.0.0.1:8080 or [::]:8080")?;
        let metrics = address(values, "METRICS_LISTEN", "127.0.0.1:9464 or [::]:9464")?;
        let secrets = values
            .optional("AGENT_SECRET")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|text| {
                Secret::parse(text).map_err(|error| {
                    values.wrong(
                        "AGENT_SECRET",
                        format!("{error}, e.g. from `openssl rand -hex 32`"),
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let webhooks = match values.optional("WEBHOOKS_FILE") {
            Some(path) => read_file(Path::new(path))
                .map_err(|error| values.wrong("WEBHOOKS_FILE", error.to_string()))?,
            None => Vec::new(),
        };
        Ok(Self {
            listen,
            metrics,
            secrets,
            webhooks,
        })
    }
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
