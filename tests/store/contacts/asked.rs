//! What other processes ask the holder of an account to look up and to show.

use super::*;

on_every_engine!(
    a_lookup_is_answered_by_the_holder_and_kept,
    hints_are_taken_once_and_tell_what_was_read,
);

async fn a_lookup_is_answered_by_the_holder_and_kept(bench: &Bench) {
    let fence = bench.fence().await;
    let elsewhere = bench.another().await;
    let phone = Phone::parse(NUMBER).expect("a number");
    let nobody = Phone::parse("49151000002").expect("a number");
    let lookup = async |phone: &Phone, ms| {
        let wait = Duration::from_millis(ms);
        elsewhere
            .lookup(&bench.account, phone, wait)
            .await
            .expect("answers")
    };
    assert_eq!(lookup(&phone, 0).await, Lookup::Unknown);
    assert_eq!(
        bench
            .store
            .open_lookups(&bench.account)
            .await
            .expect("answers"),
        []
    );
    let holder = async {
        let mut changes = bench.store.watch(whatsapp_worker::store::Topic::Outbox);
        loop {
            let open = bench
                .store
                .open_lookups(&bench.account)
                .await
                .expect("answers");
            if open.len() == 2 {
                assert_eq!(
                    bench.store.asked_accounts().await.expect("answers").len(),
                    1
                );
                let looked: Vec<Looked> = open
                    .into_iter()
                    .map(|asked| Looked {
                        found: (Some(&asked) == pn(NUMBER).pn.as_ref()).then(|| both(NUMBER, "7")),
                        asked,
                    })
                    .collect();
                return bench
                    .store
                    .answer_lookups(&fence, &looked)
                    .await
                    .expect("ours");
            }
            changes.next().await;
        }
    };
    let (one, two, ()) = tokio::join!(lookup(&phone, 20_000), lookup(&nobody, 20_000), holder);
    assert_eq!(one, Lookup::Known(both(NUMBER, "7")));
    assert_eq!(two, Lookup::NotOnWhatsApp);
    assert_eq!(lookup(&nobody, 0).await, Lookup::NotOnWhatsApp, "kept");
    let spelt = Looked {
        asked: pn("5511900000001").pn.expect("a number"),
        found: Some(both("551100000001", "9")),
    };
    let spelt = bench.store.answer_lookups(&fence, &[spelt]).await;
    spelt.expect("ours");
    let other = Phone::parse("5511900000001").expect("a number");
    assert_eq!(
        lookup(&other, 0).await,
        Lookup::Known(both("551100000001", "9"))
    );
    let known = bench
        .arrives(&fence, message("A", both("551100000001", "9"), "hi"))
        .await;
    assert_eq!(
        bench.goes("+5511900000001", "ours").await,
        known,
        "in the other spelling"
    );
    assert_eq!(
        bench.store.asked_accounts().await.expect("answers").len(),
        0
    );
    let old = bench
        .sql("UPDATE contacts SET checked_at = checked_at - 86400001")
        .await;
    assert_eq!(old.expect("runs"), 4);
    assert_eq!(lookup(&nobody, 0).await, Lookup::Unknown, "a day later");
    elsewhere.close().await;
}

async fn hints_are_taken_once_and_tell_what_was_read(bench: &Bench) {
    let fence = bench.fence().await;
    let conv = bench.arrives(&fence, message("A", pn(NUMBER), "one")).await;
    bench.arrives(&fence, message("B", pn(NUMBER), "two")).await;
    let hint = async |hint| {
        let hinted = bench.store.hint(&bench.account, &conv, hint).await;
        assert!(hinted.expect("answers"));
    };
    let take = async || {
        let shown = bench.store.take_hints(&fence).await.expect("ours");
        shown
            .into_iter()
            .map(|shown| {
                assert_eq!(shown.conversation, conv);
                assert_eq!(shown.chat.pn, pn(NUMBER).pn);
                shown.what
            })
            .collect::<Vec<_>>()
    };
    hint(Hint::Paused).await;
    hint(Hint::Typing { ms: 1500 }).await;
    assert_eq!(take().await, [Showing::Typing(Duration::from_millis(1500))]);
    assert_eq!(take().await, []);
    hint(Hint::Read).await;
    let ids = |shown: Vec<Showing>| match &shown[..] {
        [Showing::Read(read)] => {
            let mut ids: Vec<_> = read.iter().map(|read| read.message_id.clone()).collect();
            ids.sort();
            ids
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(ids(take().await), ["A", "B"]);
    bench
        .arrives(&fence, message("C", pn(NUMBER), "three"))
        .await;
    hint(Hint::Read).await;
    assert_eq!(ids(take().await), ["C"]);
    hint(Hint::Paused).await;
    bench
        .sql("UPDATE hints SET asked_at = asked_at - 30001")
        .await
        .expect("runs");
    assert_eq!(take().await, [], "nobody is interested any more");
    let unknown = ConversationId::new();
    let hinted = bench.store.hint(&bench.account, &unknown, Hint::Read).await;
    assert!(!hinted.expect("answers"));
}
