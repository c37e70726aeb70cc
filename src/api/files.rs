//! Files of messages to be sent: taken in before the message is, by request or because it names a URL.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use super::{Answer, Api};
use crate::ids::UploadId;
use crate::outbound::media::MediaProblem;
use crate::outbound::message::Draft;

/// The name of an upload, percent-encoded; phones show it with a document.
const FILE_NAME: &str = "x-file-name";

impl Api {
    /// The draft with its file in the store.
    pub(super) async fn prepare(&self, draft: Draft) -> Result<Draft, Problem> {
        let prepared = self.accepting.prepare(draft).await;
        prepared.map_err(|problem| refused(problem, "content.media"))
    }
}

/// A file that waits to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uploaded {
    /// Its id, for `media` of a message.
    upload: UploadId,
    mime_type: String,
    file_name: Option<String>,
    size: u64,
    /// Hexadecimal.
    sha256: String,
}

/// `POST /v1/uploads`: the body is the file, `Content-Type` its type.
pub async fn upload(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Uploaded>, Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let name = text(FILE_NAME).map(|name| percent_decode_str(name).decode_utf8_lossy());
    let mime_type = text(header::CONTENT_TYPE.as_str());
    let upload = api
        .accepting
        .take_in(body.into_data_stream(), mime_type, name.as_deref())
        .await
        .map_err(|problem| match problem {
            MediaProblem::TooLarge { .. } => {
                Problem::new(Kind::TooLarge, format!("the file {problem}"))
            }
            MediaProblem::Unreachable(_) => {
                Problem::new(Kind::Malformed, "the body ended before its end")
            }
            problem => refused(problem, "the file"),
        })?;
    let shown = Uploaded {
        upload: upload.id,
        mime_type: upload.mime_type,
        file_name: upload.name,
        size: upload.size,
        sha256: upload.sha256,
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// The one place where what is wrong with a file becomes a status.
fn refused(problem: MediaProblem, field: &str) -> Problem {
    match problem {
        MediaProblem::Store(error) => error.into(),
        MediaProblem::NotPublic { .. }
        | MediaProblem::Url(_)
        | MediaProblem::Unreachable(_)
        | MediaProblem::Status(_)
        | MediaProblem::TooLarge { .. }
        | MediaProblem::TooSlow { .. }
        | MediaProblem::Empty
        | MediaProblem::Kind { .. }
        | MediaProblem::Path(_)
        | MediaProblem::NoUpload => Problem::field(field, format!("{field} {problem}")),
    }
}
