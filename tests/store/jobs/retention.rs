//! What is forgotten with time, and at once.

use std::time::Duration;

use serde_json::json;
use whatsapp_worker::ids::{ConversationId, UploadId};
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::store::{Accepted, Completed, Enqueued, Origin, Retention, Sweep};

use super::{ALICE, BOB, message, pn, said};
use crate::store::Bench;
use crate::store::uploads::upload;

on_every_engine!(
    a_sweep_forgets_what_is_old_and_keeps_what_is_young_or_still_to_be_done,
    a_sweep_goes_on_where_it_was,
    a_purged_conversation_leaves_nothing_but_the_knowledge_that_its_messages_came,
);

const DAY: Duration = Duration::from_hours(24);

impl Bench {
    async fn sweep(&self, retention: Retention) -> u64 {
        let (mut sweep, mut rows) = (Sweep::default(), 0);
        loop {
            let swept = self.store.sweep(retention, &mut sweep).await;
            let swept = swept.expect("answers");
            rows += swept.rows;
            if swept.finished {
                assert_eq!(sweep, Sweep::default());
                return rows;
            }
        }
    }

    pub(super) async fn rows(&self, table: &str) -> i64 {
        let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&self.url)
            .await
            .expect("connects");
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(count)
            .fetch_one(&mut connection)
            .await
            .expect("counts")
    }

    async fn send_file(&self, to: &ConversationId, file: &UploadId) {
        let draft = json!({"to": to, "content": {"type": "image", "media": {"upload": file}}});
        let draft: Draft = serde_json::from_value(draft).expect("a draft");
        let origin = Origin::Api { request: None };
        let sent = self.store.enqueue_message(&self.account, &draft, origin);
        assert!(matches!(sent.await.expect("answers"), Enqueued::New(_)));
    }

    /// Makes everything that is there `days` older.
    async fn age(&self, days: i64) {
        let ms = days * 86_400_000;
        for (table, columns) in [
            ("jobs", &["created_at", "updated_at", "finished_at"][..]),
            ("inbox", &["committed_at"]),
            ("messages", &["committed_at"]),
            ("conversations", &["last_message_at"]),
            ("outbox", &["created_at"]),
        ] {
            for column in columns {
                let update = format!("UPDATE {table} SET {column} = {column} - {ms}");
                self.sql(&update).await.expect("writes");
            }
        }
    }
}

async fn a_sweep_forgets_what_is_old_and_keeps_what_is_young_or_still_to_be_done(bench: &Bench) {
    let retention = Retention::of_messages(90 * DAY);
    bench.receive(&[(ALICE, "old"), (BOB, "waits")]).await;
    let claims = bench.take(2).await;
    let old = claims
        .iter()
        .find(|claim| said(std::slice::from_ref(claim)) == ["old"]);
    let done = bench
        .complete(old.expect("claimed"), &["sent", "waits"])
        .await;
    assert!(matches!(done, Completed::Done { .. }));
    bench
        .sql("UPDATE outbox SET status = 'sent' WHERE reply_index = 0")
        .await
        .expect("writes");
    assert_eq!(bench.sweep(retention).await, 0);
    bench.age(8).await;
    assert_eq!(bench.sweep(retention).await, 1);
    assert_eq!(
        (bench.rows("jobs").await, bench.rows("inbox").await),
        (1, 2)
    );
    bench.age(28).await;
    assert_eq!(bench.sweep(retention).await, 2);
    assert_eq!(
        (bench.rows("inbox").await, bench.rows("messages").await),
        (0, 2)
    );
    bench.age(50).await;
    assert_eq!(bench.sweep(retention).await, 0);
    bench.age(10).await;
    bench.receive(&[(BOB, "young")]).await;
    // Both messages, and what was sent; not what still is to be worked on or sent.
    assert_eq!(bench.sweep(retention).await, 3);
    assert_eq!(
        (bench.rows("messages").await, bench.rows("outbox").await),
        (1, 1)
    );
    assert_eq!(bench.rows("jobs").await, 2);
    assert_eq!(bench.rows("conversations WHERE name IS NULL").await, 1);
}

