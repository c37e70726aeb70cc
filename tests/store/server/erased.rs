//! A conversation that is erased while somebody writes into it.

use std::pin::pin;

use futures_util::poll;
use whatsapp_worker::ids::ConversationId;
use whatsapp_worker::store::Engine;

use super::Witness;
use crate::store::{Bench, message, on, pn, queued};

const ALICE: &str = "49151000001";

#[tokio::test]
async fn a_message_into_a_conversation_that_is_being_erased_opens_a_new_one() {
    on(Engine::Postgres, async |bench: &Bench| {
        let fence = bench.fence().await;
        let first = vec![message("A", pn(ALICE), "hi")];
        bench.accept(&fence, first).await.expect("ours");
        let mut witness = Witness::of(bench).await;
        witness.run("BEGIN; DELETE FROM conversations").await;
        let mut next = pin!(bench.accept(&fence, vec![message("B", pn(ALICE), "again")]));
        while witness.waiting().await < 1 {
            assert!(poll!(&mut next).is_pending());
        }
        witness.run("COMMIT").await;
        assert!(queued(&next.await.expect("ours")[0]));
        let reachable =
            "SELECT m.key FROM messages m JOIN conversations c ON c.conv = m.conv ORDER BY m.key";
        assert_eq!(bench.texts(reachable).await, ["B"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_being_written_into_a_conversation_is_erased_with_it() {
    on(Engine::Postgres, async |bench: &Bench| {
        let fence = bench.fence().await;
        let first = vec![message("A", pn(ALICE), "hi")];
        bench.accept(&fence, first).await.expect("ours");
        let conv = ConversationId(bench.texts("SELECT conv FROM conversations").await.remove(0));
        let mut witness = Witness::of(bench).await;
        // What a commit of another message does, up to its end.
        witness
            .run(
                "BEGIN; UPDATE conversations SET last_message_at = last_message_at + 1;
                 INSERT INTO messages SELECT account_id, 'B', conv, 'B', sender_pn, sender_lid, from_me,
                   push_name, sent_at, content, context, raw, committed_at FROM messages",
            )
            .await;
        let mut purge = pin!(bench.store.purge_conversation(&conv, "o"));
        while witness.waiting().await < 1 {
            assert!(poll!(&mut purge).is_pending());
        }
        witness.run("COMMIT").await;
        assert_eq!(purge.await.expect("answers"), Some(2));
        assert_eq!(bench.texts("SELECT key FROM messages").await, [""; 0]);
    })
    .await;
}
