//! The shared store: reachable, fast enough, of the right schema, with a clock like ours.

use std::time::Duration;

use super::{Finding, disk};
use crate::app::existing_store;
use crate::clock::{self, Boot};
use crate::config::Config;
use crate::store::{Place, Store, StoreError};

/// A store that answers slower than this makes heartbeats late.
const SLOW: Duration = Duration::from_millis(500);
/// A clock that is further off makes times in logs misleading.
const MOST_OFFSET_MS: i64 = 5_000;

pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) {
    if let Ok(Place::Sqlite(path)) = Place::parse(&config.store_url)
        && !path.exists()
    {
        findings.push(Finding::passed(
            "store",
            format!(
                "there is none at {} yet: `whatsapp-worker run` makes it",
                path.display()
            ),
        ));
        return;
    }
    match existing_store(config).await {
        Ok(store) => {
            look(&store, findings).await;
            store.close().await;
        }
        Err(error) => findings.push(failure(&error)),
    }
}

async fn look(store: &Store, findings: &mut Vec<Finding>) {
    let asked = Boot::now();
    let answer = store.now_ms().await;
    let took = Boot::now().since(asked);
    let now = match answer {
        Ok(now) => now,
        Err(error) => {
            findings.push(failure(&error));
            return;
        }
    };
    let here = format!("{} at {}", store.engine(), store.place());
    let took_ms = took.as_millis();
    findings.push(if took < SLOW {
        Finding::fine("store", format!("{here}, answers in {took_ms} ms"))
    } else {
        Finding::failed(
            "store",
            format!("{here} answers in {took_ms} ms: heartbeats will be late"),
            "move it closer, or to a faster disk",
        )
    });
    findings.push(match store.schema_version().await {
        Ok((there, known)) if there == known => Finding::fine("schema", there.to_string()),
        Ok((there, known)) => Finding::fine(
            "schema",
            format!("{there}, made by a newer version; this one knows {known} and gets along"),
        ),
        Err(error) => failure(&error),
    });
    let offset = now - clock::wall_ms();
    findings.push(if offset.abs() < MOST_OFFSET_MS {
        Finding::fine("clock", format!("{offset} ms from the store's"))
    } else {
        Finding::failed(
            "clock",
            format!("{offset} ms from the store's: leases do not mind, times in logs mislead"),
            "have NTP set the clock of this machine, or of the store's",
        )
    });
    if let Some(file) = store.file() {
        findings.push(disk("disk of the store", file));
    }
}

fn failure(error: &StoreError) -> Finding {
    let cure = match error {
        StoreError::Unavailable(_) => {
            "see that the server runs and that this machine may reach it; `whatsapp-worker config print` shows STORE_URL without its password"
        }
        StoreError::Unusable(_) => "do what it says, or have STORE_URL name another store",
        StoreError::Rejected(_) | StoreError::Fenced(_) => {
            "give the user of STORE_URL all rights on its database, and see that nothing else changes its tables"
        }
    };
    Finding::failed("store", error.to_string(), cure)
}
