//! What each event says: its name, its line for people and its payload.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Attempt, Event};
use crate::clock;
use crate::telemetry::scrub::scrub;

impl Event<'_> {
    pub(super) fn parts(&self) -> (&'static str, String, Value) {
        match *self {
            Self::LeaseAcquired {
                account,
                owner,
                epoch,
                ttl,
            } => (
                "whatsapp.lease.acquire.success",
                format!("[whatsapp] Lease acquired for account '{account}' by '{owner}'"),
                json!({"accountId": account, "ownerId": owner.as_str(), "epoch": epoch, "expiresAt": in_ms(ttl)}),
            ),
            Self::LeaseContended {
                account,
                owner,
                holder,
                remaining_ms,
            } => (
                "whatsapp.lease.acquire.contended",
                format!("[whatsapp] Lease held by '{holder}' for account '{account}', retrying..."),
                json!({"accountId": account, "ownerId": owner.as_str(), "currentOwnerId": holder.as_str(), "expiresAt": clock::wall_ms() + remaining_ms}),
            ),
            Self::HeartbeatLost {
                account,
                owner,
                epoch,
                reason,
            } => (
                "whatsapp.lease.heartbeat.lost",
                format!(
                    "[whatsapp] Lease heartbeat lost for account '{account}' (owner '{owner}')"
                ),
                json!({"accountId": account, "ownerId": owner.as_str(), "epoch": epoch, "reason": reason}),
            ),
            Self::HeartbeatError {
                account,
                owner,
                message,
            } => (
                "whatsapp.lease.heartbeat.error",
                format!(
                    "[whatsapp] Lease heartbeat failed for account '{account}', retrying: {message}"
                ),
                json!({"accountId": account, "ownerId": owner.as_str(), "message": message}),
            ),
            Self::LeaseReleased {
                account,
                owner,
                epoch,
                reason,
            } => (
                "whatsapp.lease.released",
                format!("[whatsapp] Lease released for account '{account}' by '{owner}': {reason}"),
                json!({"accountId": account, "ownerId": owner.as_str(), "epoch": epoch, "reason": reason}),
            ),
            Self::Connected { account } => (
                "whatsapp.connection.established",
                "[whatsapp] Connected successfully".to_owned(),
                json!({"accountId": account}),
            ),
            Self::Closed {
                account,
                status_code,
                should_reconnect,
                reason,
            } => (
                "whatsapp.connection.closed",
                format!("[whatsapp] Connection of account '{account}' closed: {reason}"),
                json!({"accountId": account, "statusCode": status_code, "shouldReconnect": should_reconnect, "reason": reason}),
            ),
            Self::Conflict { account, in_a_row } => (
                "whatsapp.connection.conflict",
                format!(
                    "[whatsapp] Account '{account}' was connected from elsewhere with the same credentials ({in_a_row} in the last minute)"
                ),
                json!({"accountId": account, "inARow": in_a_row}),
            ),
            Self::Deaf { account, in_a_row } => (
                "whatsapp.session.deaf",
                format!(
                    "[whatsapp] The server does not answer account '{account}' any more ({in_a_row} connections in a row), connecting again..."
                ),
                json!({"accountId": account, "inARow": in_a_row}),
            ),
            Self::QrAvailable { account, valid } => (
                "whatsapp.qr.available",
                format!(
                    "[whatsapp] QR code for account '{account}': scan it in WhatsApp > Linked devices, or see `whatsapp-worker link --account {account}`"
                ),
                json!({"accountId": account, "expiresAt": in_ms(valid)}),
            ),
            Self::AuthMode { account, mode } => (
                "whatsapp.auth.mode_selected",
                format!("[whatsapp] Auth mode: {mode}"),
                json!({"accountId": account, "mode": mode}),
            ),
            Self::AuthReset { account, reason } => (
                "whatsapp.auth.reset",
                format!("[whatsapp] Account '{account}' must be linked again: {reason}"),
                json!({"accountId": account, "reason": reason}),
            ),
            Self::AuthRepaired {
                account,
                name,
                reason,
                times,
            } => (
                "whatsapp.auth.repaired",
                format!("[whatsapp] Repaired {name} of account '{account}': {reason}"),
                json!({"accountId": account, "name": name, "reason": reason, "times": times}),
            ),
            Self::AuthRolledBack {
                account,
                writes,
                known_writes,
            } => (
                "whatsapp.auth.rollback_detected",
                format!(
                    "[whatsapp] The auth state of account '{account}' is an older copy: {writes} writes, and {known_writes} were known"
                ),
                json!({"accountId": account, "writes": writes, "knownWrites": known_writes}),
            ),
            Self::NumberRefused { account, number } => (
                "whatsapp.auth.number_refused",
                format!(
                    "[whatsapp] A phone with another number ({number}) was turned away from account '{account}'"
                ),
                json!({"accountId": account, "number": number}),
            ),
            Self::SessionError { account, message } => {
                let message = theirs(message);
                (
                    "whatsapp.session.error",
                    format!("[whatsapp] Session of account '{account}': {message}"),
                    json!({"accountId": account, "message": message}),
                )
            }
            Self::Received {
                account,
                message_id,
                summary,
                offline,
            } => (
                "whatsapp.inbound.received",
                format!("[whatsapp] Received {message_id} for account '{account}': {summary}"),
                json!({"accountId": account, "channelMessageId": message_id, "summary": summary, "offline": offline}),
            ),
            Self::Queued {
                account,
                message_id,
                job_id,
                conversation_id,
                status,
                took,
            } => (
                "whatsapp.inbound.queued",
                format!(
                    "[whatsapp] Queued {message_id} for account '{account}' as {job_id} ({status})"
                ),
                json!({"accountId": account, "channelMessageId": message_id, "jobId": job_id, "conversationId": conversation_id, "status": status, "durationMs": ms(took)}),
            ),
            Self::Recorded {
                account,
                message_id,
            } => (
                "whatsapp.inbound.recorded",
                format!("[whatsapp] Recorded {message_id} for account '{account}', no job"),
                json!({"accountId": account, "channelMessageId": message_id}),
            ),
            Self::DedupeSkipped {
                account,
                message_id,
            } => (
                "whatsapp.inbound.dedupe_skipped",
                format!("[whatsapp] Skipped {message_id} for account '{account}': already queued"),
                json!({"accountId": account, "channelMessageId": message_id}),
            ),
            Self::Ignored {
                account,
                message_id,
                reason,
            } => (
                "whatsapp.inbound.ignored_not_allowed",
                format!("[whatsapp] Ignored {message_id} for account '{account}': {reason}"),
                json!({"accountId": account, "channelMessageId": message_id, "reason": reason}),
            ),
            Self::Recovered {
                account,
                message_id,
            } => (
                "whatsapp.inbound.recovered",
                format!("[whatsapp] Recovered {message_id} for account '{account}'"),
                json!({"accountId": account, "channelMessageId": message_id}),
            ),
            Self::Lost {
                account,
                message_id,
                asked,
            } => (
                "whatsapp.inbound.lost",
                format!(
                    "[whatsapp] Lost {message_id} for account '{account}': asked {asked} times, no answer"
                ),
                json!({"accountId": account, "channelMessageId": message_id, "asked": asked}),
            ),
            Self::JobClaimed {
                account,
                job_id,
                processor_id,
                attempt,
            } => (
                "agent.job.claimed",
                format!("[agent] Job {job_id} of account '{account}' claimed by '{processor_id}'"),
                json!({"accountId": account, "jobId": job_id, "processorId": processor_id, "attempt": attempt}),
            ),
            Self::JobCompleted {
                account,
                job_id,
                replies,
                attempt,
                took_ms,
            } => (
                "agent.job.completed",
                format!("[agent] Job {job_id} of account '{account}' completed"),
                json!({"accountId": account, "jobId": job_id, "replies": replies, "attemptCount": attempt, "durationMs": took_ms}),
            ),
            Self::JobFailed {
                account,
                job_id,
                reason,
                attempt,
                took_ms,
            } => (
                "agent.job.failed",
                format!("[agent] Job {job_id} of account '{account}' failed: {reason}"),
                json!({"accountId": account, "jobId": job_id, "errorReason": reason, "attemptCount": attempt, "durationMs": took_ms}),
            ),
            Self::JobRetried {
                account,
                job_id,
                reason,
                attempt,
                took_ms,
                at,
            } => (
                "agent.job.retried",
                format!("[agent] Job {job_id} of account '{account}' is tried again: {reason}"),
                json!({"accountId": account, "jobId": job_id, "errorReason": reason, "attemptCount": attempt, "durationMs": took_ms, "nextAttemptAt": at}),
            ),
            Self::JobLeaseLost {
                account,
                job_id,
                processor_id,
            } => (
                "agent.job.lease_lost",
                format!("[agent] The claim of job {job_id} was lost"),
                json!({"accountId": account, "jobId": job_id, "processorId": processor_id}),
            ),
            Self::OutboundStarted { account, recovered } => (
                "whatsapp.outbound.loop.started",
                format!("[whatsapp] Starting outbound delivery loop... account '{account}'"),
                json!({"accountId": account, "recovered": recovered}),
            ),
            Self::OutboundError { account, message } => (
                "whatsapp.outbound.loop.error",
                format!("[whatsapp] The outbox of account '{account}' cannot be read: {message}"),
                json!({"accountId": account, "message": message}),
            ),
            Self::Sent {
                account,
                message_id,
                attempt,
            } => (
                "whatsapp.outbound.sent",
                format!("[whatsapp] Sent {message_id} for account '{account}'"),
                with(
                    json!({"accountId": account, "channelMessageId": message_id}),
                    attempt.as_ref(),
                ),
            ),
            Self::SendFailed {
                account,
                message_id,
                code,
                message,
                retry,
                attempt,
            } => {
                let message = theirs(message);
                let mut line = format!(
                    "[whatsapp] Sending {message_id} for account '{account}' failed: {message}"
                );
                if let Some(wait) = retry {
                    line += &format!("; again in {} s", wait.as_secs());
                }
                (
                    "whatsapp.outbound.failed",
                    line,
                    with(
                        json!({"accountId": account, "channelMessageId": message_id, "errorCode": code, "message": message, "willRetry": retry.is_some()}),
                        attempt.as_ref(),
                    ),
                )
            }
        }
    }
}

