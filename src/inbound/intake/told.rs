//! What is told of a message that was committed.

use std::time::Duration;

use tracing::info;

use crate::inbound::disposition::Disposition;
use crate::store::{Accepted, Arrival, Fence};
use crate::telemetry::event::{self, Event};

pub(super) fn tell(fence: &Fence, arrival: &Arrival, accepted: &Accepted, took: Duration) {
    let account = fence.account();
    let message_id = arrival.identity.id.as_str();
    if *accepted == Accepted::Awaited {
        info!(%account, message = message_id, "a message cannot be read: its place is kept for another copy");
        return;
    }
    event::emit(Event::Received {
        account,
        message_id,
        summary: &arrival.summary,
        offline: arrival.inbound.offline,
    });
    match accepted {
        Accepted::Queued {
            job,
            conversation,
            recovered,
        } => {
            if *recovered {
                event::emit(Event::Recovered {
                    account,
                    message_id,
                });
            }
            event::emit(Event::Queued {
                account,
                message_id,
                job_id: job.as_str(),
                conversation_id: conversation.as_str(),
                status: "pending",
                took,
            });
        }
        Accepted::Failed { job, conversation } => event::emit(Event::Queued {
            account,
            message_id,
            job_id: job.as_str(),
            conversation_id: conversation.as_str(),
            status: "failed",
            took,
        }),
        Accepted::Recorded => event::emit(Event::Recorded {
            account,
            message_id,
        }),
        Accepted::Awaited => {}
        Accepted::Duplicate => event::emit(Event::DedupeSkipped {
            account,
            message_id,
        }),
        Accepted::Ignored => {
            if let Disposition::Ignored(refusal) = &arrival.disposition {
                event::emit(Event::Ignored {
                    account,
                    message_id,
                    reason: refusal.as_str(),
                });
            }
        }
    }
}
