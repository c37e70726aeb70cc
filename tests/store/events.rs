//! What the workers told: written in one go, found by account, name and time, forgotten.

use std::time::Duration;

use serde_json::json;
use whatsapp_worker::store::{EventFilter, NewEvent, Retention, StoredEvent, Sweep};

use super::Bench;

on_every_engine!(
    events_are_found_by_account_name_and_time,
    pages_of_events_meet_and_who_follows_misses_nothing,
    events_are_forgotten_by_age_and_by_number,
    events_are_kept_all_or_none,
);

const DAY: Duration = Duration::from_hours(24);

impl Bench {
    /// Keeps events of `(id, account, name)`.
    async fn tell(&self, events: &[(&str, Option<&str>, &str)]) {
        let bodies: Vec<_> = events
            .iter()
            .map(|(id, _, name)| json!({"id": id, "event": name, "message": "a\u{0}b"}).to_string())
            .collect();
        let events: Vec<_> = events
            .iter()
            .zip(&bodies)
            .map(|(&(id, account, name), body)| NewEvent {
                id,
                account,
                name,
                body,
            })
            .collect();
        self.store.keep_events(&events).await.expect("answers");
    }

    async fn found(&self, filter: &EventFilter) -> Vec<String> {
        let page = self.store.page_of_events(filter, 100, None).await;
        ids(&page.expect("answers").rows)
    }
}

fn ids(events: &[StoredEvent]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

async fn events_are_found_by_account_name_and_time(bench: &Bench) {
    bench
        .tell(&[
            ("a", Some("shop"), "whatsapp.lease.released"),
            ("b", Some("desk"), "whatsapp.lease.acquire.success"),
            ("c", None, "agent.job.lease_lost"),
        ])
        .await;
    let all = EventFilter::default();
    assert_eq!(bench.found(&all).await, ["c", "b", "a"], "newest first");
    let filter = |account: Option<&str>, prefix: Option<&str>| EventFilter {
        account: account.map(|id| id.parse().expect("valid")),
        prefix: prefix.map(str::to_owned),
        since: None,
    };
    assert_eq!(bench.found(&filter(Some("shop"), None)).await, ["a"]);
    assert_eq!(
        bench.found(&filter(None, Some("whatsapp.lease."))).await,
        ["b", "a"]
    );
    assert_eq!(
        bench
            .found(&filter(Some("desk"), Some("whatsapp.lease.r")))
            .await,
        [""; 0]
    );
    // A pattern is no prefix.
    assert_eq!(bench.found(&filter(None, Some("%lease"))).await, [""; 0]);
    let page = bench
        .store
        .page_of_events(&all, 1, None)
        .await
        .expect("answers");
    let newest = &page.rows[0];
    let body: serde_json::Value = serde_json::from_str(&newest.body).expect("JSON");
    assert_eq!(body["event"], "agent.job.lease_lost");
    assert_eq!(newest.account, None);
    let since = |at| EventFilter {
        since: Some(at),
        ..EventFilter::default()
    };
    assert_eq!(
        bench.found(&since(newest.at)).await.len(),
        3,
        "written at once"
    );
    assert_eq!(bench.found(&since(newest.at + 1)).await, [""; 0]);
}

async fn pages_of_events_meet_and_who_follows_misses_nothing(bench: &Bench) {
    for id in ["a", "b", "c", "d", "e"] {
        bench.tell(&[(id, None, "whatsapp.lease.released")]).await;
    }
    let (all, mut cursor, mut seen) = (EventFilter::default(), None, Vec::new());
    loop {
        let page = bench.store.page_of_events(&all, 2, cursor.as_ref()).await;
        let page = page.expect("answers");
        seen.extend(ids(&page.rows));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
    let (mut last, mut followed) = ((i64::MIN, String::new()), Vec::new());
    loop {
        let part = bench
            .store
            .events_after(&all, last, 2)
            .await
            .expect("answers");
        let Some(event) = part.last() else { break };
        last = (event.at, event.id.clone());
        followed.extend(ids(&part));
    }
    assert_eq!(followed, ["a", "b", "c", "d", "e"]);
}

async fn events_are_forgotten_by_age_and_by_number(bench: &Bench) {
    for id in ["a", "b", "c", "d"] {
        bench.tell(&[(id, None, "whatsapp.lease.released")]).await;
    }
    for (id, at) in [("b", 2), ("c", 3), ("d", 4)] {
        let later = format!("UPDATE events SET at = at + {at} WHERE id = '{id}'");
        bench.sql(&later).await.expect("writes");
    }
    bench
        .sql(&format!(
            "UPDATE events SET at = at - {} WHERE id = 'a'",
            7 * DAY.as_millis() + 1
        ))
        .await
        .expect("writes");
    let all = EventFilter::default();
    let sweep = async |retention: Retention| {
        let mut sweep = Sweep::default();
        while !bench
            .store
            .sweep(retention, &mut sweep)
            .await
            .expect("answers")
            .finished
        {}
    };
    let mut retention = Retention::of_messages(90 * DAY);
    sweep(retention).await;
    assert_eq!(bench.found(&all).await, ["d", "c", "b"], "a is too old");
    retention.most_events = 2;
    sweep(retention).await;
    assert_eq!(bench.found(&all).await, ["d", "c"]);
    sweep(retention).await;
    assert_eq!(bench.found(&all).await.len(), 2, "and no more");
}

async fn events_are_kept_all_or_none(bench: &Bench) {
    bench.tell(&[("a", None, "whatsapp.lease.released")]).await;
    let again = ["b", "a"].map(|id| NewEvent {
        id,
        account: None,
        name: "whatsapp.lease.released",
        body: "{}",
    });
    assert!(bench.store.keep_events(&again).await.is_err());
    assert_eq!(bench.found(&EventFilter::default()).await, ["a"]);
    let many: Vec<String> = (0..500).map(|n| format!("m{n:03}")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|id| NewEvent {
            id,
            account: None,
            name: "whatsapp.lease.released",
            body: "{}",
        })
        .collect();
    bench
        .store
        .keep_events(&many)
        .await
        .expect("as many as a worker writes at once");
    bench.store.keep_events(&[]).await.expect("nothing to do");
    let rows = bench.texts("SELECT id FROM events").await;
    assert_eq!(rows.len(), 501);
}
