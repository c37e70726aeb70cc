//! Takes phone numbers and addresses out of lines that were written by libraries.
//!
//! Our own types print themselves masked. whatsapp-rust's lines do not: they name raw JIDs. So every
//! line passes here before it reaches a sink: the user part of anything that looks like an address
//! is masked, and in lines of the protocol libraries every long run of digits too.

use std::borrow::Cow;

use crate::ids::mask;

/// A phone number has at least so many digits.
const LONG: usize = 7;

/// Masks the user part of each `user@server` with a numeric user; with `strict`, every run of seven
/// and more digits.
pub fn scrub(line: &str, strict: bool) -> Cow<'_, str> {
    if strict && holds_names(line) {
        return Cow::Owned(scrub_numbers(&without_names(line), strict).into_owned());
    }
    scrub_numbers(line, strict)
}

/// What stands before a name that a person or a group gave itself, and what ends it.
const NAMED: [(&str, char); 4] = [
    ("verified business name: ", '\n'),
    ("notify=\"", '"'),
    ("subject=\"", '"'),
    (" name=\"", '"'),
];
/// Behind these, names are in apostrophes, and may hold some: everything up to the last goes.
const QUOTED: [&str; 3] = ["PushName", "push_name", "push name"];

fn holds_names(line: &str) -> bool {
    let named = NAMED.iter().map(|(mark, _)| mark);
    named.chain(&QUOTED).any(|mark| line.contains(mark))
}

fn without_names(line: &str) -> String {
    let mut line = line.to_owned();
    for (mark, end) in NAMED {
        let mut from = 0;
        while let Some(at) = line[from..].find(mark) {
            let start = from + at + mark.len();
            let length = line[start..].find(end).unwrap_or(line.len() - start);
            line.replace_range(start..start + length, "…");
            from = start;
        }
    }
    let firsts = QUOTED.iter().filter_map(|mark| {
        let behind = line.find(mark)? + mark.len();
        Some(behind + line[behind..].find('\'')? + 1)
    });
    if let (Some(first), Some(last)) = (firsts.min(), line.rfind('\'')) {
        line.replace_range(first..last.max(first), "…");
    }
    line
}

fn scrub_numbers(line: &str, strict: bool) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        let inside_word = start > 0 && bytes[start - 1].is_ascii_alphabetic();
        if at - start >= LONG && ((strict && !inside_word) || is_user_part(&bytes[at..])) {
            let out = out.get_or_insert_with(|| String::with_capacity(line.len()));
            out.push_str(&line[copied..start]);
            out.push_str(&mask(&line[start..at]));
            copied = at;
        }
    }
    match out {
        None => Cow::Borrowed(line),
        Some(mut out) => {
            out.push_str(&line[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Whether what follows the digits makes them an address: `@`, or `:device@`, `_agent@`, `.agent:`.
fn is_user_part(rest: &[u8]) -> bool {
    let device = rest
        .iter()
        .take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'_' | b'.' | b'-'))
        .count();
    rest.get(device) == Some(&b'@')
}

/// Whether lines of this target show credentials or whole frames: linking codes, stanzas, bytes.
/// Nobody gets them, whatever `RUST_LOG` says.
pub fn tells_too_much(target: &str, level: tracing::Level) -> bool {
    const NAMES: [&str; 6] = [
        "Client/PairCode",
        "Bot/PairCode",
        "Client/Recv",
        "Client/Send",
        "tungstenite",
        "tokio_tungstenite",
    ];
    level > tracing::Level::WARN && NAMES.iter().any(|name| target.starts_with(name))
}

/// Whether lines of this `tracing` target come from the protocol libraries.
pub fn is_protocol_library(target: &str) -> bool {
    !target.starts_with("whatsapp_worker")
        && !target.starts_with("auth_store")
        && !target.starts_with("sqlx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_in_every_line() {
        assert_eq!(
            scrub(
                "from 4915112345678:12@s.whatsapp.net in 120363021033254949-1@g.us at 1700000000000",
                false
            ),
            "from …78:12@s.whatsapp.net in …49-1@g.us at 1700000000000"
        );
        assert!(matches!(
            scrub("nothing to hide: 42", true),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn lines_of_protocol_libraries_lose_bare_numbers_too() {
        assert_eq!(
            scrub("user 100000012345678.0:5 id 3EB0123456789A", true),
            "user …78.0:5 id 3EB0123456789A"
        );
    }

    /// As whatsapp-rust 0.7 writes them.
    #[test]
    fn names_that_people_gave_themselves_are_taken_out() {
        for (line, clean) in [
            (
                "PersistenceManager: Loaded existing device data (PushName: 'O'Hara'). Initializing Device.",
                "PersistenceManager: Loaded existing device data (PushName: '…'). Initializing Device.",
            ),
            (
                "send_presence called with push_name: 'Anna'",
                "send_presence called with push_name: '…'",
            ),
            (
                "Updating push name from 'Anna' -> 'Anna B'",
                "Updating push name from '…'",
            ),
            (
                "Persisting push name from app state mutation: 'Anna' (old='Ann')",
                "Persisting push name from app state mutation: '…')",
            ),
            (
                "Sent presence after push name update.",
                "Sent presence after push name update.",
            ),
            (
                "Updating own push name from history sync to 'Anna'",
                "Updating own push name from history sync to '…'",
            ),
            (
                "Contact 4915112345678@s.whatsapp.net verified business name: Anna's",
                "Contact …78@s.whatsapp.net verified business name: …",
            ),
            (
                r#"Sending presence stanza: <presence type="available" name="Anna"/>"#,
                r#"Sending presence stanza: <presence type="available" name="…"/>"#,
            ),
            (
                r#"<message notify="Bob" id="1"/> <group subject="Team"/>"#,
                r#"<message notify="…" id="1"/> <group subject="…"/>"#,
            ),
        ] {
            assert_eq!(scrub(line, true), clean);
        }
    }

    #[test]
    fn codes_and_frames_are_shown_to_nobody() {
        use tracing::Level;
        assert!(tells_too_much("Client/PairCode", Level::INFO));
        assert!(tells_too_much("tungstenite::protocol", Level::TRACE));
        assert!(!tells_too_much("Client/PairCode", Level::WARN));
        assert!(!tells_too_much("whatsapp_worker::app", Level::DEBUG));
    }
}
