//! Links that show a code once.

use std::time::Duration;

use super::Bench;

on_every_engine!(
    a_link_works_once_for_its_time_and_in_every_process,
    the_oldest_of_too_many_links_gives_way,
);

const LASTS: Duration = Duration::from_secs(60);

async fn a_link_works_once_for_its_time_and_in_every_process(bench: &Bench) {
    let (here, there) = (&bench.store, bench.another().await);
    let ticket = here.issue_ticket(&bench.account, LASTS).await;
    let ticket = ticket.expect("answers");
    let seen = there.ticket(&ticket).await.expect("answers");
    assert_eq!(seen, Some(bench.account.clone()));
    assert_eq!(there.ticket("another").await.expect("answers"), None);
    assert!(!there.use_ticket("another").await.expect("answers"));
    let (one, other) = tokio::join!(here.use_ticket(&ticket), there.use_ticket(&ticket));
    assert_ne!(one.expect("answers"), other.expect("answers"), "used twice");
    assert_eq!(here.ticket(&ticket).await.expect("answers"), None);
    let stored = bench.texts("SELECT hash FROM tickets").await;
    assert!(stored.is_empty(), "{stored:?}");
    let late = here.issue_ticket(&bench.account, Duration::ZERO).await;
    let late = late.expect("answers");
    assert_eq!(here.ticket(&late).await.expect("answers"), None);
    assert!(!here.use_ticket(&late).await.expect("answers"));
    let stored = bench.texts("SELECT hash FROM tickets").await;
    assert_eq!(stored.len(), 1);
    assert_ne!(stored[0], late, "only its hash is kept");
    there.close().await;
}

async fn the_oldest_of_too_many_links_gives_way(bench: &Bench) {
    let first = bench.store.issue_ticket(&bench.account, LASTS).await;
    let first = first.expect("answers");
    for n in 1..=256 {
        assert!(bench.store.ticket(&first).await.expect("answers").is_some());
        let lasts = LASTS + Duration::from_secs(n);
        let issued = bench.store.issue_ticket(&bench.account, lasts).await;
        issued.expect("answers");
    }
    assert_eq!(bench.store.ticket(&first).await.expect("answers"), None);
    let stored = bench.texts("SELECT hash FROM tickets").await;
    assert_eq!(stored.len(), 256);
}
