//! Signatures of Standard Webhooks (specification 1.0.0): HMAC-SHA256 over `id.timestamp.body`, as
//! `v1,<base64>` in the header `webhook-signature`, several separated by spaces while a secret is
//! changed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use ring::hmac;
use zeroize::Zeroizing;

/// The message's id: the same for each attempt to deliver it.
pub const ID: &str = "webhook-id";
/// Unix seconds of the attempt.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// One signature or several.
pub const SIGNATURE: &str = "webhook-signature";

/// How far the timestamp may be from our clock.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

const PREFIX: &str = "whsec_";

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;

/// What both sides know. Prints as nothing.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    key: hmac::Key,
}

/// Why a text is no secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// Too easy to guess.
    #[error("a secret has at least {SHORTEST} characters")]
    Short,
    /// It begins as a key in base64 does, and is none.
    #[error("behind whsec_ stands base64 of at least {SHORTEST} bytes")]
    Encoding,
}

impl Secret {
    /// `whsec_` and base64 is a key as Standard Webhooks writes it; any other text is its own key.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let key = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .ok()
                .filter(|key| key.len() >= SHORTEST)
                .ok_or(SecretError::Encoding)?,
            None if text.len() < SHORTEST => return Err(SecretError::Short),
            None => text.as_bytes().to_vec(),
        };
        let key = Zeroizing::new(key);
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// 256 random bits.
    pub fn random() -> Self {
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::rng().random());
        let text = format!("{PREFIX}{}", STANDARD.encode(*key));
        Self {
            text: Zeroizing::new(text),
            key: hmac::Key::new(hmac::HMAC_SHA256, &*key),
        }
    }

    /// As it was parsed. For the store and for who made it, never for a log.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether `text` is this secret, in a time that tells nothing of either.
    pub fn is(&self, text: &[u8]) -> bool {
        let ours = hmac::sign(&self.key, self.text.as_bytes());
        hmac::verify(&self.key, text, ours.as_ref()).is_ok()
    }

    /// The signature of one message, with its version.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let tag = hmac::sign(&self.key, &signed_bytes(id, timestamp, body));
        format!("v1,{}", STANDARD.encode(tag))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.text.as_bytes())
    }
}

impl Eq for Secret {}

/// The three headers of a signed message.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// [`ID`].
    pub id: &'a str,
    /// [`TIMESTAMP`].
    pub timestamp: &'a str,
    /// [`SIGNATURE`].
    pub signatures: &'a str,
}

/// Why a signed message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It may be a copy of an old one, or a clock is wrong.
    #[error(
        "the header webhook-timestamp is {seconds} s from this clock, and {TOLERANCE_SECONDS} s are allowed: sign each request anew, and set the clocks right"
    )]
    Stale {
        /// Its distance.
        seconds: i64,
    },
    /// No number.
    #[error("the header webhook-timestamp is no number of seconds since 1970")]
    Timestamp,
    /// Made with another secret, or of another message.
    #[error("none of the signatures in the header webhook-signature fits this body and a secret")]
    Wrong,
}

impl Signed<'_> {
    /// Whether one of `secrets` signed `body` a short while before `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`Unverified`].
    pub fn verify(self, secrets: &[Secret], body: &[u8], now: i64) -> Result<(), Unverified> {
        let timestamp: i64 = self.timestamp.parse().map_err(|_| Unverified::Timestamp)?;
        let seconds = now.saturating_sub(timestamp).saturating_abs();
        if seconds > TOLERANCE_SECONDS {
            return Err(Unverified::Stale { seconds });
        }
        let bytes = signed_bytes(self.id, timestamp, body);
        let fits = self
            .signatures
            .split_ascii_whitespace()
            .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
            .any(|tag| {
                secrets
                    .iter()
                    .any(|secret| hmac::verify(&secret.key, &bytes, &tag).is_ok())
            });
        if fits { Ok(()) } else { Err(Unverified::Wrong) }
    }
}

fn signed_bytes(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{id}.{timestamp}.").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).expect("a secret")
    }

    fn verify(secrets: &[Secret], signatures: &str, now: i64) -> Result<(), Unverified> {
        let signed = Signed {
            id: ID,
            timestamp: "1614265330",
            signatures,
        };
        signed.verify(secrets, BODY, now)
    }

    /// The example of the specification's own test suites.
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signatures_are_those_of_the_specification() {
        assert_eq!(secret(SECRET).sign(ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn one_fitting_signature_and_one_fitting_secret_suffice() {
        let other = Secret::random();
        let both = [other.clone(), secret(SECRET)];
        let signatures = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        assert_eq!(verify(&both, &signatures, TIMESTAMP), Ok(()));
        assert_eq!(
            verify(&[other], &signatures, TIMESTAMP),
            Err(Unverified::Wrong)
        );
        assert_eq!(verify(&[], SIGNATURE, TIMESTAMP), Err(Unverified::Wrong));
        assert_eq!(verify(&both, "v1,AAAA", TIMESTAMP), Err(Unverified::Wrong));
    }

    #[test]
    fn five_minutes_are_near_enough_and_a_second_more_is_not() {
        let secrets = [secret(SECRET)];
        for (away, expected) in [
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(Unverified::Stale { seconds: 301 })),
            (-301, Err(Unverified::Stale { seconds: 301 })),
        ] {
            assert_eq!(verify(&secrets, SIGNATURE, TIMESTAMP + away), expected);
        }
    }

    #[test]
    fn a_secret_is_compared_whole_and_prints_as_nothing() {
        let known = secret("0123456789abcdef");
        assert!(known.is(b"0123456789abcdef"));
        assert!(!known.is(b"0123456789abcde") && !known.is(b"0123456789abcdeff"));
        assert_eq!(format!("{known:?}"), "Secret(…)");
        assert_eq!(Secret::parse("short"), Err(SecretError::Short));
        assert_eq!(Secret::parse("whsec_c2hvcnQ="), Err(SecretError::Encoding));
        let made = Secret::random();
        assert_eq!(Secret::parse(made.reveal()), Ok(made));
    }
}
