//! A file on its way from the store to the media host.
//!
//! It is read piece by piece, encrypted into a temporary file, which thus never holds a readable byte,
//! and sent from there; memory does not grow with it. What the media host has is remembered for a while:
//! the same upload to many chats, or tried again, is sent up once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wacore::download::MediaType;
use wacore::upload::{EncryptedMediaInfo, MediaEncryptor, UploadSource};
use whatsapp_rust::Client;

use super::encode::SentFile;
use super::sound::OpusLength;
use crate::clock::Boot;
use crate::ids::UploadId;
use crate::outbound::delivery::Outcome;
use crate::outbound::message::{MediaSource, Outgoing};
use crate::store::{Store, Upload};

/// How long the media host is believed to have a file. It keeps them for weeks.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How many are remembered.
const MOST: usize = 256;

/// What the media host has, of one account. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Mutex<Known>>);

/// By upload and the message's type; with when it was sent up.
type Known = HashMap<(UploadId, &'static str), (Boot, SentFile)>;

impl Sent {
    fn known(&self, key: &(UploadId, &'static str)) -> Option<SentFile> {
        let now = Boot::now();
        let mut sent = self.lock();
        sent.retain(|_, (at, _)| now.since(*at) < REMEMBERED);
        sent.get(key).map(|(_, file)| file.clone())
    }

    fn note(&self, key: (UploadId, &'static str), file: SentFile) {
        let mut sent = self.lock();
        if sent.len() < MOST {
            sent.insert(key, (Boot::now(), file));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("no panic while it is held")
    }
}

/// Brings the file of `content` to the media host, if it has one. If it is dropped, nothing is kept.
///
/// # Errors
/// [`Outcome::Impossible`] when it is gone or is not a file in the store, [`Outcome::NotSent`] when
/// another attempt may do it.
pub(super) async fn bring(
    client: &Arc<Client>,
    store: &Store,
    sent: &Sent,
    content: &Outgoing,
) -> Result<Option<SentFile>, Outcome> {
    let (Some(media), Some(key_type)) = (content.media(), key_type(content)) else {
        return Ok(None);
    };
    let MediaSource::Upload(id) = &media.source else {
        return Err(never(
            "media_not_taken_in",
            "its file was not taken into the store",
        ));
    };
    let upload = store.use_upload(id).await.map_err(later_store)?;
    let upload = upload.ok_or_else(|| never("media_gone", "its file is no longer in the store"))?;
    let key = (id.clone(), content.kind());
    let file = match sent.known(&key) {
        Some(file) => file,
        None => {
            let file = send_up(client, store, &upload, key_type).await?;
            sent.note(key, file.clone());
            file
        }
    };
    Ok(Some(SentFile {
        mime_type: media.mime_type.clone().unwrap_or(upload.mime_type),
        name: upload.name,
        ..file
    }))
}

/// Each kind derives other keys from the same media key.
const fn key_type(content: &Outgoing) -> Option<MediaType> {
    Some(match content {
        Outgoing::Image { .. } => MediaType::Image,
        Outgoing::Video { .. } => MediaType::Video,
        Outgoing::Audio { .. } | Outgoing::Voice { .. } => MediaType::Audio,
        Outgoing::Document { .. } => MediaType::Document,
        Outgoing::Sticker { .. } => MediaType::Sticker,
        _ => return None,
    })
}

pub(super) fn never(code: &'static str, error: &str) -> Outcome {
    Outcome::Impossible {
        code,
        error: error.to_owned(),
    }
}

fn later(code: &'static str, error: impl std::fmt::Display) -> Outcome {
    Outcome::NotSent {
        code,
        error: error.to_string(),
    }
}

pub(super) fn later_store(error: crate::store::StoreError) -> Outcome {
    later("store", error)
}

async fn send_up(
    client: &Arc<Client>,
    store: &Store,
    upload: &Upload,
    key_type: MediaType,
) -> Result<SentFile, Outcome> {
    let (sealed, info, seconds) = seal(store, upload, key_type).await?;
    if info.file_length != upload.size || hex::encode(info.file_sha256) != upload.sha256 {
        return Err(never(
            "media_damaged",
            "its file in the store is not the one that was taken in",
        ));
    }
    let response = client.upload_stream(sealed, info, key_type).await;
    let response = response.map_err(|error| {
        // The chain may name the host and a token.
        let status = error.chain().find_map(|cause| {
            cause
                .downcast_ref::<whatsapp_rust::http::HttpStatusError>()
                .map(|error| error.status)
        });
        match status {
            Some(status) => later(
                "media_upload",
                format!("the media host answered with status {status}"),
            ),
            None => later("media_upload", "the media host did not take its file"),
        }
    })?;
    Ok(SentFile {
        url: response.url,
        direct_path: response.direct_path,
        media_key: response.media_key,
        sha256: response.file_sha256,
        enc_sha256: response.file_enc_sha256,
        size: response.file_length,
        key_made_s: response.media_key_timestamp,
        sidecar: response.streaming_sidecar,
        seconds,
        ..SentFile::default()
    })
}

/// The encrypted file, and how long its sound is.
async fn seal(
    store: &Store,
    upload: &Upload,
    key_type: MediaType,
) -> Result<(Sealed, EncryptedMediaInfo, Option<u32>), Outcome> {
    let disk = |error: io::Error| later("media_disk", format!("no temporary file: {error}"));
    let sidecar = matches!(key_type, MediaType::Audio | MediaType::Video);
    let encryptor = MediaEncryptor::new_with_sidecar(key_type, sidecar)
        .map_err(|error| later("media_seal", error))?;
    let file = tempfile::tempfile().map_err(disk)?;
    let mut work = Sealing {
        encryptor,
        file: BufWriter::new(file),
        length: OpusLength::default(),
    };
    for piece in 0.. {
        let bytes = store
            .upload_piece(&upload.id, piece)
            .await
            .map_err(later_store)?;
        let Some(bytes) = bytes else { break };
        work = blocking(move || work.add(&bytes)).await.map_err(disk)?;
    }
    blocking(move || work.finish()).await.map_err(disk)
}

struct Sealing {
    encryptor: MediaEncryptor,
    file: BufWriter<File>,
    length: OpusLength,
}

impl Sealing {
    fn add(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.length.hear(bytes);
        self.encryptor.update_to_writer(bytes, &mut self.file)?;
        Ok(self)
    }

    fn finish(mut self) -> io::Result<(Sealed, EncryptedMediaInfo, Option<u32>)> {
        let info = self.encryptor.finalize_to_writer(&mut self.file);
        let info = info.map_err(io::Error::other)?;
        self.file.flush()?;
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let sealed = Sealed {
            length: file.metadata()?.len(),
            file: Arc::new(file),
        };
        Ok((sealed, info, self.length.seconds()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The encrypted file, to be read from any place: an upload that broke off goes on where it was.
struct Sealed {
    file: Arc<File>,
    length: u64,
}

impl UploadSource for Sealed {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(ReadFrom {
            file: self.file.clone(),
            offset,
        }))
    }
}

/// Has a place of its own in the file.
struct ReadFrom {
    file: Arc<File>,
    offset: u64,
}

impl Read for ReadFrom {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}
