//! Files behind messages: fetched from WhatsApp, decrypted and checked, and only then handed out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;
use tracing::info;

use super::Api;
use super::path::Path;
use super::problem::{Kind, Problem};
use crate::ids::AccountId;
use crate::inbound::message::{Content, Media};
use crate::session::media::{MediaError, MediaKind, MediaStore};

/// Downloads at once: each may take 2 GiB of the temporary directory.
const AT_ONCE: usize = 4;
/// How long a download waits for others to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches files for agents.
#[derive(Clone, Debug)]
pub struct Files {
    source: MediaStore,
    room: Arc<Semaphore>,
}

impl Files {
    /// Files of `source`.
    pub fn new(source: MediaStore) -> Self {
        Self {
            source,
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// `GET /v1/media/{account}/{key}`. The file lies on disk, without a name, until it is handed out.
pub async fn download(
    State(api): State<Api>,
    Path((account, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let nothing = || Problem::no_such("message with a file", &key);
    let account: AccountId = account.parse().map_err(|_| nothing())?;
    let content = api.store.message_content(&account, &key).await?;
    let content: Content = content
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or_else(nothing)?;
    let (kind, media) = MediaKind::of(&content).ok_or_else(nothing)?;
    let room = api.files.room.clone().acquire_owned();
    let Ok(Ok(room)) = tokio::time::timeout(PATIENCE, room).await else {
        return Err(Problem::new(
            Kind::Unavailable,
            "other files are being handed out: try again",
        ));
    };
    let broken = |error: std::io::Error| {
        info!(%error, "[http] A file cannot be kept for its download");
        Problem::new(
            Kind::Unavailable,
            "the worker's disk does not take the file",
        )
    };
    let dir = tempfile::tempdir().map_err(broken)?;
    let path = dir.path().join("file");
    let size = api.files.source.download(media, kind, &path).await?;
    // Open, it outlives its name, and goes with the answer.
    let file = tokio::fs::File::open(&path).await.map_err(broken)?;
    drop(dir);
    let pieces = ReaderStream::with_capacity(file, 64 << 10);
    // The file takes its room on disk until it was handed out.
    let body = Body::from_stream(pieces.inspect(move |_| _ = &room));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(header::CONTENT_TYPE, mime_type(media));
    headers.insert(header::CONTENT_DISPOSITION, disposition(media));
    // The type and the name are the sender's claims: no browser shall run what it gets.
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    Ok(response)
}

fn mime_type(media: &Media) -> HeaderValue {
    HeaderValue::from_str(&media.mime_type)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn disposition(media: &Media) -> HeaderValue {
    let name = media.file_name.as_deref().map(|name| {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        format!("attachment; filename*=UTF-8''{name}")
    });
    name.and_then(|text| HeaderValue::from_str(&text).ok())
        .unwrap_or(HeaderValue::from_static("attachment"))
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        let kind = match error {
            MediaError::Reference(_) | MediaError::Expired { .. } => Kind::Gone,
            MediaError::Refused { .. } | MediaError::Corrupt { .. } | MediaError::Network(_) => {
                Kind::Upstream
            }
            MediaError::File { .. } => {
                info!(%error, "[http] A file cannot be kept for its download");
                return Self::new(
                    Kind::Unavailable,
                    "the worker's disk does not take the file",
                );
            }
        };
        Self::new(kind, error.to_string())
    }
}
