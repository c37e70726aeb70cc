//! Requests, parsed once: what does not fit names its field.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::{Kind, Problem};

/// More than any request but an upload needs: texts are limited to 64 KiB.
pub const MOST_BYTES: usize = 1 << 20;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the whole of `body`.
///
/// # Errors
/// It is larger than [`MOST_BYTES`], too slow, or breaks off.
pub async fn read(body: Body) -> Result<Bytes, Problem> {
    let reading = async {
        let mut chunks = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk
                .map_err(|_| Problem::new(Kind::Malformed, "the body ended before its end"))?;
            if bytes.len() + chunk.len() > MOST_BYTES {
                return Err(Problem::new(
                    Kind::TooLarge,
                    format!("a body may have {MOST_BYTES} bytes; files go to POST /v1/uploads"),
                ));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            let detail = format!("the body did not arrive within {seconds} s");
            Err(Problem::new(Kind::TooSlow, detail))
        })
}

/// A request's JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let bytes = read(request.into_body()).await?;
        parse(&bytes).map(Self)
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = given.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(
        Kind::MediaType,
        "send the body as Content-Type: application/json",
    ))
}

/// `bytes` as JSON of `T`; an empty body is an empty object.
///
/// # Errors
/// [`Kind::Malformed`] when it is no JSON, else [`Kind::Invalid`] with the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    // A list would be taken for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(Kind::Malformed, "the body is no JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            refused(&error.path().to_string(), &inner.to_string())
        } else {
            Problem::new(Kind::Malformed, format!("the body is no JSON: {inner}"))
        }
    })?;
    json.end()
        .map_err(|error| Problem::new(Kind::Malformed, format!("the body is no JSON: {error}")))?;
    Ok(value)
}

/// A part of a body that was parsed as JSON before, below the field `at`; at the top when empty.
///
/// # Errors
/// [`Kind::Invalid`] with the field.
pub fn parse_part<T: DeserializeOwned>(part: Value, at: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(part).map_err(|error| {
        let path = match (at, error.path().to_string().as_str()) {
            ("", path) => path.to_owned(),
            (at, ".") => at.to_owned(),
            (at, path) => format!("{at}.{path}"),
        };
        refused(&path, &error.inner().to_string())
    })
}

/// The parser's path ends where a field is missing or unknown; its text has the name.
fn refused(path: &str, text: &str) -> Problem {
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|start| text.strip_prefix(start)?.split('`').next());
    let field = match (path, named) {
        (".", Some(name)) => name.to_owned(),
        // An unknown field is on the path already.
        (path, Some(name)) if path == name || path.ends_with(&format!(".{name}")) => {
            path.to_owned()
        }
        (path, Some(name)) => format!("{path}.{name}"),
        (".", None) => return Problem::new(Kind::Malformed, format!("the body: {text}")),
        (path, None) => path.to_owned(),
    };
    Problem::field(field, text.to_owned())
}

/// A request's query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let object = pairs
            .map(|(name, text)| (name.into_owned(), text.into_owned().into()))
            .collect();
        parse_part(Value::Object(object), "").map(Self)
    }
}

/// A number in a query, where everything is text.
///
/// # Errors
/// It is no whole number.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| serde::de::Error::custom("write a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Wanted {
        claim_token: String,
        #[serde(default)]
        replies: Vec<Reply>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing is looked at")]
    struct Reply {
        body: String,
    }

    async fn problem(text: &str) -> (u16, Value, String) {
        let response = parse::<Wanted>(text.as_bytes())
            .expect_err(text)
            .into_response();
        let status = response.status().as_u16();
        let bytes = read(response.into_body()).await.expect("small");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        (status, body["field"].clone(), body["detail"].to_string())
    }

    #[tokio::test]
    async fn what_does_not_fit_names_its_field() {
        for (text, field) in [
            ("", "claimToken"),
            (r#"{"claimToken": 7}"#, "claimToken"),
            (r#"{"claimToken": "x", "claimTokn": 1}"#, "claimTokn"),
            (
                r#"{"claimToken": "x", "replies": [{"body": "a"}, {"body": 1}]}"#,
                "replies[1].body",
            ),
            (r#"{"claimToken": "x", "replies": [{}]}"#, "replies[0].body"),
            (
                r#"{"claimToken": "x", "replies": [{"body": "a", "b": 1}]}"#,
                "replies[0].b",
            ),
        ] {
            let (status, named, detail) = problem(text).await;
            assert_eq!((status, named), (422, field.into()), "{text}: {detail}");
        }
    }

    #[tokio::test]
    async fn what_is_no_json_is_told_apart_with_its_place() {
        for text in [
            r#"{"claimToken": "x""#,
            "hello",
            r#"{"claimToken":"x"} {}"#,
            "[]",
        ] {
            let (status, field, detail) = problem(text).await;
            assert_eq!((status, field), (400, Value::Null), "{text}: {detail}");
            assert!(detail.contains("line 1 column") || text == "[]", "{detail}");
        }
    }
}
