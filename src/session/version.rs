//! Which client version is announced.

use std::sync::Arc;

use tokio::sync::watch;
use wacore::net::HttpClient;

use super::http::WebClient;

/// The client version to announce: as configured, or the last one that was fetched. Clones share it.
#[derive(Clone, Debug)]
pub struct ClientVersion(watch::Sender<Version>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Unknown,
    Configured((u32, u32, u32)),
    Fetched((u32, u32, u32)),
}

impl ClientVersion {
    /// As configured; `None` announces what [`ClientVersion::learn`] fetches, and until then lets the
    /// library fetch it.
    pub fn new(configured: Option<(u32, u32, u32)>) -> Self {
        Self(watch::Sender::new(
            configured.map_or(Version::Unknown, Version::Configured),
        ))
    }

    /// The version to announce.
    pub fn get(&self) -> Option<(u32, u32, u32)> {
        match *self.0.borrow() {
            Version::Unknown => None,
            Version::Configured(version) | Version::Fetched(version) => Some(version),
        }
    }

    /// Whether an operator chose it, and the server has not refused it.
    pub fn is_configured(&self) -> bool {
        matches!(*self.0.borrow(), Version::Configured(_))
    }

    /// Fetches the current version. `false`: it could not be had. Cancel safe.
    pub async fn learn(&self, http: &WebClient) -> bool {
        let http: Arc<dyn HttpClient> = Arc::new(http.clone());
        match whatsapp_rust::version::fetch_latest_app_version(&http).await {
            Ok(version) => {
                self.0.send_replace(Version::Fetched(version));
                true
            }
            Err(error) => {
                tracing::debug!("the client version could not be fetched: {error:#}");
                false
            }
        }
    }

    /// The server refused the version: fetches the current one. The library would not: it takes what
    /// was announced last for fetched just now. `false`: it is the one that was refused, or it could
    /// not be had. Cancel safe.
    pub async fn refresh(&self, http: &WebClient) -> bool {
        let refused = self.get();
        self.learn(http).await && self.get() != refused
    }
}