async fn a_sweep_goes_on_where_it_was(bench: &Bench) {
    let crowd: Vec<(String, String)> = (0..450)
        .map(|n| (format!("4915200{n:04}"), format!("m{n}")))
        .collect();
    for part in crowd.chunks(150) {
        let texts: Vec<(&str, &str)> = part
            .iter()
            .map(|(who, text)| (who.as_str(), text.as_str()))
            .collect();
        bench.receive(&texts).await;
    }
    let many: Vec<String> = (0..600).map(|n| format!("hot{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|text| (ALICE, text.as_str())).collect();
    bench.receive(&many).await;
    bench.age(100).await;
    bench.receive(&[(BOB, "young")]).await;
    assert_eq!(
        bench.sweep(Retention::of_messages(90 * DAY)).await,
        1050 + 1050
    );
    assert_eq!(
        (bench.rows("messages").await, bench.rows("inbox").await),
        (1, 1)
    );
}

async fn a_purged_conversation_leaves_nothing_but_the_knowledge_that_its_messages_came(
    bench: &Bench,
) {
    let many: Vec<String> = (0..600).map(|n| format!("a{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|text| (ALICE, text.as_str())).collect();
    bench.receive(&many).await;
    bench.receive(&[(BOB, "b1")]).await;
    let claims = bench.take(10).await;
    let hers = claims
        .iter()
        .find(|claim| said(std::slice::from_ref(claim)) == ["a0"]);
    let hers = hers.expect("claimed");
    let conv = &hers.job.job.conversation_id;
    let store = &bench.store;
    let (hers_alone, shared) = (upload(bench, &[1]).await, upload(bench, &[2]).await);
    let bobs = claims
        .iter()
        .find(|claim| said(std::slice::from_ref(claim)) == ["b1"]);
    let bobs = &bobs.expect("claimed").job.job.conversation_id;
    for (to, file) in [(conv, &hers_alone), (conv, &shared), (bobs, &shared)] {
        bench.send_file(to, file).await;
    }
    let nobody = ConversationId("conv_none".to_owned());
    let purged = store
        .purge_conversation(&nobody, "o")
        .await
        .expect("answers");
    assert_eq!(purged, None);
    let purged = store.purge_conversation(conv, "o").await.expect("answers");
    assert_eq!(purged, Some(600));
    assert_eq!(bench.complete(hers, &["late"]).await, Completed::Stale);
    for (table, left) in [
        ("messages", 1),
        ("jobs", 1),
        ("lanes", 1),
        ("conversations", 1),
        ("outbox", 1),
        ("uploads", 1),
        ("upload_chunks", 1),
    ] {
        assert_eq!(bench.rows(table).await, left, "{table}");
    }
    let left = store.use_upload(&shared).await.expect("answers");
    assert!(left.is_some(), "another conversation's file stays");
    assert_eq!(bench.rows("inbox").await, 601);
    let known = format!("inbox WHERE sender_pn LIKE '{ALICE}%' OR chat_pn LIKE '{ALICE}%'");
    assert_eq!(bench.rows(&known).await, 0);
    let row = store
        .lease(&bench.account)
        .await
        .expect("answers")
        .expect("a row");
    let fence = bench
        .bid(|bid| bid.unchanged = Some((row.epoch, row.beat)))
        .await
        .expect("taken");
    let again = vec![
        message("a7", pn(ALICE), "a7"),
        message("new", pn(ALICE), "new"),
    ];
    let accepted = bench.accept(&fence, again).await.expect("ours");
    assert_eq!(accepted[0], Accepted::Duplicate);
    assert!(matches!(accepted[1], Accepted::Queued { .. }));
    assert_eq!(said(&bench.take(10).await), ["new"]);
}
