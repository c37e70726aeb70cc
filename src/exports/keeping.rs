//! The store as a sink: for who asks `events tail` what all workers tell. Every other write is more
//! important, so there is little of it: a transaction of at most [`MOST`] events each `linger`. When there
//! are more, what tells of single messages and jobs on their usual way is passed over first; the counters
//! have it all. What the store does not take in time is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Pace;
use crate::clock::Boot;
use crate::store::{NewEvent, Store};
use crate::telemetry::event::SESSION_ERROR_ALIAS;
use crate::telemetry::meters;
use crate::telemetry::outlets::{Losses, QUEUE, Record};

/// As metrics name it.
pub(super) const SINK: &str = "store";

/// Events of one transaction.
const MOST: usize = 500;

/// How long the store may take: less than between two batches, and little when the process ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends a little after the queue has ended.
pub(super) async fn run(
    store: Store,
    mut queue: mpsc::Receiver<Arc<Record>>,
    losses: Losses,
    pace: Pace,
    hurry: CancellationToken,
) {
    let mut told = Boot::NEVER;
    let mut records = Vec::new();
    while queue.recv_many(&mut records, QUEUE).await > 0 {
        // A pause holds nothing.
        tokio::select! {
            () = tokio::time::sleep(pace.linger) => {}
            () = hurry.cancelled() => {}
        }
        while let Ok(record) = queue.try_recv() {
            records.push(record);
        }
        let batch = choose(std::mem::take(&mut records), &losses);
        keep(&store, &batch, &losses).await;
        if Boot::now().since(told) >= pace.chores {
            losses.tell();
            told = Boot::now();
        }
    }
    losses.tell();
}

/// At most [`MOST`], in their order; the rest is counted.
fn choose(records: Vec<Arc<Record>>, losses: &Losses) -> Vec<Arc<Record>> {
    // Under its older name it is the same event.
    let told = records
        .into_iter()
        .filter(|record| record.name != SESSION_ERROR_ALIAS);
    let told: Vec<_> = told.collect();
    let rare = told.iter().filter(|record| !record.routine).count();
    let (mut rare_left, mut routine_left) = (MOST, MOST.saturating_sub(rare));
    let (mut kept, mut passed, mut lost) = (Vec::new(), 0, 0);
    for record in told {
        let (left, beyond) = match record.routine {
            true => (&mut routine_left, &mut passed),
            false => (&mut rare_left, &mut lost),
        };
        if *left > 0 {
            *left -= 1;
            kept.push(record);
        } else {
            *beyond += 1;
        }
    }
    losses.pass_over(passed);
    losses.add(lost, "more events in a moment than the store keeps");
    kept
}

async fn keep(store: &Store, batch: &[Arc<Record>], losses: &Losses) {
    let count = batch.len() as u64;
    let events = batch.iter().map(|record| NewEvent {
        id: &record.id,
        account: record.account.as_deref(),
        name: record.name,
        body: &record.json,
    });
    let events: Vec<_> = events.collect();
    let why = match tokio::time::timeout(PATIENCE, store.keep_events(&events)).await {
        Ok(Ok(())) => {
            meters::exported(SINK, count);
            meters::sink_is_up(SINK, true);
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the store does not answer".to_owned(),
    };
    meters::sink_is_up(SINK, false);
    losses.add(count, &why);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &'static str, routine: bool) -> Arc<Record> {
        Arc::new(Record::bare(name, routine, ""))
    }

    #[test]
    fn when_there_are_too_many_the_routine_is_passed_over_and_the_order_stays() {
        let losses = Losses::of("test");
        let mut records = vec![record("whatsapp.inbound.queued", true); MOST];
        records.push(record("whatsapp.lease.released", false));
        records.push(record(SESSION_ERROR_ALIAS, false));
        let kept = choose(records, &losses);
        let names: Vec<_> = kept.iter().map(|record| record.name).collect();
        assert_eq!(names.len(), MOST);
        assert_eq!(
            names[MOST - 2..],
            ["whatsapp.inbound.queued", "whatsapp.lease.released"]
        );
        assert_eq!(
            losses.total(),
            0,
            "one was passed over, which is told to nobody"
        );
        let rare = vec![record("whatsapp.lease.released", false); MOST + 2];
        assert_eq!(choose(rare, &losses).len(), MOST);
        assert_eq!(losses.total(), 2);
    }
}
