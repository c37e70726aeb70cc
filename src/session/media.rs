//! Getting the file behind a message: download, decrypt, check, and only then give it its name.
//!
//! A message's reference is written by its sender, so it is not trusted with anything: addresses
//! must be those of media hosts (or of this machine, when the chat server is there too), the
//! encrypted bytes must have the announced hash, authenticate under the message's key, and decrypt
//! to the announced hash and size. What fails any of it leaves no file.
//!
//! Keys: HKDF-SHA256 of the media key, AES-256-CBC, HMAC-SHA256 cut to ten bytes.

mod check;

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use url::Url;
use wacore::download::{DEFAULT_MEDIA_HOSTS, DownloadUtils, MediaType};
use wacore::net::HttpRequest;

use self::check::{CheckedReader, CheckedWriter, Digest, ReadFailure};
use super::endpoint::{Network, is_loopback, is_whatsapp};
use super::http::{HttpError, WebClient};
use crate::inbound::message::{Content, Media};

/// AES adds 1 to 16 bytes, and the authentication code 10.
const BLOCK_BYTES: u64 = 16;
const MAC_BYTES: u64 = 10;

/// What a file was sent as: each kind derives other keys from the same media key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A video, looping ones too.
    Video,
    /// Sound, voice notes too.
    Audio,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// The file of a message, if it has one. For an edit, that of the new content.
    pub fn of(content: &Content) -> Option<(Self, &Media)> {
        match content {
            Content::Image { media } => Some((Self::Image, media)),
            Content::Video { media, .. } => Some((Self::Video, media)),
            Content::Audio { media, .. } => Some((Self::Audio, media)),
            Content::Document { media } => Some((Self::Document, media)),
            Content::Sticker { media, .. } => Some((Self::Sticker, media)),
            Content::Edit { content, .. } => Self::of(content),
            Content::Text { .. }
            | Content::Location { .. }
            | Content::Contacts { .. }
            | Content::Poll { .. }
            | Content::PollVote { .. }
            | Content::ButtonReply { .. }
            | Content::ListReply { .. }
            | Content::Reaction { .. }
            | Content::Revoke { .. }
            | Content::Control { .. }
            | Content::Unsupported { .. } => None,
        }
    }

    fn key_type(self) -> MediaType {
        match self {
            Self::Image => MediaType::Image,
            Self::Video => MediaType::Video,
            Self::Audio => MediaType::Audio,
            Self::Document => MediaType::Document,
            Self::Sticker => MediaType::Sticker,
        }
    }
}

