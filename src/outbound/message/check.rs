//! What is refused at the door, with the field and the limit named.

use super::{Card, Draft, MediaRef, MediaSource, Outgoing, QuoteRef, Recipient};
use crate::ids::Phone;
use crate::inbound::message::Target;

/// WhatsApp's limit for a text.
pub const TEXT_CHARS: usize = 65_536;
/// What phones take beneath a file.
pub const CAPTION_CHARS: usize = 1_024;
/// Names, addresses, a poll's question.
const LINE_CHARS: usize = 255;
const OPTION_CHARS: usize = 100;
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
const CARDS: std::ops::RangeInclusive<usize> = 1..=100;
const VCARD_BYTES: usize = 64 << 10;
const MENTIONS: usize = 1_024;
/// The longest emoji, families and flags, have about ten code points.
const EMOJI_CHARS: usize = 16;
const ID_BYTES: usize = 128;
const TYPING_MS: u32 = 60_000;

/// Why a message cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// The field, as a path: `content.body`, `mentions[1]`.
    pub field: String,
    /// In words, with the limit; never what the field holds.
    pub why: String,
}

type Check = Result<(), Invalid>;

fn invalid(field: impl Into<String>, why: impl Into<String>) -> Check {
    Err(Invalid {
        field: field.into(),
        why: why.into(),
    })
}

impl Draft {
    /// Whether it can be sent. Reads nothing but the message: whether its media and its recipient
    /// exist is found out elsewhere.
    ///
    /// # Errors
    /// The first field that is not right.
    pub fn check(&self) -> Check {
        self.content.check()?;
        if let Some(quote) = &self.quote {
            if self.content.is_act() {
                return invalid(
                    "quote",
                    format!("a message of type {} takes none", self.content.kind()),
                );
            }
            quote.check()?;
        }
        if !self.mentions.is_empty() && self.content.words().is_none() {
            return invalid("mentions", "there is no text in which they could stand");
        }
        if self.mentions.len() > MENTIONS {
            return invalid("mentions", format!("at most {MENTIONS}"));
        }
        for (index, mention) in self.mentions.iter().enumerate() {
            person(mention, || format!("mentions[{index}]"))?;
        }
        match self.typing_ms {
            Some(ms) if ms > TYPING_MS => invalid("typingMs", format!("at most {TYPING_MS}")),
            _ => Ok(()),
        }
    }
}

impl QuoteRef {
    fn check(&self) -> Check {
        message_id("quote.messageId", &self.message_id)?;
        if let Some(author) = &self.author {
            person(author, || "quote.author".to_owned())?;
        }
        match &self.text {
            Some(text) => longest("quote.text", text, TEXT_CHARS),
            None => Ok(()),
        }
    }
}

impl Outgoing {
    fn check(&self) -> Check {
        match self {
            Self::Text { body } => words("content.body", body, TEXT_CHARS),
            Self::Reaction { target, emoji } => {
                target_of(target)?;
                emoji.as_deref().map_or(Ok(()), one_emoji)
            }
            Self::Edit {
                message_id: id,
                body,
            } => {
                message_id("content.messageId", id)?;
                words("content.body", body, TEXT_CHARS)
            }
            Self::Revoke { target } => target_of(target),
            Self::Image { media, caption } | Self::Video { media, caption } => {
                file(media)?;
                optional("content.caption", caption.as_deref(), CAPTION_CHARS)
            }
            Self::Audio { media } | Self::Voice { media } | Self::Sticker { media } => file(media),
            Self::Document {
                media,
                caption,
                file_name,
            } => {
                file(media)?;
                optional("content.caption", caption.as_deref(), CAPTION_CHARS)?;
                optional("content.fileName", file_name.as_deref(), LINE_CHARS)
            }
            Self::Location {
                latitude,
                longitude,
                name,
                address,
            } => {
                degrees("content.latitude", *latitude, 90.0)?;
                degrees("content.longitude", *longitude, 180.0)?;
                optional("content.name", name.as_deref(), LINE_CHARS)?;
                optional("content.address", address.as_deref(), LINE_CHARS)
            }
            Self::Contacts { cards } => {
                count("content.cards", cards.len(), CARDS)?;
                cards
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, card)| card.check(index))
            }
            Self::Poll {
                question,
                options,
                selectable,
            } => poll(question, options, *selectable),
        }
    }
}

