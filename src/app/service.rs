//! What serves agents: the HTTP API and the webhooks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::api::{Api, Server};
use crate::config::Config;
use crate::jobs::Queue;
use crate::outbound::media::Accepting;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::media::MediaStore;
use crate::store::Store;
use crate::webhooks::{Courier, Desk, dispatcher};

/// Of the time that a stop may take, what posts under way may use: what they leave must suffice to give
/// their jobs back.
const SHARE_OF_GRACE: u32 = 2;

/// Built once, before anything is served.
pub(super) struct Service {
    server: Option<Server>,
    desk: Desk,
    media: MediaStore,
    grace: Duration,
}

impl Service {
    /// Takes the address to listen on.
    ///
    /// # Errors
    /// [`StartError::Config`].
    pub(super) async fn build(
        config: &Config,
        store: &Store,
        queue: &Queue,
    ) -> Result<Self, StartError> {
        let wrong = |error: &dyn std::error::Error| StartError::Config(error.to_string());
        let network = Network::new(config.network.clone()).map_err(|error| wrong(&error))?;
        let http = WebClient::new(&network).map_err(|error| wrong(&error))?;
        let accepting = Accepting::new(store.clone(), network.tls(), config.media.clone())
            .map_err(StartError::Config)?;
        let courier = Courier::new(network.tls()).map_err(|error| wrong(&error))?;
        let server = match config.api.listen {
            None => None,
            Some(address) => Some(Server::bind(address).await.map_err(|error| {
                StartError::Config(format!("HTTP_LISTEN is {address}: {error}"))
            })?),
        };
        Ok(Self {
            server,
            desk: Desk {
                store: store.clone(),
                queue: queue.clone(),
                accepting,
                courier,
            },
            media: MediaStore::new(http, &network),
            grace: config.shutdown_grace / SHARE_OF_GRACE,
        })
    }

    /// Serves until `stop`, then to the end of what is under way. A process that does not serve agents
    /// answers probes alone.
    pub(super) async fn run(self, config: &Config, stop: CancellationToken) {
        let (desk, listed) = (self.desk, &config.api.webhooks);
        let api = Api::new(&desk, self.media, listed, stop.clone());
        let agents = config.role.serves_agents();
        let answering = async {
            let Some(server) = self.server else { return };
            let router = if agents {
                api.router(&config.api.secrets)
            } else {
                api.probes()
            };
            server.serve(router, stop.clone()).await;
        };
        let pushing = async {
            if agents {
                let listed = listed.clone();
                dispatcher::run(desk.clone(), listed, self.grace, stop.clone()).await;
            }
        };
        tokio::join!(answering, pushing);
    }
}
