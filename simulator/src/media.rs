//! The media host: ciphertext goes up and comes down over HTTPS, as with the real ones.
//!
//! Clients build `https://{host}{path}` themselves, so this host speaks TLS with a certificate
//! made at start; a client must trust [`MediaServer::ca_pem`]. Blobs live in memory until the
//! simulator ends or [`MediaStore::forget`] expires one.
//!
//! Failures a client sees: 400 for an upload whose token is not the hash of its body, 404 for a
//! blob that is not (or no longer) there.

mod certificate;
mod listener;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The largest upload that is accepted.
const MAX_UPLOAD_BYTES: usize = 256 << 20;

/// Where stored media can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMedia {
    /// The whole URL.
    pub url: String,
    /// Its path, which clients append to a media host.
    pub direct_path: String,
}

/// The blobs of a media host. Clones share them.
#[derive(Debug, Clone)]
pub struct MediaStore {
    host: Arc<str>,
    blobs: Arc<Mutex<HashMap<String, Bytes>>>,
}

impl MediaStore {
    /// An empty store whose URLs name `host` (`ADDRESS:PORT`).
    pub fn new(host: &str) -> Self {
        Self {
            host: host.into(),
            blobs: Arc::default(),
        }
    }

    /// `ADDRESS:PORT`, the hostname that `<media_conn>` names.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Stores ciphertext and says where.
    pub fn put(&self, ciphertext: impl Into<Bytes>) -> StoredMedia {
        let name = hex::encode(crate::people::random_bytes::<16>());
        let direct_path = format!("/v/{name}.enc");
        self.lock().insert(direct_path.clone(), ciphertext.into());
        StoredMedia {
            url: format!("https://{}{direct_path}", self.host),
            direct_path,
        }
    }

    /// The ciphertext at a path; a query string is ignored.
    pub fn get(&self, direct_path: &str) -> Option<Bytes> {
        let path = direct_path.split('?').next().unwrap_or_default();
        self.lock().get(path).cloned()
    }

    /// Expires a blob, as media hosts do after some weeks. Says whether it was there.
    pub fn forget(&self, direct_path: &str) -> bool {
        self.lock().remove(direct_path).is_some()
    }

    /// How many blobs are stored.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the media host did not start.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The address cannot be listened on.
    #[error("media host cannot listen")]
    Listen(#[source] std::io::Error),
    /// The certificate could not be made.
    #[error("media host has no certificate: {0}")]
    Certificate(String),
}

/// A running media host. Dropping it aborts its task.
#[derive(Debug)]
pub struct MediaServer {
    address: SocketAddr,
    ca_pem: String,
    store: MediaStore,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl MediaServer {
    /// Listens on `address` (port 0 picks one).
    ///
    /// # Errors
    /// See [`MediaError`].
    pub async fn start(address: SocketAddr) -> Result<Self, MediaError> {
        let tcp = TcpListener::bind(address)
            .await
            .map_err(MediaError::Listen)?;
        let address = tcp.local_addr().map_err(MediaError::Listen)?;
        let certificate = certificate::make(address.ip())?;
        let store = MediaStore::new(&address.to_string());
        let stop = CancellationToken::new();
        let tls = listener::TlsListener::new(tcp, certificate.server);
        let serve = axum::serve(tls, router(store.clone()))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "media host ended");
            }
        });
        Ok(Self {
            address,
            ca_pem: certificate.ca_pem,
            store,
            stop,
            task,
        })
    }

    /// `ADDRESS:PORT`, the hostname that `<media_conn>` names.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The certificate that clients must trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Its blobs.
    pub fn store(&self) -> &MediaStore {
        &self.store
    }

    /// Ends the task. Open transfers are cut. Not cancel safe: a dropped call leaves the abort to
    /// the drop of the server.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.task.abort();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!("the media host panicked");
        }
    }
}

impl Drop for MediaServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(store: MediaStore) -> Router {
    Router::new()
        .route("/{*path}", get(download).post(upload))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES))
        .with_state(store)
}

async fn download(
    State(store): State<MediaStore>,
    Path(path): Path<String>,
) -> Result<Bytes, StatusCode> {
    store.get(&format!("/{path}")).ok_or(StatusCode::NOT_FOUND)
}

/// The last segment of an upload's path is the base64url SHA-256 of the ciphertext.
async fn upload(
    State(store): State<MediaStore>,
    Path(path): Path<String>,
    body: Bytes,
) -> Result<Json<serde_json::Value>, StatusCode> {
    let token = path.rsplit('/').next().unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &body);
    if token.trim_end_matches('=') != URL_SAFE_NO_PAD.encode(digest) {
        tracing::warn!("upload refused: its token is not the hash of its body");
        return Err(StatusCode::BAD_REQUEST);
    }
    let stored = store.put(body);
    Ok(Json(serde_json::json!({
        "url": stored.url,
        "direct_path": stored.direct_path,
    })))
}
