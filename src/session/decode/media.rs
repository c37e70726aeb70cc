//! Files: the reference by which they are fetched, opened and checked.

use waproto::whatsapp as wa;

use super::body::Body;
use crate::inbound::message::{Content, Media};

/// The fields that every kind of file has under the same names.
macro_rules! reference {
    ($file:expr) => {
        Media {
            mime_type: $file.mimetype.clone().unwrap_or_default(),
            size: $file.file_length.unwrap_or_default(),
            sha256: hexed(&$file.file_sha256),
            enc_sha256: hexed(&$file.file_enc_sha256),
            media_key: hexed(&$file.media_key),
            direct_path: $file.direct_path.clone().unwrap_or_default(),
            url: filled(&$file.url),
            ..Media::default()
        }
    };
}

/// Reads whichever file the message carries.
pub(super) fn read(message: &wa::Message) -> Option<Body<'_>> {
    if let Some(image) = message.image_message.as_option() {
        return Some(read_image(image));
    }
    if let Some(video) = message.video_message.as_option() {
        return Some(read_video(video));
    }
    // A video note: round, but otherwise a video.
    if let Some(video) = message.ptv_message.as_option() {
        return Some(read_video(video));
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(read_audio(audio));
    }
    if let Some(document) = message.document_message.as_option() {
        return Some(read_document(document));
    }
    message.sticker_message.as_option().map(read_sticker)
}

fn read_image(image: &wa::message::ImageMessage) -> Body<'_> {
    let media = Media {
        caption: filled(&image.caption),
        width: image.width,
        height: image.height,
        ..reference!(image)
    };
    Body {
        content: Content::Image { media },
        context: image.context_info.as_option(),
        view_once: image.view_once.unwrap_or(false),
    }
}

fn read_video(video: &wa::message::VideoMessage) -> Body<'_> {
    let media = Media {
        caption: filled(&video.caption),
        duration_seconds: video.seconds,
        width: video.width,
        height: video.height,
        ..reference!(video)
    };
    Body {
        content: Content::Video {
            media,
            gif: video.gif_playback.unwrap_or(false),
        },
        context: video.context_info.as_option(),
        view_once: video.view_once.unwrap_or(false),
    }
}

fn read_audio(audio: &wa::message::AudioMessage) -> Body<'_> {
    let media = Media {
        duration_seconds: audio.seconds,
        ..reference!(audio)
    };
    Body {
        content: Content::Audio {
            media,
            voice_note: audio.ptt.unwrap_or(false),
        },
        context: audio.context_info.as_option(),
        view_once: audio.view_once.unwrap_or(false),
    }
}

fn read_document(document: &wa::message::DocumentMessage) -> Body<'_> {
    let media = Media {
        caption: filled(&document.caption),
        file_name: filled(&document.file_name).or_else(|| filled(&document.title)),
        ..reference!(document)
    };
    Body {
        content: Content::Document { media },
        context: document.context_info.as_option(),
        view_once: false,
    }
}

fn read_sticker(sticker: &wa::message::StickerMessage) -> Body<'_> {
    let media = Media {
        width: sticker.width,
        height: sticker.height,
        ..reference!(sticker)
    };
    Body {
        content: Content::Sticker {
            media,
            animated: sticker.is_animated.unwrap_or(false) || sticker.is_lottie.unwrap_or(false),
        },
        context: sticker.context_info.as_option(),
        view_once: false,
    }
}

fn hexed(bytes: &Option<Vec<u8>>) -> String {
    bytes.as_deref().map(hex::encode).unwrap_or_default()
}

/// Senders write an absent text as an empty one, too.
pub(super) fn filled(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}
