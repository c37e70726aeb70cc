//! What the store holds, as gauges.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::ids::{AccountId, OwnerId};
use crate::store::Census;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Whose {
    account: AccountId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    account: AccountId,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Doing {
    account: AccountId,
    state: String,
    reason: String,
}

/// Milliseconds are told in seconds.
type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Default)]
struct Gauges {
    store_up: Gauge,
    enabled: Family<Whose, Gauge>,
    paused: Family<Whose, Gauge>,
    epoch: Family<Whose, Gauge>,
    held: Family<Whose, Gauge>,
    session: Family<Doing, Gauge>,
    jobs: Family<Standing, Gauge>,
    oldest_job: Family<Whose, Seconds>,
    outbox: Family<Standing, Gauge>,
    oldest_message: Family<Whose, Seconds>,
}

/// Writes `census`, as the process sees it that holds leases as `owner`. None: the store does not answer.
pub(super) fn write(into: &mut String, census: Option<&Census>, owner: &OwnerId) {
    let gauges = Gauges::default();
    gauges.store_up.set(i64::from(census.is_some()));
    if let Some(census) = census {
        gauges.read(census, owner);
    }
    // Writing to a String cannot fail.
    let _ = encode_registry(into, &gauges.registered());
}

impl Gauges {
    fn read(&self, census: &Census, owner: &OwnerId) {
        for account in &census.accounts {
            let whose = of(&account.id);
            let enabled = i64::from(account.enabled);
            self.enabled.get_or_create(&whose).set(enabled);
            let paused = i64::from(account.paused);
            self.paused.get_or_create(&whose).set(paused);
            // What there is nothing of is told as nothing.
            self.held.get_or_create(&whose).set(0);
            self.oldest_job.get_or_create(&whose).set(0.0);
            self.oldest_message.get_or_create(&whose).set(0.0);
            for status in ["pending", "processing", "dead"] {
                let standing = standing(&account.id, status);
                self.jobs.get_or_create(&standing).set(0);
            }
            for status in ["pending", "sending"] {
                let standing = standing(&account.id, status);
                self.outbox.get_or_create(&standing).set(0);
            }
        }
        for lease in &census.leases {
            let whose = of(&lease.account);
            self.epoch.get_or_create(&whose).set(lease.epoch.0);
            if lease.holder() != Some(owner) {
                continue;
            }
            self.held.get_or_create(&whose).set(1);
            if let Some(session) = census.sessions.get(&lease.account) {
                let doing = Doing {
                    account: lease.account.clone(),
                    state: session.state.clone(),
                    reason: session.reason.clone().unwrap_or_default(),
                };
                self.session.get_or_create(&doing).set(1);
            }
        }
        for queue in &census.queues {
            let counts = [
                ("pending", queue.pending),
                ("processing", queue.processing),
                ("dead", queue.dead),
            ];
            for (status, jobs) in counts {
                let standing = standing(&queue.account_id, status);
                self.jobs.get_or_create(&standing).set(jobs);
            }
            let oldest = seconds(queue.oldest_age_ms.unwrap_or(0));
            let whose = of(&queue.account_id);
            self.oldest_job.get_or_create(&whose).set(oldest);
        }
        for outbox in &census.outboxes {
            let counts = [("pending", outbox.pending), ("sending", outbox.sending)];
            for (status, messages) in counts {
                let standing = standing(&outbox.account_id, status);
                self.outbox.get_or_create(&standing).set(messages);
            }
            let oldest = seconds(outbox.oldest_age_ms);
            let whose = of(&outbox.account_id);
            self.oldest_message.get_or_create(&whose).set(oldest);
        }
    }

    fn registered(self) -> Registry {
        let mut registry = Registry::with_prefix("wa");
        registry.register("store_up", "Whether the store answers", self.store_up);
        registry.register(
            "account_enabled",
            "Whether workers may operate it",
            self.enabled,
        );
        registry.register(
            "account_paused",
            "Whether sending is stopped by an operator or a restriction",
            self.paused,
        );
        registry.register("lease_epoch", "Acquisitions so far", self.epoch);
        registry.register("lease_held", "Whether this worker holds it", self.held);
        registry.register(
            "session_state",
            "What this worker's session does: 1 for its state and reason",
            self.session,
        );
        registry.register("jobs", "Jobs by status; dead: dead letters", self.jobs);
        registry.register(
            "job_oldest_seconds",
            "How long the oldest job that is not finished is there",
            self.oldest_job,
        );
        registry.register(
            "outbox_depth",
            "Messages to be sent, and on their way",
            self.outbox,
        );
        registry.register(
            "outbox_oldest_seconds",
            "How long the oldest of them is there",
            self.oldest_message,
        );
        registry
    }
}

fn of(account: &AccountId) -> Whose {
    Whose {
        account: account.clone(),
    }
}

fn standing(account: &AccountId, status: &str) -> Standing {
    Standing {
        account: account.clone(),
        status: status.to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "ages are far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
