//! What this process counts and times, for `/metrics`. Counters follow the events, so that both tell the
//! same; what is measured in the store is read at a scrape instead ([`crate::metrics`]).
//!
//! Labels are accounts and closed lists of words: never a person, so there are as many series as accounts.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::event::Event;
use crate::ids::AccountId;

/// Bounds of what the store does, in seconds.
const QUICK: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Bounds of what WhatsApp answers, in seconds.
const PATIENT: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl EncodeLabelValue for AccountId {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Whose {
    account: AccountId,
}

/// One account, and what became of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    account: AccountId,
    result: &'static str,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Where {
    sink: &'static str,
}

/// All of it, of one process.
struct Meters {
    lease_transitions: Family<Ended, Counter>,
    heartbeat_errors: Family<Whose, Counter>,
    fence_rejections: Family<Whose, Counter>,
    connections: Family<Whose, Counter>,
    reconnects: Family<Whose, Counter>,
    conflicts: Family<Whose, Counter>,
    deaf: Family<Whose, Counter>,
    session_errors: Family<Whose, Counter>,
    auth: Family<Ended, Counter>,
    inbound: Family<Ended, Counter>,
    recovered: Family<Whose, Counter>,
    lost: Family<Whose, Counter>,
    outbound: Family<Ended, Counter>,
    jobs: Family<Ended, Counter>,
    commit: Histogram,
    attempt: Histogram,
    exported: Family<Where, Counter>,
    dropped: Family<Where, Counter>,
    spooled: Family<Where, Gauge>,
    sink_up: Family<Where, Gauge>,
}

static METERS: LazyLock<(Meters, Registry)> = LazyLock::new(|| {
    let mut registry = Registry::with_prefix("wa");
    let meters = Meters::registered(&mut registry);
    (meters, registry)
});

impl Meters {
    fn registered(registry: &mut Registry) -> Self {
        Self {
            lease_transitions: counter(
                registry,
                "lease_transitions",
                "Leases acquired, released and lost by this worker",
            ),
            heartbeat_errors: counter(
                registry,
                "heartbeat_errors",
                "Renewals of a lease that the store did not answer",
            ),
            fence_rejections: counter(
                registry,
                "fence_rejections",
                "Writes that the store refused because the lease is another's",
            ),
            connections: counter(
                registry,
                "session_connections",
                "Connections to WhatsApp that were established",
            ),
            reconnects: counter(
                registry,
                "session_reconnects",
                "Connections that ended and are made again",
            ),
            conflicts: counter(
                registry,
                "session_conflicts",
                "Connections that another client of the same device ended",
            ),
            deaf: counter(
                registry,
                "session_deaf",
                "Connections that were open and not answered",
            ),
            session_errors: counter(registry, "session_errors", "Errors of a session"),
            auth: counter(
                registry,
                "auth_incidents",
                "Auth states that were reset, repaired, or found to be older copies",
            ),
            inbound: counter(
                registry,
                "inbound_messages",
                "Messages that came, by what became of them",
            ),
            recovered: counter(
                registry,
                "inbound_recovered",
                "Messages that were missing and came after all",
            ),
            lost: counter(
                registry,
                "inbound_lost",
                "Messages that are missing and were given up",
            ),
            outbound: counter(
                registry,
                "outbound_messages",
                "Attempts to send, by what became of them",
            ),
            jobs: counter(
                registry,
                "job_events",
                "Claims and ends of jobs that this process saw",
            ),
            commit: histogram(
                registry,
                "inbound_commit_seconds",
                "How long the transaction of a batch of messages took",
                &QUICK,
            ),
            attempt: histogram(
                registry,
                "outbound_seconds",
                "How long an attempt to send took, up to WhatsApp's answer",
                &PATIENT,
            ),
            exported: counter(registry, "events_exported", "Events that a sink took"),
            dropped: counter(
                registry,
                "events_dropped",
                "Events that a sink did not get and never will",
            ),
            spooled: gauge(
                registry,
                "events_spooled_bytes",
                "What waits on this disk for a sink",
            ),
            sink_up: gauge(
                registry,
                "events_sink_up",
                "Whether a sink took what it was given last",
            ),
        }
    }
}

fn counter<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: EncodeLabelSet + Clone + fmt::Debug + Eq + std::hash::Hash + Send + Sync + 'static,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

fn gauge<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Gauge>
where
    L: EncodeLabelSet + Clone + fmt::Debug + Eq + std::hash::Hash + Send + Sync + 'static,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

fn histogram(registry: &mut Registry, name: &str, help: &str, bounds: &[f64]) -> Histogram {
    let histogram = Histogram::new(bounds.iter().copied());
    registry.register(name, help, histogram.clone());
    histogram
}

impl Meters {
    /// Series of an account begin with zero: who looks for increases would not see the first one.
    fn prepare(&self, account: &AccountId) {
        for family in [
            &self.heartbeat_errors,
            &self.fence_rejections,
            &self.connections,
            &self.reconnects,
            &self.conflicts,
            &self.deaf,
            &self.session_errors,
            &self.recovered,
            &self.lost,
        ] {
            let account = account.clone();
            drop(family.get_or_create(&Whose { account }));
        }
        for (family, results) in [
            (
                &self.lease_transitions,
                &["acquired", "released", "lost"][..],
            ),
            (&self.auth, &["reset", "repaired", "rolled_back"]),
            (
                &self.inbound,
                &["queued", "recorded", "duplicate", "ignored"],
            ),
            (&self.outbound, &["sent", "failed", "retried"]),
            (
                &self.jobs,
                &["claimed", "completed", "failed", "retried", "lease_lost"],
            ),
        ] {
            for &result in results {
                let account = account.clone();
                drop(family.get_or_create(&Ended { account, result }));
            }
        }
    }
}

