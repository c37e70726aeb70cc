//! All that is wrong with the settings, in one go: whoever corrects them one by one starts a worker as
//! often.

use std::collections::BTreeSet;

use super::settings::SETTINGS;
use super::{Config, ConfigError, Values};

impl ConfigError {
    /// The settings that it is about.
    pub fn settings(&self) -> Vec<&'static str> {
        match self {
            Self::Value { name, .. } => vec![name],
            // What says that settings do not fit names them.
            Self::Together(text) | Self::File(text) => SETTINGS
                .iter()
                .map(|setting| setting.name)
                .filter(|name| text.contains(name))
                .collect(),
        }
    }
}

impl Config {
    /// As [`Config::parse`], but with everything that is wrong. What is wrong is put aside for its
    /// default while the rest is judged.
    ///
    /// # Errors
    /// At least one [`ConfigError`].
    pub fn parse_whole(values: &Values) -> Result<Self, Vec<ConfigError>> {
        judge(values, Self::parse)
    }

    /// The same with what a worker needs beyond what a command does.
    ///
    /// # Errors
    /// As [`Config::parse_whole`].
    pub fn parse_for_worker(values: &Values) -> Result<Self, Vec<ConfigError>> {
        judge(values, |values| {
            let config = Self::parse(values)?;
            if config.role.operates() {
                config.auth.check_for_worker()?;
            }
            Ok(config)
        })
    }
}

fn judge(
    values: &Values,
    parse: impl Fn(&Values) -> Result<Config, ConfigError>,
) -> Result<Config, Vec<ConfigError>> {
    let mut values = values.clone();
    let mut aside = BTreeSet::new();
    let mut problems = Vec::new();
    loop {
        let error = match parse(&values) {
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        let names = error.settings();
        let old = !names.is_empty() && names.iter().all(|name| aside.contains(name));
        // One that comes of our putting aside is nobody's mistake.
        if problems.is_empty() || !old {
            problems.push(error);
        }
        aside.extend(names.iter().copied());
        if !values.put_aside(&names) {
            return Err(problems);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        // The default URL is refused by a simulator build.
        let url = ("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws");
        let pairs = pairs.iter().chain([&url]);
        Values::from_environment(pairs.map(|&(k, v)| (k.to_owned(), v.to_owned()))).expect("loads")
    }

    #[test]
    fn everything_that_is_wrong_is_told_once_and_what_is_right_is_not() {
        let values = values(&[
            ("WORKER_CAPACITY", "0"),
            ("WHATSAPP_LEASE_TTL_MS", "10"),
            ("AGENT_ROLE", "agents"),
            ("OUTBOX_TYPING", "perhaps"),
            ("WHATSAPP_GROUPS", "off"),
        ]);
        let problems = Config::parse_whole(&values).expect_err("wrong");
        let mut names: Vec<_> = problems.iter().map(|one| one.settings()[0]).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "AGENT_ROLE",
                "OUTBOX_TYPING",
                "WHATSAPP_LEASE_TTL_MS",
                "WORKER_CAPACITY"
            ]
        );
    }

    #[test]
    fn a_worker_needs_a_key_for_a_remote_auth_state_and_a_command_does_not() {
        let remote = ("WHATSAPP_AUTH_MODE", "remote");
        let alone = values(&[remote]);
        assert!(Config::parse_whole(&alone).is_ok());
        let problems = Config::parse_for_worker(&alone).expect_err("no key");
        assert_eq!(problems.len(), 1, "{problems:?}");
        // Who only serves agents opens no auth state.
        assert!(Config::parse_for_worker(&values(&[remote, ("AGENT_ROLE", "agent")])).is_ok());
        let both = values(&[remote, ("WORKER_CAPACITY", "0")]);
        let problems = Config::parse_for_worker(&both).expect_err("both");
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
