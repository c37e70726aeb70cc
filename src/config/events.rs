//! Where events go beside the log.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{ConfigError, Values, api};
use crate::exports::{Axiom, ExportOptions, Hook, Otlp, Pace, SpoolPlace, Target};
use crate::session::endpoint::is_loopback;
use crate::store::Place;
use crate::webhooks::HookUrl;
use crate::webhooks::signature::Secret;

/// Less would not hold a few batches.
const LEAST_SPOOL: u64 = 4 << 20;

pub(super) fn parse(
    values: &Values,
    place: &Place,
    auth_dir: &Path,
) -> Result<ExportOptions, ConfigError> {
    let targets = [
        axiom(values)?.map(Target::Axiom),
        hook(values)?.map(Target::Hook),
        otlp(values)?.map(Target::Otlp),
    ];
    let max_bytes = values.get("EVENTS_SPOOL_MAX_BYTES").parse().ok();
    let max_bytes = max_bytes.filter(|&bytes: &u64| bytes >= LEAST_SPOOL);
    let max_bytes = max_bytes.ok_or_else(|| {
        let why = format!("write a number of bytes, {LEAST_SPOOL} or more");
        values.wrong("EVENTS_SPOOL_MAX_BYTES", why)
    })?;
    let dir = match (values.optional("EVENTS_SPOOL_DIR"), place) {
        (Some(dir), _) => PathBuf::from(dir),
        (None, Place::Sqlite(path)) => {
            let mut dir = path.clone().into_os_string();
            dir.push(".events");
            dir.into()
        }
        // No account is called so.
        (None, Place::Postgres(_)) => auth_dir.join(".events"),
    };
    Ok(ExportOptions {
        targets: targets.into_iter().flatten().collect(),
        spool: SpoolPlace { dir, max_bytes },
        pace: Pace::default(),
    })
}

fn axiom(values: &Values) -> Result<Option<Axiom>, ConfigError> {
    let base = base(values)?;
    let (dataset, token) = match both(values, "AXIOM_DATASET", "AXIOM_TOKEN")? {
        Some(both) => both,
        None => return Ok(None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if dataset.len() > 128 || !dataset.bytes().all(plain) || dataset.starts_with('.') {
        let why = "write the name of a dataset: 1 to 128 of a-z, A-Z, 0-9, '-', '_' and '.'";
        return Err(values.wrong("AXIOM_DATASET", why));
    }
    let why = "write one token of Axiom, such as xaat-…";
    let readable = token.bytes().all(|b| b.is_ascii_graphic());
    let token = Secret::parse(token).ok().filter(|_| readable);
    let token = token.ok_or_else(|| values.wrong("AXIOM_TOKEN", why))?;
    Ok(Some(Axiom::new(&base, dataset, token)))
}

/// The token goes there: in the clear to this machine alone.
fn base(values: &Values) -> Result<Url, ConfigError> {
    let url = bare(values.get("AXIOM_URL"));
    let sealed = |url: &Url| url.scheme() == "https" || is_loopback(url);
    url.filter(sealed).ok_or_else(|| {
        let why = "write it like https://api.axiom.co, without user or query; http:// reaches this machine only";
        values.wrong("AXIOM_URL", why)
    })
}

/// An HTTP URL that holds no secret and can have a path.
fn bare(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        url.host().is_some() && plain && matches!(url.scheme(), "http" | "https")
    })
}

fn hook(values: &Values) -> Result<Option<Hook>, ConfigError> {
    let Some((url, _)) = both(values, "EVENTS_WEBHOOK_URL", "EVENTS_WEBHOOK_SECRET")? else {
        return Ok(None);
    };
    let url = HookUrl::try_from(url.to_owned());
    Ok(Some(Hook {
        url: url.map_err(|why| values.wrong("EVENTS_WEBHOOK_URL", why))?,
        secrets: api::secrets(values, "EVENTS_WEBHOOK_SECRET")?,
    }))
}

fn otlp(values: &Values) -> Result<Option<Otlp>, ConfigError> {
    let headers = values.optional("OTEL_EXPORTER_OTLP_HEADERS");
    let Some(text) = values.optional("OTEL_EXPORTER_OTLP_ENDPOINT") else {
        return match headers {
            None => Ok(None),
            Some(_) => Err(ConfigError::Together(
                "OTEL_EXPORTER_OTLP_HEADERS is set and OTEL_EXPORTER_OTLP_ENDPOINT is not, so no traces would be sent: set it too, or unset the headers".to_owned(),
            )),
        };
    };
    let url = bare(text).ok_or_else(|| {
        let why = "write it like http://collector:4318, without user, query and /v1/traces; keys go into OTEL_EXPORTER_OTLP_HEADERS";
        values.wrong("OTEL_EXPORTER_OTLP_ENDPOINT", why)
    })?;
    let headers = parse_headers(headers.unwrap_or_default());
    let headers = headers.ok_or_else(|| {
        let why = "write name=value, separated by commas, values percent-encoded";
        values.wrong("OTEL_EXPORTER_OTLP_HEADERS", why)
    })?;
    let service = values.get("OTEL_SERVICE_NAME");
    Ok(Some(Otlp::new(&url, service, headers)))
}

