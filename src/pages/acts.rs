//! What the buttons do: the store's acts, in the name of `admin`. Afterwards the browser is led back to
//! the page, so that loading it again repeats nothing.

use axum::extract::{Path, State};
use axum::response::Redirect;

use super::account::{ask, known};
use super::form::Sent;
use super::trouble::Trouble;
use super::{ACTOR, Pages};
use crate::fleet::handing;
use crate::ids::{AccountId, JobId, OutboxId, Phone};
use crate::store::{AuthOrder, Cancelled, Outcome, Retried};

type Answer = Result<Redirect, Trouble>;

/// What was done, in words: addresses carry the act's name alone.
pub fn told(act: &str) -> Option<&'static str> {
    Some(match act {
        "pause" => "Paused: nothing is sent, receiving goes on.",
        "resume" => "Resumed. A connection that waits is tried at once.",
        "enable" => "Enabled: a worker takes it up.",
        "disable" => "Disabled: its holder drains and releases it.",
        "release" => "Asked its holder to release it.",
        "force" => "The lease was taken from its holder.",
        "clear" => "Asked the holder to put the credentials into quarantine.",
        "accept" => "Asked the holder to go on with the older auth state.",
        "qr" => "A QR code is asked for.",
        "phone" => "A code to type on the phone is asked for.",
        "again" => "The old link is given up; codes follow.",
        "retry" => "It is tried again.",
        "discard" => "Discarded.",
        "fail" => "Given up: it is a dead letter now.",
        "cancel" => "Cancelled.",
        _ => return None,
    })
}

fn unknown() -> Trouble {
    Trouble::Form("There is no such button.")
}

/// The switch above all accounts.
pub async fn on_all(State(pages): State<Pages>, Sent(fields): Sent) -> Answer {
    let act = fields.get("act");
    let pause = match act {
        "pause" => true,
        "resume" => false,
        _ => return Err(unknown()),
    };
    pages.store.pause_everything(pause, ACTOR).await?;
    Ok(Redirect::to(&format!("/ui?done={act}")))
}

/// The buttons of an account.
pub async fn on_account(
    State(pages): State<Pages>,
    Path(id): Path<AccountId>,
    Sent(fields): Sent,
) -> Answer {
    let store = &pages.store;
    known(store, &id).await?;
    let act = fields.get("act");
    let replace = fields.get("replace") == "yes";
    match act {
        "pause" | "resume" => {
            store.set_paused(&id, act == "pause", ACTOR).await?;
        }
        "enable" | "disable" => {
            store.set_enabled(&id, act == "enable", ACTOR).await?;
        }
        "release" => {
            handing::release(store, &id, ACTOR).await?;
        }
        "force" => {
            handing::take_away(store, &id, ACTOR).await?;
        }
        "clear" => {
            store.order_auth(&id, AuthOrder::Clear, ACTOR).await?;
        }
        "accept" => {
            let order = AuthOrder::AcceptRollback;
            store.order_auth(&id, order, ACTOR).await?;
        }
        "again" => store.forget_link(&id, ACTOR).await?,
        "qr" => ask(store, &id, None, replace).await?,
        "phone" => {
            let phone = Phone::parse(fields.get("phone")).ok_or(Trouble::Form(
                "Write the phone number with its country code, e.g. +49 151 2345678.",
            ))?;
            ask(store, &id, Some(&phone), replace).await?;
        }
        _ => return Err(unknown()),
    }
    Ok(Redirect::to(&format!("/ui/accounts/{id}?done={act}")))
}

/// The buttons of a job.
pub async fn on_job(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Sent(fields): Sent,
) -> Answer {
    let (store, job) = (&pages.store, JobId(id));
    let act = fields.get("act");
    let outcome = match act {
        "retry" => store.retry_job(&job, ACTOR).await?,
        "discard" => store.discard_job(&job, ACTOR).await?,
        "cancel" => store.cancel_job(&job, ACTOR).await?,
        "fail" => {
            let why = ("manual_fail", None);
            store.fail_job_by_hand(&job, why, ACTOR).await?
        }
        _ => return Err(unknown()),
    };
    match outcome {
        Outcome::Done if fields.get("back") == "list" => {
            Ok(Redirect::to(&format!("/ui/jobs?done={act}")))
        }
        Outcome::Done => Ok(Redirect::to(&format!(
            "/ui/jobs/{}?done={act}",
            job.as_str()
        ))),
        Outcome::Missing => Err(Trouble::Missing("There is no such job.".to_owned())),
        Outcome::Unfit(status) => Err(Trouble::Refused(format!(
            "The job is {} by now: load its page again.",
            status.as_str()
        ))),
    }
}

/// The buttons of a message in the outbox.
pub async fn on_message(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Sent(fields): Sent,
) -> Answer {
    let (store, id) = (&pages.store, OutboxId(id));
    let act = fields.get("act");
    let late = |status: crate::outbound::delivery::Status| {
        let status = status.as_str();
        Trouble::Refused(format!(
            "The message is {status} by now: load its page again."
        ))
    };
    let missing = || Trouble::Missing("There is no such message.".to_owned());
    match act {
        "retry" => match store.retry_outgoing(&id, ACTOR).await? {
            Retried::Done => {}
            Retried::Needless(status) => return Err(late(status)),
            Retried::Erased => {
                let why = "What it said is erased: its retention is over.";
                return Err(Trouble::Refused(why.to_owned()));
            }
            Retried::Unknown => return Err(missing()),
        },
        "cancel" => match store.cancel_outgoing(&id, ACTOR).await? {
            Cancelled::Done => {}
            Cancelled::TooLate(status) => return Err(late(status)),
            Cancelled::Unknown => return Err(missing()),
        },
        _ => return Err(unknown()),
    }
    Ok(Redirect::to(&format!(
        "/ui/outbox/{}?done={act}",
        id.as_str()
    )))
}
