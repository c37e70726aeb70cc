//! Media of messages: sealed with a key of their own, stored as ciphertext, named in the message.

use serde::{Deserialize, Serialize};
use wacore::download::{DownloadUtils, MediaType};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

use crate::media::{MediaStore, StoredMedia};

use super::PeopleError;

/// Which kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound file.
    Audio,
    /// A voice note.
    Voice,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    pub(crate) fn media_type(self) -> MediaType {
        match self {
            Self::Image => MediaType::Image,
            Self::Video => MediaType::Video,
            Self::Audio | Self::Voice => MediaType::Audio,
            Self::Document => MediaType::Document,
            Self::Sticker => MediaType::Sticker,
        }
    }
}

/// Media to send.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Which kind.
    pub kind: MediaKind,
    /// The file itself.
    pub bytes: Vec<u8>,
    /// Its mime type.
    pub mime_type: String,
    /// Its caption (image, video, document).
    pub caption: Option<String>,
    /// Its file name (document).
    pub file_name: Option<String>,
}

/// Media of a received message.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MediaReference {
    /// Which kind.
    pub kind: MediaKind,
    /// The mime type its sender claims.
    pub mime_type: String,
    /// Length of the file in bytes, as claimed.
    pub length: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Where its ciphertext is, below the media host.
    pub direct_path: String,
    #[serde(skip)]
    key: Vec<u8>,
}

impl std::fmt::Debug for MediaReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaReference")
            .field("kind", &self.kind)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl MediaReference {
    /// Fetches, opens and checks the file.
    ///
    /// # Errors
    /// [`PeopleError::Media`] when it is not stored, does not open or has another hash.
    pub fn open(&self, media: &MediaStore) -> Result<Vec<u8>, PeopleError> {
        let stored = media
            .get(&self.direct_path)
            .ok_or_else(|| PeopleError::Media("not stored".into()))?;
        let bytes = DownloadUtils::verify_and_decrypt(&stored, &self.key, self.kind.media_type())
            .map_err(|error| PeopleError::Media(error.to_string()))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        if hex::encode(digest) != self.sha256 {
            return Err(PeopleError::Media("SHA-256 of the file differs".into()));
        }
        Ok(bytes)
    }

    /// The reference inside a message, if it carries media.
    pub fn of(message: &wa::Message) -> Option<Self> {
        macro_rules! reference {
            ($field:ident, $kind:expr) => {
                if let Some(media) = message.$field.as_option() {
                    return Some(Self {
                        kind: $kind,
                        mime_type: media.mimetype.clone().unwrap_or_default(),
                        length: media.file_length.unwrap_or_default(),
                        sha256: hex::encode(media.file_sha256.as_deref().unwrap_or_default()),
                        direct_path: media.direct_path.clone().unwrap_or_default(),
                        key: media.media_key.clone().unwrap_or_default(),
                    });
                }
            };
        }
        reference!(image_message, MediaKind::Image);
        reference!(video_message, MediaKind::Video);
        reference!(document_message, MediaKind::Document);
        reference!(sticker_message, MediaKind::Sticker);
        let voice = message
            .audio_message
            .as_option()
            .and_then(|audio| audio.ptt)
            == Some(true);
        let kind = if voice {
            MediaKind::Voice
        } else {
            MediaKind::Audio
        };
        reference!(audio_message, kind);
        None
    }
}

/// Seals and stores the file and writes the message around it.
pub(super) fn build(
    attachment: &Attachment,
    media: &MediaStore,
) -> Result<wa::Message, PeopleError> {
    let sealed = wacore::upload::encrypt_media(&attachment.bytes, attachment.kind.media_type())
        .map_err(|error| PeopleError::Media(error.to_string()))?;
    let StoredMedia { url, direct_path } = media.put(sealed.data_to_upload);
    macro_rules! file {
        ($message:ident { $($extra:tt)* }) => {
            MessageField::some(message::$message {
                url: Some(url),
                direct_path: Some(direct_path),
                mimetype: Some(attachment.mime_type.clone()),
                media_key: Some(sealed.media_key.to_vec()),
                media_key_timestamp: Some(super::now_ms() / 1000),
                file_sha256: Some(sealed.file_sha256.to_vec()),
                file_enc_sha256: Some(sealed.file_enc_sha256.to_vec()),
                file_length: Some(attachment.bytes.len() as u64),
                $($extra)*
                ..Default::default()
            })
        };
    }
    let caption = attachment.caption.clone();
    let mut message = wa::Message::default();
    match attachment.kind {
        MediaKind::Image => {
            message.image_message = file!(ImageMessage {
                caption,
                width: Some(1),
                height: Some(1),
            });
        }
        MediaKind::Video => {
            message.video_message = file!(VideoMessage {
                caption,
                seconds: Some(1),
            });
        }
        MediaKind::Audio | MediaKind::Voice => {
            let ptt = Some(attachment.kind == MediaKind::Voice);
            message.audio_message = file!(AudioMessage {
                ptt,
                seconds: Some(1),
            });
        }
        MediaKind::Document => {
            let file_name = attachment.file_name.clone();
            let title = file_name.clone();
            message.document_message = file!(DocumentMessage {
                caption,
                file_name,
                title,
            });
        }
        MediaKind::Sticker => {
            message.sticker_message = file!(StickerMessage {});
        }
    }
    Ok(message)
}
