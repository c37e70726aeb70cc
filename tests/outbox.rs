//! Messages on their way out: worker processes against the simulator, its faults, and kill -9.

mod acks;
mod commands;
mod kills;
mod sending;
mod stops;

use simulator::{Delivery, Person};
use whatsapp_worker::clock::Boot;
use whatsapp_worker::ids::OutboxId;
use whatsapp_worker::outbound::delivery::{Evidence, Status};
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::store::{Enqueued, Origin, OutboxDetail, OutboxFilter, OutboxRow, Store};

use crate::theatre::{PATIENCE, Theatre};

/// Short times, so that whole rounds fit into a test.
const HASTY: [(&str, &str); 3] = [
    ("OUTBOX_ACK_TIMEOUT_MS", "1000"),
    ("OUTBOX_COOLDOWN_MS", "1000"),
    ("OUTBOX_LANE_BLOCK_MS", "1000"),
];

/// The outbox, seen from outside the workers.
struct Counter {
    store: Store,
    account: whatsapp_worker::ids::AccountId,
}

impl Counter {
    async fn of(theatre: &Theatre) -> Self {
        Self {
            store: theatre.store().await,
            account: theatre.account.clone(),
        }
    }

    async fn post(&self, to: &Person, text: &str) -> OutboxRow {
        let draft = Draft {
            to: Some(to.phone_number().parse().expect("a number")),
            ..Draft::text(text)
        };
        let origin = Origin::Api { request: None };
        let done = self.store.enqueue_message(&self.account, &draft, origin);
        match done.await.expect("the store answers") {
            Enqueued::New(row) => row,
            other => panic!("{other:?}"),
        }
    }

    async fn look(&self, id: &OutboxId) -> OutboxDetail {
        let row = self.store.outbox_row(id).await;
        row.expect("the store answers").expect("it is there")
    }

    async fn all(&self) -> Vec<OutboxRow> {
        let filter = OutboxFilter {
            limit: 1_000_000,
            ..OutboxFilter::default()
        };
        let mut rows = self.store.outbox(&filter).await.expect("the store answers");
        rows.reverse();
        rows
    }

    /// Waits until the message is as `wanted`.
    async fn until(
        &self,
        id: &OutboxId,
        what: &str,
        wanted: impl Fn(&OutboxRow) -> bool,
    ) -> OutboxDetail {
        let patience = Boot::now().plus(PATIENCE);
        loop {
            let detail = self.look(id).await;
            if wanted(&detail.row) {
                return detail;
            }
            assert!(Boot::now() < patience, "not {what} in time: {detail:?}");
            // justified: another process writes the store, and SQLite does not notify.
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }

    async fn status(&self, id: &OutboxId, status: Status) -> OutboxDetail {
        self.until(id, status.as_str(), |row| row.status == status)
            .await
    }

    async fn delivered(&self, id: &OutboxId, evidence: Evidence) -> OutboxDetail {
        self.until(id, evidence.as_str(), |row| row.delivery >= Some(evidence))
            .await
    }
}

/// What `person` sees, in order: phones show a message once, however often it comes under its id.
fn seen(person: &Person) -> Vec<String> {
    let mut shown = std::collections::HashSet::new();
    let messages = person.received().into_iter();
    messages
        .filter(|delivery: &Delivery| !delivery.from_me && !delivery.peer)
        .filter(|delivery| shown.insert(delivery.id.clone()))
        .filter_map(|delivery| delivery.message.text)
        .collect()
}
