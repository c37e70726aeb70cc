//! Webhooks in a file, for those who keep their settings in files.
//!
//! ```toml
//! [[webhook]]
//! name = "support"
//! url = "https://agent.example.com/whatsapp"
//! secrets = ["whsec_…"]       # the new one first while it is changed
//! accounts = ["shop"]         # optional, as the rest
//! timeout_ms = 30000
//! concurrency = 4
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::signature::Secret;
use super::{DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT, HookUrl, Invalid, Target, Webhook, check_name};
use crate::ids::AccountId;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is not what it should be. The parser's own text would show the line, and secrets with it.
    #[error("line {line}: {message}")]
    Toml {
        /// From 1.
        line: usize,
        /// In words.
        message: String,
    },
    /// One webhook cannot be used.
    #[error("webhook {name:?}: {invalid}")]
    Webhook {
        /// Its name.
        name: String,
        /// What is wrong.
        invalid: Invalid,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhook: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: HookUrl,
    secrets: toml::Value,
    accounts: Option<Vec<AccountId>>,
    timeout_ms: Option<u64>,
    concurrency: Option<u32>,
}

/// Reads the webhooks of `path`.
///
/// # Errors
/// [`FileError`].
pub fn read_file(path: &Path) -> Result<Vec<Webhook>, FileError> {
    parse(&std::fs::read_to_string(path)?)
}

fn parse(text: &str) -> Result<Vec<Webhook>, FileError> {
    let file: File = toml::from_str(text).map_err(|error| FileError::Toml {
        line: error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1),
        message: error.message().to_owned(),
    })?;
    let mut names = BTreeSet::new();
    file.webhook
        .into_iter()
        .map(|entry| {
            let name = entry.name.clone();
            let twice = !names.insert(name.clone());
            let webhook = if twice {
                let why = "another one has it already".to_owned();
                Err(Invalid { field: "name", why })
            } else {
                entry.into_webhook()
            };
            webhook.map_err(|invalid| FileError::Webhook { name, invalid })
        })
        .collect()
}

impl Entry {
    fn into_webhook(self) -> Result<Webhook, Invalid> {
        check_name(&self.name)?;
        let wrong = |why: String| Invalid {
            field: "secrets",
            why,
        };
        let secrets = match self.secrets.as_array().map(Vec::as_slice) {
            Some(list @ ([_] | [_, _])) => list,
            _ => {
                return Err(wrong(
                    "write a list of one, or of two while it is changed".to_owned(),
                ));
            }
        };
        let secrets = secrets
            .iter()
            .map(|text| Secret::parse(text.as_str().unwrap_or_default()))
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(error.to_string()))?;
        let target = Target {
            url: self.url,
            accounts: self.accounts,
            timeout_ms: self
                .timeout_ms
                .unwrap_or(u64::try_from(DEFAULT_TIMEOUT.as_millis()).unwrap_or(u64::MAX)),
            concurrency: self.concurrency.unwrap_or(DEFAULT_CONCURRENCY),
            enabled: true,
        };
        target.check()?;
        Ok(Webhook {
            name: self.name,
            target,
            secrets,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[webhook]]
        name = "support"
        url = "https://agent.example.com/whatsapp"
        secrets = ["0123456789abcdef-new", "0123456789abcdef-old"]
        accounts = ["shop"]
    "#;

    #[test]
    fn a_webhook_has_what_the_file_says_and_defaults_for_the_rest() {
        let webhooks = parse(GOOD).expect("parses");
        assert_eq!(webhooks.len(), 1);
        let webhook = &webhooks[0];
        assert_eq!(webhook.processor_id(), "webhook:support");
        assert_eq!(webhook.secrets.len(), 2);
        assert_eq!(webhook.target.timeout_ms, 30_000);
        assert_eq!(webhook.target.concurrency, 4);
        assert!(webhook.target.enabled);
    }

    #[test]
    fn what_is_wrong_is_named_without_showing_a_secret() {
        let short = GOOD.replace("0123456789abcdef-old", "s3cret");
        for (text, words) in [
            (format!("{GOOD}{GOOD}"), "another one has it already"),
            (
                GOOD.replace("https://agent", "ftp://agent"),
                "it is neither http://",
            ),
            (
                GOOD.replace("https://agent", "https://me:pass@agent"),
                "leave user and password out",
            ),
            (GOOD.replace("\"shop\"", ""), "accounts: name accounts"),
            (GOOD.replace("\"shop\"", "\"../shop\""), "account id"),
            (GOOD.replace("name =", "nam ="), "nam"),
            (
                format!("{GOOD}\ntimeout_ms = 1"),
                "timeoutMs: write 1000 to 600000",
            ),
            (
                format!("{GOOD}\nconcurrency = 65"),
                "concurrency: write 1 to 64",
            ),
            (short, "at least 16 characters"),
            (
                GOOD.replace("[\"01", "\"s3cret\" # "),
                "secrets: write a list",
            ),
            (GOOD.replace("url = ", "url = s3cret "), "line 4"),
        ] {
            let error = parse(&text).expect_err(words).to_string();
            assert!(error.contains(words), "{words}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
