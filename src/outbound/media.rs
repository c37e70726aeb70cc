//! Files of outgoing messages are taken in when the message is accepted, before the transaction that
//! keeps it: whoever holds the lease then, on whatever machine, finds an upload in the store.
//!
//! ```text
//!   url    ─▶ web: checked addresses only ──┐
//!   path   ─▶ beneath MEDIA_DIR only ───────┼─▶ upload (in pieces, counted) ─▶ the draft names it
//!   upload ─▶ is it there and whole? ───────┘
//! ```
//!
//! Agents name URLs that people gave them, so a URL is not trusted with anything: it must not lead
//! this process to what only this machine or its network can reach ([`address`]).
//!
//! Failures leave no upload; what was written of it by then goes after a day at the latest.

pub mod address;
mod folder;
mod kind;
mod web;

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustls::ClientConfig;

use self::web::Web;
use super::message::{Draft, MediaRef, MediaSource};
use crate::ids::UploadId;
use crate::store::{Store, StoreError, Upload};

/// What may be taken in.
#[derive(Clone, Debug)]
pub struct MediaLimits {
    /// Bytes of one file.
    pub max_bytes: u64,
    /// Whether URLs may lead to addresses that are not public.
    pub allow_private: bool,
    /// Files named by path lie beneath it; without it there are none.
    pub dir: Option<PathBuf>,
}

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum MediaProblem {
    /// The URL leads where only this machine or its network can go.
    #[error("leads to an address that is not public ({host})")]
    NotPublic {
        /// The host.
        host: String,
    },
    /// It cannot be asked for, or its server sends us elsewhere in a way we do not follow.
    #[error("cannot be followed: {0}")]
    Url(&'static str),
    /// No answer; another attempt may help.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Its server refuses.
    #[error("its server answers with status {0}")]
    Status(u16),
    /// Too large.
    #[error("is larger than {limit} bytes (MEDIA_MAX_BYTES)")]
    TooLarge {
        /// The most that is taken.
        limit: u64,
    },
    /// Too slow.
    #[error("did not come within {seconds} s")]
    TooSlow {
        /// The longest that is waited.
        seconds: u64,
    },
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Phones could not show it.
    #[error(
        "is {mime_type}, which cannot be sent as {kind}; mimeType overrides what its server says"
    )]
    Kind {
        /// What it is.
        mime_type: String,
        /// The message's type.
        kind: &'static str,
    },
    /// The path names no file that may be sent.
    #[error("{0}")]
    Path(&'static str),
    /// There is no such upload any more, or it is not whole.
    #[error("there is no such upload: it stays for a day after it was used last")]
    NoUpload,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MediaProblem {
    /// A stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPublic { .. } => "media_not_public",
            Self::Url(_) => "media_url",
            Self::Unreachable(_) => "media_unreachable",
            Self::Status(_) => "media_status",
            Self::TooLarge { .. } => "media_too_large",
            Self::TooSlow { .. } => "media_too_slow",
            Self::Empty => "media_empty",
            Self::Kind { .. } => "media_kind",
            Self::Path(_) => "media_path",
            Self::NoUpload => "media_no_upload",
            Self::Store(_) => "store",
        }
    }
}

/// Takes files in. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Accepting {
    store: Store,
    web: Web,
    limits: MediaLimits,
}

impl Accepting {
    /// Takes files into `store`. URLs are fetched over `tls`, and never by a proxy: it would resolve
    /// names by itself, past the check.
    ///
    /// # Errors
    /// The HTTP client cannot be made of `tls`.
    pub fn new(store: Store, tls: ClientConfig, limits: MediaLimits) -> Result<Self, String> {
        let permits = match limits.allow_private {
            true => |_| true,
            false => address::is_public,
        };
        let web = Web::new(tls, permits).map_err(|error| error.to_string())?;
        Ok(Self { store, web, limits })
    }

    /// The draft with its file in the store. One without a file, or with an upload, comes back as it
    /// is. Not checked here: [`Draft::check`]. If the call is dropped, nothing refers to what was
    /// written.
    ///
    /// # Errors
    /// [`MediaProblem`].
    pub async fn prepare(&self, mut draft: Draft) -> Result<Draft, MediaProblem> {
        let kind = draft.content.kind();
        if let Some(media) = draft.content.media_mut() {
            let upload = match &media.source {
                MediaSource::Upload(id) => self.known(id).await?,
                MediaSource::Url(url) => self.web.fetch(url, media, kind, self).await?,
                MediaSource::Path(path) => folder::read(path, media, kind, self).await?,
            };
            let mime_type = match &media.mime_type {
                Some(said) => said.clone(),
                None => kind::fitting(&upload.mime_type, kind)?,
            };
            *media = MediaRef {
                source: MediaSource::Upload(upload.id),
                mime_type: Some(mime_type),
            };
        }
        Ok(draft)
    }

    async fn known(&self, id: &UploadId) -> Result<Upload, MediaProblem> {
        let upload = self.store.use_upload(id).await?;
        upload.ok_or(MediaProblem::NoUpload)
    }

    /// Takes in what `body` brings, up to the limit. `mime_type` is what its sender says, if anything;
    /// else it is guessed from `name`.
    ///
    /// # Errors
    /// [`MediaProblem`]: `Unreachable` when the body breaks off.
    pub async fn take_in<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
        mime_type: Option<&str>,
        name: Option<&str>,
    ) -> Result<Upload, MediaProblem> {
        let limit = self.limits.max_bytes;
        let mut writer = self.store.begin_upload().await?;
        let mut body = std::pin::pin!(body);
        let outcome = async {
            while let Some(bytes) = body.next().await {
                let bytes = bytes.map_err(|error| MediaProblem::Unreachable(error.to_string()))?;
                if writer.size().saturating_add(bytes.len() as u64) > limit {
                    return Err(MediaProblem::TooLarge { limit });
                }
                writer.write(&bytes).await?;
            }
            if writer.size() == 0 {
                return Err(MediaProblem::Empty);
            }
            Ok(())
        };
        match outcome.await {
            Ok(()) => Ok(writer.finish(&kind::of(mime_type, name), name).await?),
            Err(problem) => {
                // It goes after a day anyway.
                let _ = writer.abandon().await;
                Err(problem)
            }
        }
    }
}

#[cfg(test)]
mod tests;
