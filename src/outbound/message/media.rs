//! A file that goes along with a message.

use serde::{Deserialize, Serialize};

use crate::ids::UploadId;

/// The file behind an outgoing message: `{"url": …}`, `{"upload": …}` or `{"path": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct MediaRef {
    /// Where it is.
    pub source: MediaSource,
    /// Its MIME type; left out, what its server said, or what its name says.
    pub mime_type: Option<String>,
}

/// Where a file is. Once a message is accepted, it is an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSource {
    /// On the web; fetched when the message is accepted.
    Url(String),
    /// In the store.
    Upload(UploadId),
    /// Beneath `MEDIA_DIR` of the machine that accepts the message.
    Path(String),
}

impl From<UploadId> for MediaRef {
    fn from(id: UploadId) -> Self {
        Self {
            source: MediaSource::Upload(id),
            mime_type: None,
        }
    }
}

/// As it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<UploadId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
}

impl TryFrom<Written> for MediaRef {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let source = match (written.url, written.upload, written.path) {
            (Some(url), None, None) => MediaSource::Url(url),
            (None, Some(upload), None) => MediaSource::Upload(upload),
            (None, None, Some(path)) => MediaSource::Path(path),
            _ => return Err("media takes exactly one of url, upload and path"),
        };
        Ok(Self {
            source,
            mime_type: written.mime_type,
        })
    }
}

impl From<MediaRef> for Written {
    fn from(media: MediaRef) -> Self {
        let mut written = Self {
            url: None,
            upload: None,
            path: None,
            mime_type: media.mime_type,
        };
        match media.source {
            MediaSource::Url(url) => written.url = Some(url),
            MediaSource::Upload(upload) => written.upload = Some(upload),
            MediaSource::Path(path) => written.path = Some(path),
        }
        written
    }
}
