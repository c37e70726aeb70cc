//! Where values come from, and in which order.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigError;
use super::settings::{self, SETTINGS, Setting};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// The environment.
    Environment,
    /// The file that `<NAME>_FILE` names.
    SecretFile(PathBuf),
    /// The configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::SecretFile(path) | Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// The raw values, each with its origin.
#[derive(Clone, Debug)]
pub struct Values {
    values: BTreeMap<&'static str, (String, Origin)>,
    notices: Vec<String>,
}

impl Values {
    /// Reads the process's environment and the configuration file.
    ///
    /// # Errors
    /// [`ConfigError::File`]; [`ConfigError::Value`] for a name in the file that is no setting.
    pub fn load() -> Result<Self, ConfigError> {
        Self::from_environment(environment())
    }

    /// The same from a given environment.
    ///
    /// # Errors
    /// As [`Values::load`].
    pub fn from_environment(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (values, mut problems) = Self::gather_from(environment);
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems.remove(0))
        }
    }

    /// As [`Values::load`], but with everything that is wrong, and what could be read besides.
    pub fn gather() -> (Self, Vec<ConfigError>) {
        Self::gather_from(environment())
    }

    fn gather_from(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> (Self, Vec<ConfigError>) {
        let mut problems = Vec::new();
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let mut values: BTreeMap<_, _> = SETTINGS
            .iter()
            .map(|setting| (setting.name, (setting.default.to_owned(), Origin::Default)))
            .collect();
        if let Some(path) = environment.get("WHATSAPP_CONFIG_FILE") {
            for entry in read_file(Path::new(path)) {
                match entry {
                    Ok((setting, value)) => {
                        values.insert(setting.name, (value, Origin::File(PathBuf::from(path))));
                    }
                    Err(error) => problems.push(error),
                }
            }
        }
        for setting in SETTINGS {
            if let Some(value) = environment.get(setting.name) {
                values.insert(setting.name, (value.trim().to_owned(), Origin::Environment));
            } else if setting.has_file()
                && let Some(path) = environment.get(&format!("{}_FILE", setting.name))
            {
                match std::fs::read_to_string(path) {
                    Ok(value) => {
                        let origin = Origin::SecretFile(PathBuf::from(path));
                        values.insert(setting.name, (value.trim().to_owned(), origin));
                    }
                    Err(error) => problems.push(ConfigError::File(format!(
                        "{}_FILE is {path:?}: {error}; name a file that this process may read",
                        setting.name
                    ))),
                }
            }
        }
        let notices = environment.keys().filter_map(|name| notice(name)).collect();
        (Self { values, notices }, problems)
    }

    /// Gives those of `names` that are set their defaults again; `false`: none was set.
    pub(super) fn put_aside(&mut self, names: &[&'static str]) -> bool {
        let mut any = false;
        for &name in names {
            let default = settings::find(name).map_or("", |setting| setting.default);
            let old = self
                .values
                .insert(name, (default.to_owned(), Origin::Default));
            any |= old.is_some_and(|(_, origin)| origin != Origin::Default);
        }
        any
    }

    /// What was set but does nothing: misspelt names.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// All settings with their values and origins.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str, &Origin)> {
        SETTINGS.iter().map(|setting| {
            let (value, origin) = &self.values[setting.name];
            (setting, value.as_str(), origin)
        })
    }

    pub(super) fn get(&self, name: &'static str) -> &str {
        &self.values[name].0
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<&str> {
        self.values
            .get(name)
            .map(|(value, _)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn millis(&self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        self.optional(name)
            .map(|text| {
                text.parse().map(Duration::from_millis).map_err(|_| {
                    self.wrong(name, "write a whole number of milliseconds, e.g. 60000")
                })
            })
            .transpose()
    }

    pub(super) fn wrong(&self, name: &'static str, problem: impl Into<String>) -> ConfigError {
        let (value, origin) = &self.values[name];
        let setting = settings::find(name).expect("only settings are asked for");
        ConfigError::Value {
            name,
            value: setting.show(value),
            origin: origin.clone(),
            problem: problem.into(),
        }
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn notice(name: &str) -> Option<String> {
    let ours = name.starts_with("WHATSAPP_") && name != "WHATSAPP_CONFIG_FILE";
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    let known =
        settings::find(name).is_some() || settings::find(base).is_some_and(Setting::has_file);
    (ours && !known).then(|| {
        format!("{name} is set, but there is no such setting: see `whatsapp-worker config print`")
    })
}

fn read_file(path: &Path) -> Vec<Result<(&'static Setting, String), ConfigError>> {
    let file = |problem: String| {
        ConfigError::File(format!(
            "WHATSAPP_CONFIG_FILE {}: {problem}",
            path.display()
        ))
    };
    let table = std::fs::read_to_string(path)
        .map_err(|error| file(error.to_string()))
        .and_then(|text| {
            text.parse()
                .map_err(|error: toml::de::Error| file(error.to_string()))
        });
    let table: toml::Table = match table {
        Ok(table) => table,
        Err(error) => return vec![Err(error)],
    };
    table
        .into_iter()
        .map(|(key, value)| {
            let setting = settings::find(&key.to_uppercase())
                .filter(|setting| setting.name.to_lowercase() == key)
                .ok_or_else(|| {
                    file(format!(
                        "{key:?} is not a setting; `whatsapp-worker config print` lists them"
                    ))
                })?;
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(true) => "on".to_owned(),
                toml::Value::Boolean(false) => "off".to_owned(),
                _ => return Err(file(format!("{key}: write a text or a whole number"))),
            };
            Ok((setting, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Values, ConfigError> {
        Values::from_environment(pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())))
    }

    #[test]
    fn the_environment_beats_the_file_and_the_file_beats_the_default() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("worker.toml");
        std::fs::write(&path, "worker_id = \"from-file\"\nshutdown_grace_ms = 5\n")
            .expect("written");
        let values = load(&[
            ("WHATSAPP_CONFIG_FILE", path.to_str().expect("text")),
            ("WORKER_ID", "from-env"),
        ])
        .expect("loads");
        assert_eq!(values.get("WORKER_ID"), "from-env");
        assert_eq!(values.get("SHUTDOWN_GRACE_MS"), "5");
        assert_eq!(values.get("WHATSAPP_ACCOUNT_ID"), "default");
    }

    #[test]
    fn a_name_that_is_no_setting_is_an_error_in_the_file_and_a_notice_in_the_environment() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("worker.toml");
        std::fs::write(&path, "whatsapp_lease_tll_ms = 1\n").expect("written");
        let error =
            load(&[("WHATSAPP_CONFIG_FILE", path.to_str().expect("text"))]).expect_err("misspelt");
        assert!(
            error
                .to_string()
                .contains("\"whatsapp_lease_tll_ms\" is not a setting"),
            "{error}"
        );
        let values = load(&[("WHATSAPP_LEASE_TLL_MS", "1"), ("AXIOM_TOKEN", "x")]).expect("loads");
        assert_eq!(values.notices().len(), 1, "the other one is a setting");
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_never_shown() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("key");
        std::fs::write(&path, "s3cret\n").expect("written");
        let values =
            load(&[("WHATSAPP_AUTH_KEY_FILE", path.to_str().expect("text"))]).expect("loads");
        assert_eq!(values.get("WHATSAPP_AUTH_KEY"), "s3cret");
        let error = values.wrong("WHATSAPP_AUTH_KEY", "too short").to_string();
        assert!(
            !error.contains("s3cret") && error.contains("too short"),
            "{error}"
        );
    }
}
