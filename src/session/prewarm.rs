//! What a process prepares for its sessions before any lease is its own, and keeps fresh: the server's
//! addresses, and the current client version.
//!
//! Nothing here connects to the chat server, and nothing here is needed: what could not be prepared is
//! done when it is wanted. Left out, because there is nothing to save: settings and TLS are prepared
//! once at the start anyway, and local auth state lies in the page cache of the machine whose worker
//! used it last.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::endpoint::Network;
use super::http::WebClient;
use super::version::ClientVersion;

/// Between two name lookups; answers are used for twice as long.
const NAMES: Duration = Duration::from_secs(60);
/// Between two looks at the client version, and before another try.
const VERSION: Duration = Duration::from_hours(6);
const VERSION_AGAIN: Duration = Duration::from_mins(5);

/// Keeps both fresh for as long as it is polled. Cancel safe.
pub async fn keep_fresh(network: Arc<Network>, http: WebClient, version: ClientVersion) {
    let names = async {
        loop {
            if let Err(error) = network.look_up().await {
                debug!(%error, "the server's name could not be looked up ahead");
            }
            tokio::time::sleep(NAMES).await;
        }
    };
    let versions = async {
        loop {
            let known = version.is_configured() || version.learn(&http).await;
            tokio::time::sleep(if known { VERSION } else { VERSION_AGAIN }).await;
        }
    };
    // Neither ends.
    tokio::join!(names, versions);
}