impl Card {
    fn check(&self, index: usize) -> Check {
        let field = |name: &str| format!("content.cards[{index}].{name}");
        words(&field("name"), &self.name, LINE_CHARS)?;
        match (&self.phone, &self.vcard) {
            (Some(phone), None) if Phone::parse(phone).is_some() => Ok(()),
            (Some(_), None) => invalid(
                field("phone"),
                "not a phone number with country code (7 to 15 digits)",
            ),
            (None, Some(vcard)) if vcard.len() > VCARD_BYTES => {
                invalid(field("vcard"), format!("at most {VCARD_BYTES} bytes"))
            }
            (None, Some(vcard)) if vcard.trim_start().starts_with("BEGIN:VCARD") => Ok(()),
            (None, Some(_)) => invalid(field("vcard"), "a vCard starts with BEGIN:VCARD"),
            _ => invalid(
                format!("content.cards[{index}]"),
                "takes exactly one of phone and vcard",
            ),
        }
    }
}

fn poll(question: &str, options: &[String], selectable: u32) -> Check {
    words("content.question", question, LINE_CHARS)?;
    count("content.options", options.len(), OPTIONS)?;
    for (index, option) in options.iter().enumerate() {
        let field = format!("content.options[{index}]");
        words(&field, option, OPTION_CHARS)?;
        // Votes name an option by its hash.
        if options[..index].contains(option) {
            return invalid(field, "stands there twice");
        }
    }
    if selectable as usize > options.len() {
        return invalid(
            "content.selectable",
            "more than there are options; 0 means any number",
        );
    }
    Ok(())
}

fn target_of(target: &Target) -> Check {
    message_id("content.target.messageId", &target.message_id)?;
    match &target.author {
        Some(author) => match author.as_str().parse() {
            Ok(author) => person(&author, || "content.target.author".to_owned()),
            Err(_) => invalid("content.target.author", "not the address of a person"),
        },
        None => Ok(()),
    }
}

fn person(recipient: &Recipient, field: impl Fn() -> String) -> Check {
    match recipient.jid() {
        Some(jid) if jid.server() != "g.us" => Ok(()),
        _ => invalid(field(), "not the number or address of a person"),
    }
}

fn message_id(field: &str, id: &str) -> Check {
    if id.is_empty() || id.len() > ID_BYTES || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return invalid(
            field,
            format!("not a message id: 1 to {ID_BYTES} characters of ASCII"),
        );
    }
    Ok(())
}

fn one_emoji(emoji: &str) -> Check {
    if emoji.is_empty() {
        return invalid(
            "content.emoji",
            "empty: leave it out to take the reaction off",
        );
    }
    let textual = |c: char| c.is_alphabetic() || c.is_whitespace() || c.is_control();
    if emoji.chars().count() > EMOJI_CHARS || emoji.chars().any(textual) {
        return invalid("content.emoji", "not one emoji");
    }
    Ok(())
}

fn file(media: &MediaRef) -> Check {
    match &media.source {
        MediaSource::Url(url) => match url::Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return invalid("content.media.url", "not an http:// or https:// URL"),
        },
        MediaSource::Path(path) if path.is_empty() => {
            return invalid("content.media.path", "is empty");
        }
        MediaSource::Path(_) | MediaSource::Upload(_) => {}
    }
    let Some(mime) = &media.mime_type else {
        return Ok(());
    };
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let named = mime.split(';').next().and_then(|name| name.split_once('/'));
    let known = named.is_some_and(|(kind, form)| plain(kind) && plain(form));
    if !known || mime.len() > LINE_CHARS || mime.chars().any(char::is_control) {
        return invalid("content.media.mimeType", "not a MIME type");
    }
    Ok(())
}

fn words(field: &str, text: &str, limit: usize) -> Check {
    if text.trim().is_empty() {
        return invalid(field, "is empty");
    }
    longest(field, text, limit)
}

fn optional(field: &str, text: Option<&str>, limit: usize) -> Check {
    text.map_or(Ok(()), |text| longest(field, text, limit))
}

fn longest(field: &str, text: &str, limit: usize) -> Check {
    let chars = text.chars().count();
    if chars > limit {
        return invalid(field, format!("{chars} characters; the limit is {limit}"));
    }
    // PostgreSQL keeps no such text.
    if text.contains('\0') {
        return invalid(field, "holds a NUL character");
    }
    Ok(())
}

fn count(field: &str, n: usize, allowed: std::ops::RangeInclusive<usize>) -> Check {
    if allowed.contains(&n) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    invalid(field, format!("{n} of them; {least} to {most} are allowed"))
}

fn degrees(field: &str, value: f64, limit: f64) -> Check {
    if value.is_finite() && value.abs() <= limit {
        return Ok(());
    }
    invalid(field, format!("not within -{limit} and {limit} degrees"))
}