/// Why a file was not fetched. None of them leaves a file.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The message does not say enough to fetch it; nothing will help.
    #[error("the message's media reference is unusable: {0}")]
    Reference(&'static str),
    /// The media host has it no more. The sender's phone may upload it again when asked.
    #[error("the media host does not have the file any more (HTTP status {status})")]
    Expired {
        /// 404 or 410.
        status: u16,
    },
    /// The media host refuses for now.
    #[error("the media host refused the download with HTTP status {status}")]
    Refused {
        /// Its status.
        status: u16,
    },
    /// What came is not what was sent.
    #[error("the downloaded file is corrupt: {what}")]
    Corrupt {
        /// Which check failed.
        what: &'static str,
    },
    /// Worth another attempt.
    #[error("the download failed")]
    Network(#[source] HttpError),
    /// The file cannot be written.
    #[error("{path:?} cannot be written")]
    File {
        /// The file, or its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Downloads media. Needs no session.
#[derive(Clone, Debug)]
pub struct MediaStore {
    http: WebClient,
    loopback: bool,
}

impl MediaStore {
    /// Downloads over `http`, which was made from the same `network`.
    pub fn new(http: WebClient, network: &Network) -> Self {
        Self {
            http,
            loopback: network.ws_url().is_loopback(),
        }
    }

    /// Fetches the file into `target`, replacing what was there once everything is checked, and
    /// returns its size in bytes. If the call is cancelled, the download may still finish.
    ///
    /// # Errors
    /// See [`MediaError`]. Of several addresses, the last one's error counts, but a corrupt file
    /// ends the search.
    pub async fn download(
        &self,
        media: &Media,
        kind: MediaKind,
        target: &Path,
    ) -> Result<u64, MediaError> {
        let reference = Reference::parse(media, kind)?;
        let addresses = self.addresses(media)?;
        let (http, target) = (self.http.clone(), target.to_owned());
        let download = move || {
            let mut failure = MediaError::Reference("it names no media host");
            for address in addresses {
                match fetch(&http, address, &reference, &target) {
                    Err(
                        e @ (MediaError::Network(_)
                        | MediaError::Expired { .. }
                        | MediaError::Refused { .. }),
                    ) => failure = e,
                    decided => return decided,
                }
            }
            Err(failure)
        };
        match tokio::task::spawn_blocking(download).await {
            Ok(result) => result,
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            Err(_) => Err(MediaError::Network(HttpError::Abandoned)),
        }
    }

    /// Where the file may be, best first.
    fn addresses(&self, media: &Media) -> Result<Vec<Url>, MediaError> {
        let mut addresses = Vec::new();
        if let Some(url) = media.url.as_deref().and_then(|url| Url::parse(url).ok())
            && self.is_media_host(&url)
        {
            addresses.push(url);
        }
        // Anything but a path could change the host.
        if media.direct_path.starts_with('/') {
            for host in DEFAULT_MEDIA_HOSTS {
                let url = Url::parse(&format!("https://{host}{}", media.direct_path))
                    .map_err(|_| MediaError::Reference("its path is none"))?;
                if !self.loopback && !addresses.contains(&url) {
                    addresses.push(url);
                }
            }
        }
        if addresses.is_empty() {
            return Err(MediaError::Reference("it names no media host"));
        }
        Ok(addresses)
    }

    fn is_media_host(&self, url: &Url) -> bool {
        if self.loopback {
            return is_loopback(url);
        }
        // web.whatsapp.net stands in messages as a placeholder and serves no media.
        url.scheme() == "https" && is_whatsapp(url) && url.host_str() != Some("web.whatsapp.net")
    }
}

/// The checked parts of a message's reference.
struct Reference {
    media_key: Option<[u8; 32]>,
    key_type: MediaType,
    sha256: Option<Digest>,
    enc_sha256: Option<Digest>,
    size: Option<u64>,
}

impl Reference {
    fn parse(media: &Media, kind: MediaKind) -> Result<Self, MediaError> {
        let bytes = |text: &str, what| {
            if text.is_empty() {
                return Ok(None);
            }
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| MediaError::Reference(what))?;
            Ok(Some(bytes))
        };
        let reference = Self {
            media_key: bytes(&media.media_key, "its key is not 32 bytes in hex")?,
            key_type: kind.key_type(),
            sha256: bytes(&media.sha256, "its SHA-256 is not 32 bytes in hex")?,
            enc_sha256: bytes(
                &media.enc_sha256,
                "its encrypted SHA-256 is not 32 bytes in hex",
            )?,
            size: (media.size > 0).then_some(media.size),
        };
        // With a key the file authenticates itself; channels send plain files, which do not.
        if reference.media_key.is_none() && reference.sha256.is_none() {
            return Err(MediaError::Reference("it has neither key nor hash"));
        }
        Ok(reference)
    }

    /// How many bytes the server may send.
    fn transfer_limit(&self) -> u64 {
        match (self.size, self.media_key) {
            (Some(size), Some(_)) => size.saturating_add(BLOCK_BYTES + MAC_BYTES),
            (Some(size), None) => size,
            (None, _) => u64::MAX,
        }
    }
}

/// Blocking.
fn fetch(
    http: &WebClient,
    address: Url,
    reference: &Reference,
    target: &Path,
) -> Result<u64, MediaError> {
    let request = HttpRequest::get(address);
    let (status, body) = http.stream(&request).map_err(MediaError::Network)?;
    match status {
        200..=299 => {}
        404 | 410 => return Err(MediaError::Expired { status }),
        status => return Err(MediaError::Refused { status }),
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| MediaError::File { path, source }
    };
    // Removed when dropped, unless it gets its name. Readable by its owner only.
    let file = NamedTempFile::new_in(directory).map_err(file_error(directory))?;
    let mut source = CheckedReader::new(body, reference.transfer_limit());
    let mut sink = CheckedWriter::new(BufWriter::new(file));
    let opened = match &reference.media_key {
        Some(key) => {
            let key_type = reference.key_type;
            DownloadUtils::decrypt_stream_to_writer(&mut source, key, key_type, &mut sink).is_ok()
        }
        None => std::io::copy(&mut source, &mut sink).is_ok(),
    };
    let corrupt = |what| Err(MediaError::Corrupt { what });
    let (sink, size, sha256) = sink.finish().map_err(file_error(target))?;
    let transferred_sha256 = match source.finish() {
        Ok(digest) => digest,
        Err(ReadFailure::TooLong) => return corrupt("it is longer than announced"),
        Err(ReadFailure::Source(e)) => {
            let cause = e.downcast::<HttpError>();
            return Err(MediaError::Network(cause.unwrap_or(HttpError::Abandoned)));
        }
    };
    let announced = reference
        .enc_sha256
        .filter(|_| reference.media_key.is_some());
    if announced.is_some_and(|announced| transferred_sha256 != announced) {
        return corrupt("the encrypted file does not have the announced SHA-256");
    }
    if !opened {
        return corrupt("it does not authenticate under the message's key");
    }
    if reference
        .sha256
        .is_some_and(|announced| sha256 != announced)
    {
        return corrupt("it does not have the announced SHA-256");
    }
    if reference.size.is_some_and(|announced| size != announced) {
        return corrupt("it does not have the announced size");
    }
    let file = sink
        .into_inner()
        .map_err(|e| file_error(target)(e.into_error()))?;
    file.as_file().sync_all().map_err(file_error(target))?;
    file.persist(target)
        .map_err(|e| file_error(target)(e.error))?;
    Ok(size)
}

#[cfg(test)]
mod tests;