/// What was counted so far, in the text format, without its end.
pub fn write(into: &mut String) {
    // Writing to a String cannot fail.
    let _ = encode_registry(into, &METERS.1);
}

/// A batch of messages was committed.
pub fn committed(took: Duration) {
    METERS.0.commit.observe(took.as_secs_f64());
}

/// An attempt to send ended.
pub fn attempted(took: Duration) {
    METERS.0.attempt.observe(took.as_secs_f64());
}

/// A protected write was refused: the lease is another's.
pub fn fenced(account: &AccountId) {
    one(&METERS.0.fence_rejections, account);
}

/// Series of a sink begin with zero, and it is taken to be well.
pub(super) fn prepare_sink(sink: &'static str) {
    exported(sink, 0);
    dropped(sink, 0);
    spooled(sink, 0);
    sink_is_up(sink, true);
}

/// A sink took events.
pub fn exported(sink: &'static str, count: u64) {
    METERS
        .0
        .exported
        .get_or_create(&Where { sink })
        .inc_by(count);
}

/// A sink will never get events.
pub(super) fn dropped(sink: &'static str, count: u64) {
    METERS
        .0
        .dropped
        .get_or_create(&Where { sink })
        .inc_by(count);
}

/// So many bytes wait for a sink.
pub fn spooled(sink: &'static str, bytes: u64) {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    METERS.0.spooled.get_or_create(&Where { sink }).set(bytes);
}

/// Whether a sink took what it was given last.
pub fn sink_is_up(sink: &'static str, up: bool) {
    METERS
        .0
        .sink_up
        .get_or_create(&Where { sink })
        .set(i64::from(up));
}

fn one(family: &Family<Whose, Counter>, account: &AccountId) {
    let account = account.clone();
    family.get_or_create(&Whose { account }).inc();
}

fn ended(family: &Family<Ended, Counter>, account: &AccountId, result: &'static str) {
    let account = account.clone();
    family.get_or_create(&Ended { account, result }).inc();
}

/// Counts what happened.
pub(super) fn count(event: &Event<'_>) {
    let meters = &METERS.0;
    match *event {
        Event::LeaseAcquired { account, .. } => {
            meters.prepare(account);
            ended(&meters.lease_transitions, account, "acquired");
        }
        Event::LeaseReleased { account, .. } => {
            ended(&meters.lease_transitions, account, "released");
        }
        Event::HeartbeatLost { account, .. } => ended(&meters.lease_transitions, account, "lost"),
        Event::HeartbeatError { account, .. } => one(&meters.heartbeat_errors, account),
        Event::Connected { account } => one(&meters.connections, account),
        Event::Closed {
            account,
            should_reconnect: true,
            ..
        } => one(&meters.reconnects, account),
        Event::Conflict { account, .. } => one(&meters.conflicts, account),
        Event::Deaf { account, .. } => one(&meters.deaf, account),
        Event::SessionError { account, .. } => one(&meters.session_errors, account),
        Event::AuthReset { account, .. } => ended(&meters.auth, account, "reset"),
        Event::AuthRepaired { account, .. } => ended(&meters.auth, account, "repaired"),
        Event::AuthRolledBack { account, .. } => ended(&meters.auth, account, "rolled_back"),
        Event::Queued { account, .. } => ended(&meters.inbound, account, "queued"),
        Event::Recorded { account, .. } => ended(&meters.inbound, account, "recorded"),
        Event::DedupeSkipped { account, .. } => ended(&meters.inbound, account, "duplicate"),
        Event::Ignored { account, .. } => ended(&meters.inbound, account, "ignored"),
        Event::Recovered { account, .. } => one(&meters.recovered, account),
        Event::Lost { account, .. } => one(&meters.lost, account),
        Event::JobClaimed { account, .. } => ended(&meters.jobs, account, "claimed"),
        Event::JobCompleted { account, .. } => ended(&meters.jobs, account, "completed"),
        Event::JobFailed { account, .. } => ended(&meters.jobs, account, "failed"),
        Event::JobRetried { account, .. } => ended(&meters.jobs, account, "retried"),
        Event::JobLeaseLost {
            account: Some(account),
            ..
        } => ended(&meters.jobs, account, "lease_lost"),
        Event::Sent { account, .. } => ended(&meters.outbound, account, "sent"),
        Event::SendFailed {
            account,
            retry: None,
            ..
        } => ended(&meters.outbound, account, "failed"),
        Event::SendFailed { account, .. } => ended(&meters.outbound, account, "retried"),
        Event::LeaseContended { .. }
        | Event::Closed { .. }
        | Event::QrAvailable { .. }
        | Event::AuthMode { .. }
        | Event::NumberRefused { .. }
        | Event::Received { .. }
        | Event::JobLeaseLost { account: None, .. }
        | Event::OutboundStarted { .. }
        | Event::OutboundError { .. } => {}
    }
}
