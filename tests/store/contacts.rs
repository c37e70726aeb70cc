//! People, whatever form of their address is known, and what holders are asked about them.

use std::time::Duration;

use whatsapp_worker::ids::{ConversationId, Jid, Phone};
use whatsapp_worker::inbound::message::{Inbound, Party};
use whatsapp_worker::outbound::delivery::Rules;
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::store::{
    Accepted, ClaimRequest, Contact, Enqueued, Fence, Hint, Looked, Lookup, Met, Origin, Showing,
    StoreError,
};

use super::{Bench, message, pn};

mod asked;

on_every_engine!(
    a_person_is_one_contact_whatever_is_learned_first,
    a_number_that_passes_to_another_person_takes_no_name_along,
    the_conversations_of_one_person_become_one_in_order,
    conversations_are_left_apart_while_somebody_works_in_one,
    a_number_whose_hidden_id_is_known_opens_no_second_conversation,
);

const NUMBER: &str = "49151000001";

fn lid(user: &str) -> Party {
    Party {
        pn: None,
        lid: Some(Jid::new(format!("{user}@lid"))),
    }
}

fn both(number: &str, user: &str) -> Party {
    Party {
        pn: pn(number).pn,
        lid: lid(user).lid,
    }
}

fn called(person: Party, name: &str) -> Met {
    Met {
        person,
        push_name: Some(name.to_owned()),
        saved_name: None,
    }
}

impl Bench {
    async fn meet(&self, fence: &Fence, met: &[Met]) {
        self.store.meet(fence, met).await.expect("ours");
    }

    async fn contact(&self, jid: Option<&Jid>) -> Option<Contact> {
        let jid = jid.expect("an address");
        let contact = self.store.contact(&self.account, jid).await;
        contact.expect("answers")
    }

    async fn arrives(&self, fence: &Fence, inbound: Inbound) -> ConversationId {
        let accepted = self.accept(fence, vec![inbound]).await.expect("ours");
        match &accepted[0] {
            Accepted::Queued { conversation, .. } => conversation.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn goes(&self, to: &str, text: &str) -> ConversationId {
        let added = self.store.add_account(&self.account, "test").await;
        added.expect("answers");
        let draft = Draft {
            to: Some(to.parse().expect("a recipient")),
            ..Draft::text(text)
        };
        let origin = Origin::Api { request: None };
        match self
            .store
            .enqueue_message(&self.account, &draft, origin)
            .await
        {
            Ok(Enqueued::New(row)) => row.conversation_id,
            other => panic!("{other:?}"),
        }
    }

    /// The texts of all jobs, in the order in which agents get them.
    async fn worked_off(&self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let claims = self.claim_job().await;
            let [claim] = &claims[..] else { break };
            texts.push(
                claim.job.content["body"]
                    .as_str()
                    .expect("a text")
                    .to_owned(),
            );
            let completion = Default::default();
            let done =
                self.store
                    .complete_job(&claim.job.job.job_id, &claim.claim_token, &completion);
            done.await.expect("answers");
        }
        texts
    }

    async fn claim_job(&self) -> Vec<whatsapp_worker::store::Claim> {
        let request = ClaimRequest {
            accounts: None,
            processor_id: "test".to_owned(),
            limit: 1,
            lock: Duration::from_secs(60),
        };
        self.store.claim_jobs(&request).await.expect("answers")
    }
}

async fn a_person_is_one_contact_whatever_is_learned_first(bench: &Bench) {
    let fence = bench.fence().await;
    bench
        .meet(
            &fence,
            &[called(pn(NUMBER), "Ada"), called(lid("7"), "Ada L.")],
        )
        .await;
    assert!(
        bench
            .contact(pn(NUMBER).pn.as_ref())
            .await
            .expect("met")
            .person
            .lid
            .is_none()
    );
    let book = Met {
        person: both(NUMBER, "7"),
        push_name: None,
        saved_name: Some("Countess".to_owned()),
    };
    bench.meet(&fence, &[book]).await;
    let ada = bench.contact(pn(NUMBER).pn.as_ref()).await.expect("met");
    assert_eq!(ada.person, both(NUMBER, "7"));
    assert_eq!(ada.push_name.as_deref(), Some("Ada L."));
    assert_eq!(ada.saved_name.as_deref(), Some("Countess"));
    assert_eq!(bench.contact(lid("7").lid.as_ref()).await, Some(ada));
    assert_eq!(bench.sql("DELETE FROM contacts").await.expect("runs"), 1);
    bench
        .bid(|bid| bid.dead = Some(fence.epoch()))
        .await
        .expect("taken");
    let late = bench.store.meet(&fence, &[called(lid("7"), "late")]).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))));
}

