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
    /// Any of these lets an agent in; without one nobody is.
    pub secrets: Vec<Secret>,
    /// Webhooks that the operator wrote into a file.
    pub webhooks: Vec<Webhook>,
}

impl ApiConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let listen = values
            .optional("HTTP_LISTEN")
            .map(|text| {
                text.parse().map_err(|_| {
                    values.wrong(
                        "HTTP_LISTEN",
                        "write an address and a port, e.g. 127.0.0.1:8080 or [::]:8080; empty for no HTTP",
                    )
                })
            })
            .transpose()?;
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
            secrets,
            webhooks,
        })
    }
}
