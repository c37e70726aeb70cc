//! What serves agents: the HTTP API and the webhooks.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::api::{Api, Server};
use crate::config::Config;
use crate::ids::OwnerId;
use crate::jobs::Queue;
use crate::metrics::Metrics;
use crate::outbound::media::Accepting;
use crate::pages::Pages;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::media::MediaStore;
use crate::store::{Lookout, Store};
use crate::webhooks::{Courier, Desk, dispatcher};

/// Of the time that a stop may take, what posts under way may use: what they leave must suffice to give
/// their jobs back.
const SHARE_OF_GRACE: u32 = 2;

/// Built once, before anything is served.
pub(super) struct Service {
    server: Option<Server>,
    scraped: Option<Server>,
    /// What there is, for pages and scrapes.
    lookout: Lookout,
    metrics: Metrics,
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
        owner: &OwnerId,
        queue: &Queue,
    ) -> Result<Self, StartError> {
        let wrong = |error: &dyn std::error::Error| StartError::Config(error.to_string());
        let network = Network::new(config.network.clone()).map_err(|error| wrong(&error))?;
        let http = WebClient::new(&network).map_err(|error| wrong(&error))?;
        let accepting = Accepting::new(store.clone(), network.tls(), config.media.clone())
            .map_err(StartError::Config)?;
        let courier = Courier::new(network.tls()).map_err(|error| wrong(&error))?;
        let lookout = Lookout::new(store.clone());
        Ok(Self {
            server: listen("HTTP_LISTEN", config.api.listen).await?,
            scraped: listen("METRICS_LISTEN", config.api.metrics).await?,
            metrics: Metrics::new(lookout.clone(), owner.clone()),
            lookout,
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
    /// answers operators and probes alone.
    pub(super) async fn run(self, config: &Config, stop: CancellationToken) {
        let (desk, listed) = (self.desk, &config.api.webhooks);
        let api = Api::new(&desk, self.media, listed, stop.clone());
        let agents = config.role.serves_agents();
        let answering = async {
            let Some(server) = self.server else { return };
            let doors = config.api.doors.clone();
            let router = api.router(&doors, agents);
            let pages = Pages::new(desk.store.clone(), self.lookout, doors, stop.clone());
            server
                .serve(router.merge(pages.router()), stop.clone())
                .await;
        };
        let pushing = async {
            if agents {
                let listed = listed.clone();
                dispatcher::run(desk.clone(), listed, self.grace, stop.clone()).await;
            }
        };
        let telling = async {
            if let Some(server) = self.scraped {
                server.serve(self.metrics.router(), stop.clone()).await;
            }
        };
        tokio::join!(answering, pushing, telling);
    }
}

async fn listen(
    setting: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<Server>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    match Server::bind(address, setting).await {
        Ok(server) => Ok(Some(server)),
        Err(error) => Err(StartError::Config(format!(
            "{setting} is {address}: {error}: name an address of this machine and a port that is free and may be used, e.g. 127.0.0.1:{}",
            address.port()
        ))),
    }
}