async fn a_number_that_passes_to_another_person_takes_no_name_along(bench: &Bench) {
    let fence = bench.fence().await;
    bench
        .meet(
            &fence,
            &[
                called(both(NUMBER, "7"), "Ada"),
                called(both(NUMBER, "8"), "Bob"),
            ],
        )
        .await;
    let bob = bench.contact(pn(NUMBER).pn.as_ref()).await.expect("met");
    assert_eq!(
        (bob.person, bob.push_name.as_deref()),
        (both(NUMBER, "8"), Some("Bob"))
    );
    let ada = bench.contact(lid("7").lid.as_ref()).await.expect("met");
    assert_eq!(
        (ada.person, ada.push_name.as_deref()),
        (lid("7"), Some("Ada"))
    );
}

async fn the_conversations_of_one_person_become_one_in_order(bench: &Bench) {
    let fence = bench.fence().await;
    let first = bench.arrives(&fence, message("A", lid("7"), "one")).await;
    let second = bench.goes(&format!("+{NUMBER}"), "ours").await;
    assert_ne!(first, second);
    let also = bench.arrives(&fence, message("B", pn(NUMBER), "two")).await;
    assert_eq!(also, second);
    bench.arrives(&fence, message("C", lid("7"), "three")).await;
    bench.goes("7@lid", "ours too").await;
    // The mapping is told by a message that comes in both forms.
    let one = bench
        .arrives(&fence, message("D", both(NUMBER, "7"), "four"))
        .await;
    assert_eq!(one, first);
    assert_eq!(bench.worked_off().await, ["one", "two", "three", "four"]);
    for to in [
        format!("+{NUMBER}"),
        "7@lid".to_owned(),
        second.as_str().to_owned(),
    ] {
        assert_eq!(bench.goes(&to, "again").await, first, "{to}");
    }
    let mut sent = Vec::new();
    loop {
        let claimed = bench
            .store
            .claim_outgoing(&fence, 10, &Rules::default())
            .await
            .expect("ours");
        let [dispatch] = &claimed.messages[..] else {
            break;
        };
        assert_eq!(dispatch.conversation, first);
        assert_eq!(dispatch.chat.pn, pn(NUMBER).pn);
        let draft = dispatch.draft.as_ref().expect("readable");
        sent.push(draft.content.words().expect("a text").to_owned());
        let gone = format!(
            "UPDATE outbox SET status = 'sent' WHERE outbox_id = '{}';
             UPDATE outbox_lanes SET state = 'ready'",
            dispatch.id.as_str()
        );
        bench.sql(&gone).await.expect("runs");
    }
    assert_eq!(sent, ["ours too", "ours", "again", "again", "again"]);
    let talk = bench.store.conversation_messages(&first, None, 100).await;
    assert_eq!(talk.expect("answers").len(), 9);
    // Whoever is erased by an id of before is erased.
    let purged = bench.store.purge_conversation(&second, "o").await;
    assert!(
        purged
            .expect("answers")
            .is_some_and(|messages| messages > 0)
    );
    let talk = bench.store.conversation_messages(&first, None, 100).await;
    assert_eq!(talk.expect("answers").len(), 0);
}

async fn conversations_are_left_apart_while_somebody_works_in_one(bench: &Bench) {
    let fence = bench.fence().await;
    let added = bench.store.add_account(&bench.account, "test").await;
    added.expect("answers");
    bench.arrives(&fence, message("A", pn(NUMBER), "one")).await;
    let newer = bench.arrives(&fence, message("B", lid("7"), "two")).await;
    let claims = [bench.claim_job().await, bench.claim_job().await].concat();
    let working = claims
        .iter()
        .find(|claim| claim.job.job.conversation_id == newer);
    let working = working.expect("claimed");
    bench
        .meet(&fence, &[called(both(NUMBER, "7"), "Ada")])
        .await;
    let completion = Default::default();
    let done = bench
        .store
        .complete_job(&working.job.job.job_id, &working.claim_token, &completion);
    let done = done.await.expect("answers");
    assert!(
        matches!(done, whatsapp_worker::store::Completed::Done { .. }),
        "{done:?}"
    );
    bench
        .meet(&fence, &[called(both(NUMBER, "7"), "Ada")])
        .await;
    let merged = bench
        .sql("DELETE FROM conversations WHERE merged_into IS NOT NULL")
        .await;
    assert_eq!(merged.expect("runs"), 1);
}

async fn a_number_whose_hidden_id_is_known_opens_no_second_conversation(bench: &Bench) {
    let fence = bench.fence().await;
    let known = bench.arrives(&fence, message("A", lid("7"), "one")).await;
    bench
        .meet(&fence, &[called(both(NUMBER, "7"), "Ada")])
        .await;
    assert_eq!(bench.goes(&format!("+{NUMBER}"), "ours").await, known);
    let taught = bench
        .store
        .claim_outgoing(&fence, 1, &Rules::default())
        .await;
    let taught = &taught.expect("ours").messages[0].chat;
    assert_eq!(
        (taught.pn.clone(), taught.lid.clone()),
        (pn(NUMBER).pn, lid("7").lid)
    );
    assert_ne!(bench.goes("+49151000002", "ours").await, known);
}
