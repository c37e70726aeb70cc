//! Where a store is: what `STORE_URL` says.

use std::path::PathBuf;

use url::Url;

use super::{Result, StoreError};

/// What a store URL names. Nothing is touched by making one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database on a server.
    Postgres(PostgresUrl),
}

impl Place {
    /// Reads `sqlite:PATH` or `postgres://…`.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with the form that is wanted, without the URL's password.
    pub fn parse(url: &str) -> Result<Self> {
        match url.split(':').next().unwrap_or(url) {
            "sqlite" => sqlite_path(url).map(Self::Sqlite),
            "postgres" | "postgresql" => PostgresUrl::parse(url).map(Self::Postgres),
            scheme => Err(StoreError::Unusable(format!(
                "STORE_URL has the scheme {scheme:?}: use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"
            ))),
        }
    }
}

/// For people: no password, no parameters.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// `text`, a store URL that may be wrong in any way, as it may be shown.
pub fn shown(text: &str) -> String {
    match text.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            Place::parse(text).map_or_else(|_| "postgres://…".to_owned(), |place| place.to_string())
        }
        _ => text.to_owned(),
    }
}

fn sqlite_path(url: &str) -> Result<PathBuf> {
    let rest = url.strip_prefix("sqlite:").unwrap_or_default();
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains('?') {
        return Err(StoreError::Unusable(format!(
            "STORE_URL is {url:?}: write sqlite:PATH, without parameters, e.g. sqlite:data/store.db"
        )));
    }
    Ok(PathBuf::from(path))
}

/// A checked `postgres://` URL. Its password is in neither of its printed forms.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Url);

impl PostgresUrl {
    /// Parameters that the driver knows; `options[NAME]` besides.
    const PARAMETERS: [&str; 15] = [
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
        "ssl-mode",
        "ssl-root-cert",
        "statement-cache-capacity",
    ];

    fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: String| {
            StoreError::Unusable(format!(
                "STORE_URL: {problem}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, and characters that have a meaning in URLs as %XX"
            ))
        };
        let mut url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        for (name, _) in url.query_pairs() {
            let known = Self::PARAMETERS.contains(&&*name) || name.starts_with("options[");
            if !known {
                return Err(wrong(format!("the parameter {name:?} is not known")));
            }
        }
        if url.path().trim_start_matches('/').is_empty()
            && Self::parameter(&url, "dbname").is_none()
        {
            return Err(wrong("it names no database".to_owned()));
        }
        if Self::parameter(&url, "application_name").is_none() {
            url.query_pairs_mut()
                .append_pair("application_name", "whatsapp-worker");
        }
        url.as_str()
            .parse::<sqlx::postgres::PgConnectOptions>()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self(url))
    }

    fn parameter(url: &Url, name: &str) -> Option<String> {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Files that the driver will read, each with the parameter that names it.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        ["sslrootcert", "ssl-root-cert", "sslcert", "sslkey"]
            .into_iter()
            .filter_map(|name| Some((name, Self::parameter(&self.0, name)?)))
            .collect()
    }

    /// With the password, for the driver alone.
    pub(super) fn secret(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn options(&self) -> sqlx::postgres::PgConnectOptions {
        self.secret().parse().expect("parsed before")
    }
}

impl std::fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        if url.password().is_some() {
            // A URL with a password has a host, and then this cannot fail.
            let _ = url.set_password(Some("…"));
        }
        f.write_str(&url.as_str().replace("%E2%80%A6", "…"))
    }
}

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_printed_form() {
        let url =
            "postgres://worker:s3cret@db.example:5433/whatsapp?password=s3cret&sslmode=require";
        let place = Place::parse(url).expect("right");
        assert_eq!(
            place.to_string(),
            "postgres://worker:…@db.example:5433/whatsapp"
        );
        assert!(!format!("{place:?}").contains("s3cret"));
        assert_eq!(shown(url), place.to_string());
        for wrong in [
            "postgres://worker:s3cret@db.example/whatsapp?sslmod=require",
            "postgres://worker:s3cret@db.example/",
            "postgres://worker:s3cret@db.example/x?sslmode=s3cret%20no",
            "postgres://worker:s3cret@db:port/x",
        ] {
            let error = Place::parse(wrong).expect_err("wrong").to_string();
            assert!(error.starts_with("STORE_URL: "), "{error}");
            assert!(!error.contains("worker:s3cret"), "{error}");
            assert_eq!(shown(wrong), "postgres://…");
        }
    }

    #[test]
    fn a_url_of_another_kind_is_refused_with_the_forms_that_are_known() {
        let error = Place::parse("mysql://x/y").expect_err("not known");
        assert!(
            error
                .to_string()
                .contains("use sqlite:PATH or postgres://USER"),
            "{error}"
        );
        assert_eq!(
            Place::parse("sqlite:data/store.db").expect("right"),
            Place::Sqlite("data/store.db".into())
        );
        Place::parse("sqlite:x?mode=ro").expect_err("no parameters");
    }
}
