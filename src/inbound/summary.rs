//! One line about a message's content, for logs and the demo. It never holds text, names, numbers
//! or places: only kinds and sizes.

use crate::inbound::message::{Content, Media};

/// For example `text (12 chars)` or `image image/jpeg 34 kB`.
pub fn summary(content: &Content) -> String {
    match content {
        Content::Text { body } => format!("text ({} chars)", body.chars().count()),
        Content::Image { media } => file("image", media),
        Content::Video { media, gif: true } => file("gif", media),
        Content::Video { media, gif: false } => file("video", media),
        Content::Audio { media, voice_note } => {
            file(if *voice_note { "voice note" } else { "audio" }, media)
        }
        Content::Document { media } => file("document", media),
        Content::Sticker { media, .. } => file("sticker", media),
        Content::Location { live: true, .. } => "live location".to_owned(),
        Content::Location { live: false, .. } => "location".to_owned(),
        Content::Contacts { cards } => format!("contacts ({})", cards.len()),
        Content::Poll { options, .. } => format!("poll ({} options)", options.len()),
        Content::PollVote { .. } => "poll vote".to_owned(),
        Content::ButtonReply { .. } => "button reply".to_owned(),
        Content::ListReply { .. } => "list reply".to_owned(),
        Content::Reaction { emoji: Some(_), .. } => "reaction".to_owned(),
        Content::Reaction { emoji: None, .. } => "reaction removed".to_owned(),
        Content::Edit { content, .. } => format!("edit to {}", summary(content)),
        Content::Revoke { .. } => "revoke".to_owned(),
        Content::Control { kind } => format!("control {kind}"),
        Content::Unsupported { kind } => format!("unsupported {kind}"),
    }
}

fn file(kind: &str, media: &Media) -> String {
    let mime = known_shape(&media.mime_type).unwrap_or("of unknown type");
    format!("{kind} {mime} {}", size(media.size))
}

/// The sender writes the type and could put anything there; a log shows it only when it looks like
/// one. Parameters such as `; codecs=opus` are left out.
fn known_shape(mime: &str) -> Option<&str> {
    let essence = mime.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
    };
    let (kind, name) = essence.split_once('/')?;
    (essence.len() <= 80 && token(kind) && token(name)).then_some(essence)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::message::Target;

    fn media(mime_type: &str, size: u64) -> Media {
        Media {
            mime_type: mime_type.to_owned(),
            size,
            caption: Some("secret caption".to_owned()),
            file_name: Some("secret.pdf".to_owned()),
            ..Media::default()
        }
    }

    #[test]
    fn a_summary_tells_kind_and_size_and_never_the_words() {
        let text = Content::Text {
            body: "grüße an alle".to_owned(),
        };
        assert_eq!(summary(&text), "text (13 chars)");
        let edit = Content::Edit {
            target: Target {
                message_id: "A".to_owned(),
                from_me: false,
                author: None,
            },
            content: Box::new(text),
        };
        assert_eq!(summary(&edit), "edit to text (13 chars)");
        let image = Content::Image {
            media: media("image/jpeg", 34_567),
        };
        assert_eq!(summary(&image), "image image/jpeg 34 kB");
        let note = Content::Audio {
            media: media("audio/ogg; codecs=opus", 999),
            voice_note: true,
        };
        assert_eq!(summary(&note), "voice note audio/ogg 999 B");
        let document = Content::Document {
            media: media("application/pdf", 2_340_000),
        };
        assert_eq!(summary(&document), "document application/pdf 2.3 MB");
    }

    #[test]
    fn a_mime_type_that_is_none_is_not_repeated() {
        for mime in [
            "",
            "call +49 151 2345678",
            "a/b/c",
            "image/",
            "x/\u{1b}[31m",
        ] {
            let image = Content::Image {
                media: media(mime, 1),
            };
            assert_eq!(summary(&image), "image of unknown type 1 B");
        }
    }
}
