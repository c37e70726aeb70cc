//! HTTP for operators: what the command line does to a store, below `/v1/admin`. What needs the files or
//! keys of a machine is the command line's alone.
//!
//! Looking needs [`Scope::Read`], changing [`Scope::Operate`]; every change is in the audit with the
//! actor `admin`. What workers do on their own time is asked for and answered 202. The same functions
//! of the store serve the command line, so what is refused there is refused here.

mod accounts;
mod auth;
mod conversations;
mod events;
mod jobs;
mod leases;
mod link;
mod outbox;
mod pages;
mod workers;

use axum::http::Method;

use super::messages::MessageBody;
use super::openapi::{Operation, Routes};
use super::scope::Scope;
use crate::store::{AuditLine, Controls, Job, JobDetail, OutboxDetail, OutboxRow, QueueDepth};

/// Who did it, in the audit.
const ACTOR: &str = "admin";

const SEVERAL: &str = "Several living workers have this name.";

const UNFIT: &str = "It stands in a way that does not allow this.";

/// What [`Scope::Read`] may see.
pub(super) fn looks() -> Routes {
    let op = Operation::new;
    Routes::of(Some(Scope::Read))
        .get(
            "/v1/admin/accounts",
            op("All accounts, with lease, session and queue.")
                .asks::<accounts::Listing>()
                .lists::<accounts::AccountView>("accounts"),
            accounts::list,
        )
        .get(
            "/v1/admin/accounts/{account}",
            op("One account.").answers::<accounts::AccountView>(),
            accounts::show,
        )
        .get(
            "/v1/admin/accounts/{account}/auth",
            op("What the store knows of its auth state.").answers::<auth::AuthStanding>(),
            auth::show,
        )
        .get(
            "/v1/admin/controls",
            op("The switch above all accounts.").answers::<Controls>(),
            accounts::controls,
        )
        .get(
            "/v1/admin/leases",
            op("All leases.")
                .asks::<accounts::Listing>()
                .lists::<leases::LeaseView>("leases"),
            leases::list,
        )
        .get(
            "/v1/admin/leases/{account}",
            op("One lease, with its session and its last transitions.")
                .answers::<leases::LeaseDetail>(),
            leases::show,
        )
        .get(
            "/v1/admin/workers",
            op("All living workers.")
                .asks::<accounts::Listing>()
                .lists::<workers::WorkerView>("workers"),
            workers::list,
        )
        .get(
            "/v1/admin/queues",
            op("How much waits, is worked on, and was given up.")
                .asks::<accounts::Listing>()
                .lists::<QueueDepth>("queues"),
            jobs::queues,
        )
        .get(
            "/v1/admin/jobs",
            op("Jobs, the newest first.")
                .asks::<jobs::Jobs>()
                .lists::<Job>("jobs"),
            jobs::list,
        )
        .get(
            "/v1/admin/jobs/{id}",
            op("One job with its message.").answers::<JobDetail>(),
            jobs::show,
        )
        .get(
            "/v1/admin/dead-letters",
            op("Jobs that were given up, the newest first.")
                .asks::<jobs::Dead>()
                .lists::<Job>("jobs"),
            jobs::dead,
        )
        .get(
            "/v1/admin/outbox",
            op("Messages to be sent and what became of them, the newest first.")
                .asks::<outbox::Messages>()
                .lists::<OutboxRow>("messages"),
            outbox::list,
        )
        .get(
            "/v1/admin/outbox/{id}",
            op("One message with its attempts.").answers::<OutboxDetail>(),
            outbox::show,
        )
        .get(
            "/v1/admin/conversations",
            op("Conversations, numbers masked.")
                .asks::<conversations::Lines>()
                .lists::<conversations::ConversationView>("conversations"),
            conversations::list,
        )
        .get(
            "/v1/admin/events",
            op("What the workers told lately, the newest first.")
                .asks::<events::Events>()
                .lists::<events::ToldEvent>("events"),
            events::list,
        )
        .get(
            "/v1/admin/audit",
            op("Who did what, the newest first.")
                .asks::<conversations::Lines>()
                .lists::<AuditLine>("audit"),
            conversations::audit,
        )
}

