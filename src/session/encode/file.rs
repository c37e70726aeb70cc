//! Messages with a file: the file lies encrypted on the media host, the message says where and with
//! which key.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

/// A file on the media host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentFile {
    /// Whole URL.
    pub url: String,
    /// Path on whichever media host.
    pub direct_path: String,
    /// What opens it.
    pub media_key: [u8; 32],
    /// SHA-256 of the plain file.
    pub sha256: [u8; 32],
    /// SHA-256 of the encrypted file.
    pub enc_sha256: [u8; 32],
    /// Bytes of the plain file.
    pub size: u64,
    /// When the key was made, Unix time in seconds.
    pub key_made_s: i64,
    /// Lets sound and video be played before they are loaded whole.
    pub sidecar: Option<Vec<u8>>,
    /// MIME type.
    pub mime_type: String,
    /// The name it came with.
    pub name: Option<String>,
    /// Length of sound, where it is known.
    pub seconds: Option<u32>,
}

/// The fields that every kind of file has under the same names.
macro_rules! file {
    ($kind:ident, $file:expr, $context:expr, { $($field:ident: $value:expr),* $(,)? }) => {
        MessageField::some(message::$kind {
            url: Some($file.url.clone()),
            direct_path: Some($file.direct_path.clone()),
            media_key: Some($file.media_key.to_vec()),
            file_sha256: Some($file.sha256.to_vec()),
            file_enc_sha256: Some($file.enc_sha256.to_vec()),
            file_length: Some($file.size),
            media_key_timestamp: Some($file.key_made_s),
            mimetype: Some($file.mime_type.clone()),
            context_info: $context.into(),
            $($field: $value,)*
            ..Default::default()
        })
    };
}

type Context = Option<wa::ContextInfo>;

impl SentFile {
    pub(super) fn image(&self, caption: Option<String>, context: Context) -> wa::Message {
        wa::Message {
            image_message: file!(ImageMessage, self, context, { caption: caption }),
            ..Default::default()
        }
    }

    pub(super) fn video(&self, caption: Option<String>, context: Context) -> wa::Message {
        wa::Message {
            video_message: file!(VideoMessage, self, context, {
                caption: caption,
                seconds: self.seconds,
                streaming_sidecar: self.sidecar.clone(),
            }),
            ..Default::default()
        }
    }

    pub(super) fn audio(&self, voice_note: bool, context: Context) -> wa::Message {
        wa::Message {
            audio_message: file!(AudioMessage, self, context, {
                ptt: Some(voice_note),
                seconds: self.seconds,
                streaming_sidecar: self.sidecar.clone(),
            }),
            ..Default::default()
        }
    }

    pub(super) fn sticker(&self, context: Context) -> wa::Message {
        wa::Message {
            sticker_message: file!(StickerMessage, self, context, {}),
            ..Default::default()
        }
    }

    pub(super) fn document(
        &self,
        caption: Option<String>,
        name: Option<&str>,
        context: Context,
    ) -> wa::Message {
        let name = name.or(self.name.as_deref()).unwrap_or("file");
        let captioned = caption.is_some();
        let document = wa::Message {
            document_message: file!(DocumentMessage, self, context, {
                caption: caption,
                file_name: Some(name.to_owned()),
                title: Some(name.to_owned()),
            }),
            ..Default::default()
        };
        if !captioned {
            return document;
        }
        wa::Message {
            document_with_caption_message: MessageField::some(message::FutureProofMessage {
                message: MessageField::some(document),
            }),
            ..Default::default()
        }
    }
}
