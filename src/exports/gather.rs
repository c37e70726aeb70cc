//! From a queue of events to batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use crate::clock::Boot;
use crate::telemetry::outlets::Record;

/// Events of a batch.
pub const MOST_EVENTS: usize = 1_000;
/// Bytes of a batch.
pub const MOST_BYTES: usize = 1 << 20;

/// Between two looks at the queue: to be woken by each event would cost its emitter.
const LOOK: Duration = Duration::from_millis(100);

/// The way out of one sink's queue.
pub(super) struct Gatherer {
    queue: mpsc::Receiver<Arc<Record>>,
    /// What did not fit into the batch before.
    carried: Option<Arc<Record>>,
}

impl Gatherer {
    pub(super) const fn of(queue: mpsc::Receiver<Arc<Record>>) -> Self {
        let carried = None;
        Self { queue, carried }
    }

    /// The next batch: full, or as old as `linger`, or at once when `stop` is near; none: the queue has
    /// ended. Not cancel safe: it holds the batch.
    pub(super) async fn next(
        &mut self,
        linger: Duration,
        stop: &CancellationToken,
    ) -> Option<Vec<Arc<Record>>> {
        let first = match self.carried.take() {
            Some(carried) => carried,
            None => self.queue.recv().await?,
        };
        let until = Boot::now().plus(linger);
        let mut bytes = first.json.len() + 1;
        let mut batch = vec![first];
        loop {
            while batch.len() < MOST_EVENTS {
                match self.queue.try_recv() {
                    Ok(record) if bytes + record.json.len() < MOST_BYTES => {
                        bytes += record.json.len() + 1;
                        batch.push(record);
                    }
                    Ok(record) => {
                        self.carried = Some(record);
                        return Some(batch);
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Some(batch),
                }
            }
            let left = until.remaining();
            if batch.len() >= MOST_EVENTS || left.is_zero() || stop.is_cancelled() {
                return Some(batch);
            }
            // A pause holds nothing.
            tokio::select! {
                () = tokio::time::sleep(LOOK.min(left)) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> Arc<Record> {
        Arc::new(Record::bare("whatsapp.inbound.queued", true, line))
    }

    async fn sizes(records: Vec<Arc<Record>>) -> Vec<usize> {
        let (queue, out) = mpsc::channel(records.len());
        for record in records {
            queue.try_send(record).expect("there is room");
        }
        drop(queue);
        let mut gatherer = Gatherer::of(out);
        let stop = CancellationToken::new();
        let mut sizes = Vec::new();
        while let Some(batch) = gatherer.next(Duration::from_secs(60), &stop).await {
            let bytes: usize = batch.iter().map(|record| record.json.len() + 1).sum();
            assert!(bytes <= MOST_BYTES, "{bytes}");
            sizes.push(batch.len());
        }
        sizes
    }

    #[tokio::test]
    async fn a_batch_ends_at_a_thousand_events_or_at_a_mebibyte() {
        assert_eq!(sizes(vec![record("short"); 2_001]).await, [1_000, 1_000, 1]);
        let long = record(&"x".repeat(60_000));
        assert_eq!(sizes(vec![long; 20]).await, [17, 3]);
    }

    #[tokio::test]
    async fn what_waits_leaves_when_it_is_old_enough_or_the_process_ends() {
        let (queue, out) = mpsc::channel(10);
        let mut gatherer = Gatherer::of(out);
        let stop = CancellationToken::new();
        queue.try_send(record("one")).expect("there is room");
        let batch = gatherer.next(Duration::from_millis(20), &stop).await;
        assert_eq!(batch.map(|batch| batch.len()), Some(1), "after its time");
        queue.try_send(record("two")).expect("there is room");
        stop.cancel();
        let batch = gatherer.next(Duration::from_hours(1), &stop).await;
        assert_eq!(batch.map(|batch| batch.len()), Some(1), "at once");
    }
}
