//! The events that operators and their queries know by name. A closed list: names and payload fields
//! are a contract, and the human lines are what playbooks tell people to search for.

mod parts;

use std::time::Duration;

use super::meters;
use super::outlets::{self, Level, Told};
use crate::ids::{AccountId, Epoch, JobId, OutboxId, OwnerId};

/// The older name of `whatsapp.session.error`.
pub const SESSION_ERROR_ALIAS: &str = "whatsapp.baileys.error";

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
        name: &'a str,
        reason: &'a str,
        times: u64,
    },
    /// `whatsapp.auth.rollback_detected`
    AuthRolledBack {
        account: &'a AccountId,
        writes: u64,
        known_writes: u64,
    },
    /// `whatsapp.auth.number_refused`; `number` is masked
    NumberRefused {
        account: &'a AccountId,
        number: &'a str,
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
        took: Duration,
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
    /// `agent.job.claimed`
    JobClaimed {
        account: &'a AccountId,
        job_id: &'a str,
        processor_id: &'a str,
        attempt: i64,
    },
    /// `agent.job.completed`
    JobCompleted {
        account: &'a AccountId,
        job_id: &'a str,
        replies: usize,
        attempt: i64,
        took_ms: i64,
    },
    /// `agent.job.failed`: given up, a dead letter
    JobFailed {
        account: &'a AccountId,
        job_id: &'a str,
        reason: &'a str,
        attempt: i64,
        took_ms: i64,
    },
    /// `agent.job.retried`: another attempt comes at `at`, store's clock
    JobRetried {
        account: &'a AccountId,
        job_id: &'a str,
        reason: &'a str,
        attempt: i64,
        took_ms: i64,
        at: i64,
    },
    /// `agent.job.lease_lost`: a claim ran out, or somebody used one that had
    JobLeaseLost {
        /// Unless nobody knows: it was not looked at who has it now.
        account: Option<&'a AccountId>,
        job_id: &'a str,
        processor_id: Option<&'a str>,
    },
    /// `whatsapp.outbound.loop.started`
    OutboundStarted {
        account: &'a AccountId,
        recovered: usize,
    },
    /// `whatsapp.outbound.loop.error`
    OutboundError {
        account: &'a AccountId,
        message: &'a str,
    },
    /// `whatsapp.outbound.sent`; without an attempt: known by a late receipt
    Sent {
        account: &'a AccountId,
        message_id: &'a str,
        attempt: Option<Attempt<'a>>,
    },
    /// `whatsapp.outbound.failed`; with `retry` it is tried again after so long
    SendFailed {
        account: &'a AccountId,
        message_id: &'a str,
        code: &'a str,
        message: &'a str,
        retry: Option<Duration>,
        attempt: Option<Attempt<'a>>,
    },
}

/// An attempt to send that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Its number, from 1.
    pub number: i64,
    /// How long it took.
    pub took: Duration,
    /// What is replied to.
    pub job: Option<&'a JobId>,
    /// The row in the outbox.
    pub outbox: &'a OutboxId,
}

impl Event<'_> {
    const fn level(&self) -> Level {
        match self {
            Self::HeartbeatLost { .. }
            | Self::HeartbeatError { .. }
            | Self::Conflict { .. }
            | Self::Deaf { .. }
            | Self::AuthReset { .. }
            | Self::AuthRepaired { .. }
            | Self::AuthRolledBack { .. }
            | Self::NumberRefused { .. }
            | Self::Lost { .. }
            | Self::JobFailed { .. }
            | Self::JobLeaseLost { .. }
            | Self::OutboundError { .. }
            | Self::SendFailed { .. } => Level::Warn,
            Self::SessionError { .. } => Level::Error,
            _ => Level::Info,
        }
    }

    /// Whether it tells of a message or a job that takes its usual way: there are many of them.
    const fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::Received { .. }
                | Self::Queued { .. }
                | Self::Recorded { .. }
                | Self::DedupeSkipped { .. }
                | Self::Ignored { .. }
                | Self::JobClaimed { .. }
                | Self::JobCompleted { .. }
                | Self::Sent { .. }
        )
    }
}

/// Emits `event` to every sink, and counts it.
pub fn emit(event: Event<'_>) {
    meters::count(&event);
    let level = event.level();
    if !is_shown(level) && !outlets::any() {
        return;
    }
    let (name, line, payload) = event.parts();
    let routine = event.is_routine();
    let tell = |name, payload| {
        let told = Told {
            name,
            level,
            routine,
            line: &line,
            payload,
        };
        let record = outlets::offer(told);
        let json = record.json.as_str();
        match level {
            Level::Info => tracing::info!(target: TARGET, event = name, json, "{line}"),
            Level::Warn => tracing::warn!(target: TARGET, event = name, json, "{line}"),
            Level::Error => tracing::error!(target: TARGET, event = name, json, "{line}"),
        }
    };
    if let Event::SessionError { .. } = event {
        tell(name, payload.clone());
        tell(SESSION_ERROR_ALIAS, payload);
    } else {
        tell(name, payload);
    }
}

/// Whether the log has room for it.
fn is_shown(level: Level) -> bool {
    match level {
        Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: TARGET, tracing::Level::ERROR),
    }
}