/// What needs [`Scope::Operate`].
pub(super) fn acts() -> Routes {
    let op = Operation::new;
    let routes = Routes::of(Some(Scope::Operate))
        .post(
            "/v1/admin/accounts",
            op("Registers an account.")
                .takes::<accounts::NewAccount>()
                .status(201)
                .answers_too(200, "It is there already.")
                .answers::<accounts::AccountView>(),
            accounts::add,
        )
        .post(
            "/v1/admin/accounts/{account}/enable",
            op("Lets workers operate it again.").answers::<accounts::AccountView>(),
            accounts::enable,
        )
        .post(
            "/v1/admin/accounts/{account}/disable",
            op("Takes it out of operation; the link stays.").answers::<accounts::AccountView>(),
            accounts::disable,
        )
        .post(
            "/v1/admin/accounts/{account}/pause",
            op("Gives agents no work and sends nothing for it.").answers::<accounts::AccountView>(),
            accounts::pause,
        )
        .post(
            "/v1/admin/accounts/{account}/resume",
            op("Goes on; a connection that waits is tried at once.")
                .answers::<accounts::AccountView>(),
            accounts::resume,
        )
        .post(
            "/v1/admin/accounts/{account}/link",
            op("Asks for a code that links it, and gives a link that shows it once.")
                .takes::<link::LinkBody>()
                .status(202)
                .or(409, "It is linked already.")
                .answers::<link::Asked>(),
            link::ask,
        )
        .post(
            "/v1/admin/accounts/{account}/auth/clear",
            op("Has its holder take the credentials out of use.")
                .status(202)
                .answers::<auth::AuthStanding>(),
            auth::clear,
        )
        .post(
            "/v1/admin/accounts/{account}/auth/accept-rollback",
            op("Has its holder go on with an older copy of the auth state.")
                .status(202)
                .answers::<auth::AuthStanding>(),
            auth::accept_rollback,
        )
        .post(
            "/v1/admin/pause",
            op("Pauses everything.").answers::<Controls>(),
            accounts::pause_all,
        )
        .post(
            "/v1/admin/resume",
            op("Ends the pause of everything.").answers::<Controls>(),
            accounts::resume_all,
        )
        .post(
            "/v1/admin/leases/{account}/release",
            op("Has the holder release it, or takes it away with `force`.")
                .takes::<leases::ReleaseBody>()
                .status(202)
                .or(409, "The holder cannot be asked.")
                .answers::<leases::LeaseDetail>(),
            leases::release,
        )
        .post(
            "/v1/admin/leases/{account}/transfer",
            op("Hands it to another worker.")
                .takes::<leases::TransferBody>()
                .status(202)
                .or(409, "That worker cannot take it.")
                .answers::<leases::LeaseDetail>(),
            leases::transfer,
        )
        .post(
            "/v1/admin/workers/{worker}/drain",
            op("Has a worker give its accounts away and take no more, until its end or undrain.")
                .status(202)
                .or(409, SEVERAL)
                .answers::<workers::Drained>(),
            workers::drain,
        )
        .post(
            "/v1/admin/workers/{worker}/undrain",
            op("Has a drained worker take accounts again.")
                .status(202)
                .or(409, SEVERAL)
                .answers::<workers::Undrained>(),
            workers::undrain,
        );
    messages(queue(routes))
}

fn queue(routes: Routes) -> Routes {
    let op = Operation::new;
    routes
        .post(
            "/v1/admin/jobs/{id}/retry",
            op("Has a job tried again.")
                .or(409, UNFIT)
                .answers::<JobDetail>(),
            jobs::retry,
        )
        .post(
            "/v1/admin/jobs/{id}/fail",
            op("Gives a job up: it becomes a dead letter.")
                .takes::<jobs::FailBody>()
                .or(409, UNFIT)
                .answers::<JobDetail>(),
            jobs::fail,
        )
        .post(
            "/v1/admin/jobs/{id}/cancel",
            op("Cancels a job: it is no dead letter.")
                .or(409, UNFIT)
                .answers::<JobDetail>(),
            jobs::cancel,
        )
        .post(
            "/v1/admin/jobs/{id}/discard",
            op("Takes a dead letter off the list.")
                .or(409, UNFIT)
                .answers::<JobDetail>(),
            jobs::discard,
        )
        .post(
            "/v1/admin/dead-letters/retry",
            op("Has dead letters tried again.")
                .takes::<jobs::Selection>()
                .or(404, "No such account.")
                .answers::<jobs::Retried>(),
            jobs::retry_dead,
        )
        .post(
            "/v1/admin/dead-letters/discard",
            op("Takes dead letters off the list.")
                .takes::<jobs::Selection>()
                .or(404, "No such account.")
                .answers::<jobs::Discarded>(),
            jobs::discard_dead,
        )
        .at(
            Method::PUT,
            "/v1/admin/conversations/{id}/priority",
            op("Has a conversation's jobs come before others, or after them.")
                .takes::<jobs::PriorityBody>()
                .answers::<jobs::Prioritised>(),
            jobs::prioritise,
        )
}

fn messages(routes: Routes) -> Routes {
    let op = Operation::new;
    routes
        .post(
            "/v1/admin/outbox",
            op("Puts a message in.")
                .takes::<MessageBody>()
                .header("Idempotency-Key", "Repeating it sends nothing again.")
                .status(202)
                .answers_too(200, "It was put in before.")
                .or(409, "Another message has this key.")
                .answers::<OutboxRow>(),
            outbox::send,
        )
        .post(
            "/v1/admin/outbox/{id}/cancel",
            op("Takes a message back that waits.")
                .or(409, UNFIT)
                .answers::<OutboxDetail>(),
            outbox::cancel,
        )
        .post(
            "/v1/admin/outbox/{id}/retry",
            op("Sends a message again that was given up.")
                .or(409, UNFIT)
                .or(410, "What it said is erased.")
                .answers::<OutboxDetail>(),
            outbox::retry,
        )
        .at(
            Method::DELETE,
            "/v1/admin/conversations/{id}",
            op("Erases a conversation for good.").answers::<conversations::Erased>(),
            conversations::purge,
        )
}

/// Open to who has the link.
pub(super) fn open() -> Routes {
    Routes::of(None).get(
        "/v1/link/{ticket}",
        Operation::new("Shows a code that links, once.")
            .asks::<link::Form>()
            .media("image/svg+xml")
            .or(409, "There is no code yet."),
        link::show,
    )
}
