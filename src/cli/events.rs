//! `events`: what the workers told lately.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::ids::AccountId;
use crate::store::{EventFilter, Store, StoredEvent};

/// How often new events are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Of two workers that write at once, the later one may be seen first, by no more than this.
const OVERLAP_MS: i64 = 5_000;
/// Rows of one look.
const PART: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// The newest events of all workers, the oldest of them first.
    Tail(Tail),
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    /// Go on with what is told from now on, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only this account's.
    #[arg(long)]
    account: Option<AccountId>,
    /// Only events whose name begins so, e.g. whatsapp.lease.
    #[arg(long, value_name = "PREFIX")]
    event: Option<String>,
    /// Not older than this, e.g. 90s, 15m, 1h, 2d.
    #[arg(long, value_parser = age)]
    since: Option<Duration>,
    /// At most so many before those that follow.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(0..=100_000))]
    limit: i64,
}

impl Events {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self::Tail(tail) = self;
        let store = existing_store(&load_config()?).await?;
        let done = tail.run(&store, output).await;
        store.close().await;
        done
    }
}

impl Tail {
    async fn run(self, store: &Store, output: Output) -> Result<(), CliError> {
        let now = store.now_ms().await?;
        let since = self.since.map(|age| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            now.saturating_sub(age)
        });
        let filter = EventFilter {
            account: self.account,
            prefix: self.event,
            since,
        };
        let page = store.page_of_events(&filter, self.limit, None).await?;
        page.rows.iter().rev().for_each(|event| show(output, event));
        if !self.follow {
            return Ok(());
        }
        let mut seen: BTreeSet<_> = page.rows.into_iter().map(place).collect();
        // What was left out above is not what follows.
        let floor = seen.first().cloned().unwrap_or((now, String::new()));
        let mut newest = seen.last().map_or(now, |(at, _)| *at);
        loop {
            let from = (newest.saturating_sub(OVERLAP_MS), String::new());
            seen.retain(|place| *place >= from);
            for event in after(store, &filter, from.max(floor.clone())).await {
                newest = newest.max(event.at);
                if !seen.contains(&(event.at, event.id.clone())) {
                    show(output, &event);
                    seen.insert(place(event));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What orders events.
fn place(event: StoredEvent) -> (i64, String) {
    (event.at, event.id)
}

/// Everything behind `last`; a store that does not answer is asked again.
async fn after(store: &Store, filter: &EventFilter, mut last: (i64, String)) -> Vec<StoredEvent> {
    let mut found = Vec::new();
    loop {
        let part = match store.events_after(filter, last, PART).await {
            Ok(part) => part,
            Err(error) => {
                tracing::warn!(%error, "the store does not answer, retrying...");
                return found;
            }
        };
        let full = i64::try_from(part.len()).is_ok_and(|rows| rows == PART);
        found.extend(part);
        match found.last() {
            Some(event) if full => last = (event.at, event.id.clone()),
            _ => return found,
        }
    }
}

/// A line for programs is the event as it was told.
fn show(output: Output, event: &StoredEvent) {
    match output {
        Output::Json => put!("{}", event.body),
        Output::Table => {
            let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
            let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
            put!(
                "{}  {:<5}  {}  {}  {}",
                text("_time"),
                text("level"),
                text("worker"),
                event.name,
                text("message")
            );
        }
    }
}

/// A whole number with its unit.
fn age(text: &str) -> Result<Duration, &'static str> {
    let wrong = "write a whole number and s, m, h or d, e.g. 1h";
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong),
    };
    let number: u64 = number.parse().map_err(|_| wrong)?;
    let seconds = number.checked_mul(seconds).ok_or(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        assert_eq!(age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(age("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(age("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(age("2d"), Ok(Duration::from_hours(48)));
        for wrong in [
            "",
            "1",
            "h",
            "1.5h",
            "-1h",
            "1w",
            "1é",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
