//! What a file is, from what its server or its name says, and whether it fits the message.

use super::MediaProblem;

const UNKNOWN: &str = "application/octet-stream";
/// Phones play a voice note only under this name.
const OPUS: &str = "audio/ogg; codecs=opus";

/// The MIME type of a file: as said, unless that says nothing, else after its name.
pub(super) fn of(said: Option<&str>, name: Option<&str>) -> String {
    let telling = |said: &&str| {
        let plain = said.split(';').next().unwrap_or_default().trim();
        !matches!(plain, "" | UNKNOWN | "binary/octet-stream") && plain.contains('/')
    };
    if let Some(said) = said.map(str::trim).filter(telling) {
        return said.to_ascii_lowercase();
    }
    let ending = name.and_then(|name| name.rsplit_once('.'));
    let ending = ending.map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" | "m4v" => "video/mp4",
        "3gp" => "video/3gpp",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "amr" => "audio/amr",
        "wav" => "audio/wav",
        "ogg" | "oga" | "opus" => OPUS,
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "zip" => "application/zip",
        "doc" => "application/msword",
        "xls" => "application/vnd.ms-excel",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => UNKNOWN,
    }
    .to_owned()
}

/// The MIME type under which a file of `mime_type` goes out in a message of type `kind`. A type that
/// nobody told is taken for the usual one.
pub(super) fn fitting(mime_type: &str, kind: &'static str) -> Result<String, MediaProblem> {
    let plain = mime_type.split(';').next().unwrap_or_default().trim();
    let (family, usual) = match kind {
        "image" => ("image/", "image/jpeg"),
        "sticker" => ("image/", "image/webp"),
        "video" => ("video/", "video/mp4"),
        "audio" => ("audio/", "audio/mpeg"),
        "voice" => ("audio/", OPUS),
        _ => return Ok(mime_type.to_owned()),
    };
    match plain {
        UNKNOWN => Ok(usual.to_owned()),
        "audio/ogg" | "audio/opus" | "application/ogg" if family == "audio/" => Ok(OPUS.to_owned()),
        plain if plain.starts_with(family) => Ok(mime_type.to_owned()),
        plain => Err(MediaProblem::Kind {
            mime_type: plain.to_owned(),
            kind,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_unless_it_says_nothing() {
        assert_eq!(of(Some("Image/PNG"), Some("a.pdf")), "image/png");
        for nothing in [
            None,
            Some(""),
            Some("application/octet-stream"),
            Some("png"),
        ] {
            assert_eq!(of(nothing, Some("A.PDF")), "application/pdf");
            assert_eq!(of(nothing, Some("noending")), UNKNOWN);
        }
    }

    #[test]
    fn a_page_is_no_picture_and_an_ogg_file_is_a_voice_note() {
        let fits = |mime: &str, kind| fitting(mime, kind).ok();
        assert_eq!(fits("image/png", "image").as_deref(), Some("image/png"));
        assert_eq!(fits("text/html; charset=utf-8", "image"), None);
        assert_eq!(fits("image/png", "voice"), None);
        assert_eq!(fits("audio/ogg", "voice").as_deref(), Some(OPUS));
        assert_eq!(fits(UNKNOWN, "sticker").as_deref(), Some("image/webp"));
        assert_eq!(fits("text/html", "document").as_deref(), Some("text/html"));
    }
}