fn parse_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).collect::<Vec<u8>>();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value);
    }
    Some(headers)
}

/// Two settings that mean nothing without each other.
fn both<'a>(
    values: &'a Values,
    one: &'static str,
    other: &'static str,
) -> Result<Option<(&'a str, &'a str)>, ConfigError> {
    let half = |set, unset| {
        Err(ConfigError::Together(format!(
            "{set} is set and {unset} is not, so no events would be sent: set {unset} too, or unset {set}"
        )))
    };
    match (values.optional(one), values.optional(other)) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (Some(_), None) => half(one, other),
        (None, Some(_)) => half(other, one),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: (&str, &str) = ("AXIOM_TOKEN", "xaat-0123456789abcdef");
    const DATASET: (&str, &str) = ("AXIOM_DATASET", "logs");
    const URL: (&str, &str) = ("EVENTS_WEBHOOK_URL", "http://receiver.example/events");
    const SECRET: (&str, &str) = ("EVENTS_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==");

    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn parsed(pairs: &[(&str, &str)], store: &str) -> Result<ExportOptions, String> {
        let pairs = pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let values = Values::from_environment(pairs).expect("loads");
        let place = Place::parse(store).expect("a URL");
        parse(&values, &place, Path::new("auth")).map_err(|error| error.to_string())
    }

    #[test]
    fn both_halves_make_a_sink_and_one_names_the_other() {
        let names = |pairs: &[_]| {
            let options = parsed(pairs, "sqlite:data/store.db").expect("fits");
            options.targets.iter().map(Target::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&[TOKEN, DATASET, URL, SECRET]), ["axiom", "webhook"]);
        let key = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x=y");
        assert_eq!(names(&[TRACES, key]), ["otlp"]);
        let options = parsed(&[TRACES, key], "sqlite:d/store.db").expect("fits");
        assert!(!format!("{options:?}").contains("a b"), "{options:?}");
        assert!(parsed(&[key], "sqlite:d/store.db").is_err());
        for (half, missing) in [
            (TOKEN, "AXIOM_DATASET"),
            (DATASET, "AXIOM_TOKEN"),
            (URL, "EVENTS_WEBHOOK_SECRET"),
            (SECRET, "EVENTS_WEBHOOK_URL"),
        ] {
            let why = parsed(&[half], "sqlite:data/store.db").expect_err("half");
            assert!(
                why.contains(&format!("set {missing} too, or unset {}", half.0)),
                "{why}"
            );
            assert!(!why.contains("0123456789"), "{why}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_no_secret_is_shown() {
        for (wrong, rest) in [
            (("AXIOM_URL", "http://api.axiom.co"), &[TOKEN, DATASET][..]),
            (("AXIOM_URL", "axiom"), &[]),
            (("AXIOM_DATASET", "a/b"), &[TOKEN]),
            (("AXIOM_TOKEN", "xaat-0123456789 abcdef"), &[DATASET]),
            (("EVENTS_WEBHOOK_URL", "https://u:p@r.example"), &[SECRET]),
            (("EVENTS_WEBHOOK_SECRET", "0123456789"), &[URL]),
            (("EVENTS_SPOOL_MAX_BYTES", "1024"), &[]),
            (("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), &[]),
            (("OTEL_EXPORTER_OTLP_HEADERS", "key 0123456789"), &[TRACES]),
        ] {
            let pairs: Vec<_> = rest.iter().copied().chain([wrong]).collect();
            let why = parsed(&pairs, "sqlite:data/store.db").expect_err("wrong");
            assert!(why.starts_with(wrong.0), "{why}");
            assert!(!why.contains("0123456789"), "{why}");
        }
        let here = ("AXIOM_URL", "http://127.0.0.1:9");
        assert!(parsed(&[TOKEN, DATASET, here], "sqlite:data/store.db").is_ok());
    }

    #[test]
    fn what_waits_lies_beside_the_data_unless_it_is_set() {
        let dir = |pairs: &[_], store| parsed(pairs, store).expect("fits").spool.dir;
        let server = "postgres://u@h/db";
        assert_eq!(
            dir(&[], "sqlite:d/store.db"),
            Path::new("d/store.db.events")
        );
        assert_eq!(dir(&[], server), Path::new("auth/.events"));
        let set = ("EVENTS_SPOOL_DIR", "elsewhere");
        assert_eq!(dir(&[set], server), Path::new("elsewhere"));
    }
}
