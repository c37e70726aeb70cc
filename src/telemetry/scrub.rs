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
}