/// What may quote the protocol library, before it is told to anybody: its errors name people as its lines
/// do.
fn theirs(message: &str) -> Cow<'_, str> {
    scrub(message, true)
}

/// Wall-clock time of something that is `ahead` by this machine's clock: for people.
fn in_ms(ahead: Duration) -> i64 {
    clock::wall_ms().saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX))
}

fn with(mut payload: Value, attempt: Option<&Attempt<'_>>) -> Value {
    if let Some(attempt) = attempt {
        payload["outboxId"] = json!(attempt.outbox);
        payload["jobId"] = json!(attempt.job);
        payload["attempt"] = attempt.number.into();
        payload["durationMs"] = ms(attempt.took);
    }
    payload
}

fn ms(took: Duration) -> Value {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AccountId;

    #[test]
    fn errors_of_the_protocol_library_lose_whom_they_name() {
        let account: AccountId = "shop".parse().expect("an account");
        let message = "no session with 100000012345678.0:5 (push name 'Anna')";
        let clean = "no session with …78.0:5 (push name '…')";
        let failed = Event::SessionError {
            account: &account,
            message,
        };
        let unsent = Event::SendFailed {
            account: &account,
            message_id: "3EB0",
            code: "failed",
            message,
            retry: Some(Duration::from_secs(2)),
            attempt: None,
        };
        for (event, ends) in [(failed, clean), (unsent, "; again in 2 s")] {
            let (_, line, payload) = event.parts();
            assert!(line.contains(clean) && line.ends_with(ends), "{line}");
            assert_eq!(payload["message"], clean);
        }
    }
}
