//! The routes for agents.

use axum::http::Method;

use super::openapi::{Operation, Routes};
use super::scope::Scope;
use super::{conversations, files, jobs, media, messages, presence, webhooks};
use crate::store::{OutboxDetail, OutboxRow};

const STALE: &str = "The claim is not valid any more, or it contradicts what is there.";

/// What [`Scope::Agent`] may do.
pub(super) fn routes() -> Routes {
    let op = Operation::new;
    let routes = Routes::of(Some(Scope::Agent))
        .post(
            "/v1/jobs/claim",
            op("Takes work; waits for it if asked to.")
                .takes::<jobs::ClaimBody>()
                .answers::<jobs::Claimed>(),
            jobs::claim,
        )
        .post(
            "/v1/jobs/{id}/heartbeat",
            op("Keeps a claim.")
                .takes::<jobs::HeartbeatBody>()
                .or(409, STALE)
                .answers::<jobs::Kept>(),
            jobs::heartbeat,
        )
        .post(
            "/v1/jobs/{id}/complete",
            op("Completes a job and sends the replies, both or neither.")
                .takes::<jobs::CompleteBody>()
                .or(409, STALE)
                .or(502, "A file could not be fetched.")
                .answers::<jobs::Done>(),
            jobs::complete,
        )
        .post(
            "/v1/jobs/{id}/fail",
            op("Gives a job back.")
                .takes::<jobs::FailBody>()
                .or(409, STALE)
                .answers::<jobs::GivenBack>(),
            jobs::fail,
        )
        .post(
            "/v1/messages",
            op("Puts a message in.")
                .takes::<messages::MessageBody>()
                .header("Idempotency-Key", "Repeating it sends nothing again.")
                .status(202)
                .answers_too(200, "It was put in before.")
                .or(409, "Another message has this key.")
                .or(502, "A file could not be fetched.")
                .answers::<OutboxRow>(),
            messages::send,
        )
        .get(
            "/v1/messages/{id}",
            op("One message with its attempts.").answers::<OutboxDetail>(),
            messages::show,
        )
        .post(
            "/v1/messages/{id}/cancel",
            op("Takes a message back that waits.")
                .or(409, STALE)
                .answers::<OutboxDetail>(),
            messages::cancel,
        )
        .post(
            "/v1/messages/{id}/retry",
            op("Sends a message again that was given up.")
                .or(409, STALE)
                .or(410, "What it said is erased.")
                .answers::<OutboxDetail>(),
            messages::retry,
        )
        .post(
            "/v1/uploads",
            op("Takes in a file to be sent.")
                .takes_bytes()
                .header("x-file-name", "Its name, percent-encoded.")
                .status(201)
                .answers::<files::Uploaded>(),
            files::upload,
        );
    looks(hooks(routes))
}

fn looks(routes: Routes) -> Routes {
    let op = Operation::new;
    routes
        .get(
            "/v1/media/{account}/{key}",
            op("The file of a message.")
                .media("application/octet-stream")
                .or(410, "WhatsApp has it no more.")
                .or(413, "It is too large.")
                .or(502, "It could not be fetched."),
            media::download,
        )
        .get(
            "/v1/conversations/{id}/messages",
            op("What was said, the newest first.")
                .asks::<conversations::Page>()
                .answers::<conversations::History>(),
            conversations::messages,
        )
        .post(
            "/v1/conversations/{id}/typing",
            op("Shows that somebody types.")
                .takes::<presence::Typing>()
                .status(202)
                .says_nothing(),
            presence::typing,
        )
        .post(
            "/v1/conversations/{id}/read",
            op("Shows that what came was read.")
                .status(202)
                .says_nothing(),
            presence::read,
        )
}

fn hooks(routes: Routes) -> Routes {
    let op = Operation::new;
    routes
        .get(
            "/v1/webhooks",
            op("All webhooks, without secrets.").answers::<webhooks::Webhooks>(),
            webhooks::list,
        )
        .post(
            "/v1/webhooks",
            op("Adds a webhook; the answer has its secret.")
                .takes::<webhooks::Wanted>()
                .status(201)
                .or(409, "It is there already.")
                .answers::<webhooks::WebhookView>(),
            webhooks::add,
        )
        .get(
            "/v1/webhooks/{name}",
            op("One webhook.").answers::<webhooks::WebhookView>(),
            webhooks::show,
        )
        .at(
            Method::PUT,
            "/v1/webhooks/{name}",
            op("Changes a webhook; its secret stays.")
                .takes::<webhooks::Wanted>()
                .or(409, "It is in the operator's file.")
                .answers::<webhooks::WebhookView>(),
            webhooks::change,
        )
        .at(
            Method::DELETE,
            "/v1/webhooks/{name}",
            op("Removes a webhook.")
                .status(204)
                .or(409, "It is in the operator's file.")
                .says_nothing(),
            webhooks::remove,
        )
        .post(
            "/v1/webhooks/{name}/rotate",
            op("Gives a webhook a new secret; the one before it signs for a day too.")
                .takes::<webhooks::Rotation>()
                .or(409, "It is in the operator's file.")
                .answers::<webhooks::WebhookView>(),
            webhooks::rotate,
        )
}
