//! The events that operators and their queries know by name. A closed list: names and payload fields
//! are a contract, and the human lines are what playbooks tell people to search for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::ids::{AccountId, Epoch, OwnerId};

/// The older name of `whatsapp.session.error`.
pub(super) const SESSION_ERROR_ALIAS: &str = "whatsapp.baileys.error";

/// The `tracing` target of events.
pub const TARGET: &str = "whatsapp_worker::event";

/// Something that happened. Payloads carry no message text, no keys, no unmasked address.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are the payload's, named alike")]
pub enum Event<'a> {
    /// `whatsapp.lease.acquire.success`
    LeaseAcquired {
        account: &'a AccountId,
        owner: &'a OwnerId,
        epoch: Epoch,
        ttl: Duration,
    },
    /// `whatsapp.lease.acquire.contended`
    LeaseContended {
        account: &'a AccountId,
        owner: &'a OwnerId,
        holder: &'a OwnerId,
        remaining_ms: i64,
    },
    /// `whatsapp.lease.heartbeat.lost`
    HeartbeatLost {
        account: &'a AccountId,
        owner: &'a OwnerId,
        epoch: Epoch,
        reason: &'a str,
    },
    /// `whatsapp.lease.heartbeat.error`
    HeartbeatError {
        account: &'a AccountId,
        owner: &'a OwnerId,
        message: &'a str,
    },
    /// `whatsapp.lease.released`
    LeaseReleased {
        account: &'a AccountId,
        owner: &'a OwnerId,
        epoch: Epoch,
        reason: &'a str,
    },
    /// `whatsapp.connection.established`
    Connected { account: &'a AccountId },
    /// `whatsapp.connection.closed`
    Closed {
        account: &'a AccountId,
        status_code: Option<u16>,
        should_reconnect: bool,
        reason: &'a str,
    },
    /// `whatsapp.connection.conflict`
    Conflict {
        account: &'a AccountId,
        in_a_row: usize,
    },
    /// `whatsapp.session.deaf`
    Deaf {
        account: &'a AccountId,
        in_a_row: u32,
    },
    /// `whatsapp.qr.available`
    QrAvailable {
        account: &'a AccountId,
        valid: Duration,
    },
    /// `whatsapp.auth.mode_selected`
    AuthMode {
        account: &'a AccountId,
        mode: &'a str,
    },
    /// `whatsapp.auth.reset`
    AuthReset {
        account: &'a AccountId,
        reason: &'a str,
    },
    /// `whatsapp.auth.repaired`: something of the auth state was dropped so that it is made anew
    AuthRepaired {
        account: &'a AccountId,
        record: &'a str,
        reason: &'a str,
    },
    /// `whatsapp.session.error`, and again as `whatsapp.baileys.error`, its older name
    SessionError {
        account: &'a AccountId,
        message: &'a str,
    },
    /// `whatsapp.inbound.received`
    Received {
        account: &'a AccountId,
        message_id: &'a str,
        summary: &'a str,
        offline: bool,
    },
    /// `whatsapp.inbound.queued`
    Queued {
        account: &'a AccountId,
        message_id: &'a str,
        job_id: &'a str,
        conversation_id: &'a str,
        status: &'a str,
    },
    /// `whatsapp.inbound.recorded`
    Recorded {
        account: &'a AccountId,
        message_id: &'a str,
    },
    /// `whatsapp.inbound.dedupe_skipped`
    DedupeSkipped {
        account: &'a AccountId,
        message_id: &'a str,
    },
    /// `whatsapp.inbound.ignored_not_allowed`
    Ignored {
        account: &'a AccountId,
        message_id: &'a str,
        reason: &'a str,
    },
    /// `whatsapp.inbound.recovered`
    Recovered {
        account: &'a AccountId,
        message_id: &'a str,
    },
    /// `whatsapp.inbound.lost`
    Lost {
        account: &'a AccountId,
        message_id: &'a str,
        asked: i64,
    },
    /// `whatsapp.outbound.sent`
    Sent {
        account: &'a AccountId,
        message_id: &'a str,
    },
    /// `whatsapp.outbound.failed`
    SendFailed {
        account: &'a AccountId,
        message_id: &'a str,
        message: &'a str,
    },
}

/// Emits `event` to every sink.
pub fn emit(event: Event<'_>) {
    let (name, line, payload) = event.parts();
    let payload = payload.to_string();
    match event {
        Event::HeartbeatLost { .. }
        | Event::HeartbeatError { .. }
        | Event::Conflict { .. }
        | Event::Deaf { .. }
        | Event::AuthReset { .. }
        | Event::AuthRepaired { .. }
        | Event::Lost { .. }
        | Event::SendFailed { .. } => {
            tracing::warn!(target: TARGET, event = name, payload, "{line}");
        }
        Event::SessionError { .. } => {
            tracing::error!(target: TARGET, event = name, payload, "{line}");
            tracing::error!(target: TARGET, event = SESSION_ERROR_ALIAS, payload, "{line}");
        }
        _ => tracing::info!(target: TARGET, event = name, payload, "{line}"),
    }
}

impl Event<'_> {
    fn parts(&self) -> (&'static str, String, Value) {
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
                record,
                reason,
            } => (
                "whatsapp.auth.repaired",
                format!("[whatsapp] Repaired {record} of account '{account}': {reason}"),
                json!({"accountId": account, "record": record, "reason": reason}),
            ),
            Self::SessionError { account, message } => (
                "whatsapp.session.error",
                format!("[whatsapp] Session of account '{account}': {message}"),
                json!({"accountId": account, "message": message}),
            ),
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
            } => (
                "whatsapp.inbound.queued",
                format!(
                    "[whatsapp] Queued {message_id} for account '{account}' as {job_id} ({status})"
                ),
                json!({"accountId": account, "channelMessageId": message_id, "jobId": job_id, "conversationId": conversation_id, "status": status}),
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
            Self::Sent {
                account,
                message_id,
            } => (
                "whatsapp.outbound.sent",
                format!("[whatsapp] Sent {message_id} for account '{account}'"),
                json!({"accountId": account, "channelMessageId": message_id}),
            ),
            Self::SendFailed {
                account,
                message_id,
                message,
            } => (
                "whatsapp.outbound.failed",
                format!(
                    "[whatsapp] Sending {message_id} for account '{account}' failed: {message}"
                ),
                json!({"accountId": account, "channelMessageId": message_id, "message": message}),
            ),
        }
    }
}

/// Wall-clock time of something that is `ahead` by this machine's clock: for people.
fn in_ms(ahead: Duration) -> i64 {
    clock::wall_ms().saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX))
}
