//! What is handed in, and what people do about it.

use super::*;

on_every_engine!(
    a_repeated_request_gives_the_first_message_and_another_one_with_its_key_is_a_conflict,
    requests_made_at_once_with_one_key_are_one_message,
    every_form_of_a_recipient_is_one_conversation,
    a_message_without_a_place_to_go_is_refused,
    a_message_is_taken_back_while_it_waits_and_not_later,
    a_message_that_was_given_up_is_tried_anew_under_its_id,
    a_message_whose_content_is_erased_is_not_tried_anew,
    the_list_is_filtered_and_newest_first,
    a_conversation_is_read_back_in_one_order_page_by_page,
);

async fn a_repeated_request_gives_the_first_message_and_another_one_with_its_key_is_a_conflict(
    bench: &Bench,
) {
    bench.send(BOB, "unrelated").await;
    let enqueue = async |draft: &Draft, request: &Request| {
        let origin = Origin::Api {
            request: Some(request),
        };
        let done = bench
            .store
            .enqueue_message(&bench.account, draft, origin)
            .await;
        done.expect("answers")
    };
    let hello = draft(ALICE, "hello");
    let request = Request::new("key-1", &hello);
    let Enqueued::New(first) = enqueue(&hello, &request).await else {
        panic!("it is new")
    };
    assert_eq!(
        enqueue(&hello, &request).await,
        Enqueued::Repeated(first.clone())
    );
    let asked = bench.store.repeated_request(&bench.account, &request).await;
    assert_eq!(
        asked.expect("answers"),
        Some(Enqueued::Repeated(first.clone()))
    );
    let other = draft(ALICE, "good bye");
    let reused = Request::new("key-1", &other);
    assert_eq!(enqueue(&other, &reused).await, Enqueued::Conflict);
    let asked = bench.store.repeated_request(&bench.account, &reused).await;
    assert_eq!(asked.expect("answers"), Some(Enqueued::Conflict));
    let fresh = Request::new("key-2", &hello);
    let asked = bench.store.repeated_request(&bench.account, &fresh).await;
    assert_eq!(asked.expect("answers"), None);
    assert!(
        matches!(enqueue(&hello, &fresh).await, Enqueued::New(row) if row.outbox_id != first.outbox_id)
    );
}

async fn requests_made_at_once_with_one_key_are_one_message(bench: &Bench) {
    bench.send(BOB, "unrelated").await;
    let hello = draft(ALICE, "hello");
    let request = Request::new("key", &hello);
    let origin = Origin::Api {
        request: Some(&request),
    };
    let (store, account) = (&bench.store, &bench.account);
    let (a, b, c, d) = tokio::join!(
        store.enqueue_message(account, &hello, origin),
        store.enqueue_message(account, &hello, origin),
        store.enqueue_message(account, &hello, origin),
        store.enqueue_message(account, &hello, origin),
    );
    let done: Vec<_> = [a, b, c, d]
        .into_iter()
        .map(|done| done.expect("answers"))
        .collect();
    let new = done
        .iter()
        .filter(|done| matches!(done, Enqueued::New(_)))
        .count();
    assert_eq!(new, 1, "{done:?}");
    let ids: std::collections::HashSet<_> = done
        .iter()
        .map(|done| match done {
            Enqueued::New(row) | Enqueued::Repeated(row) => row.outbox_id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids.len(), 1);
}

async fn every_form_of_a_recipient_is_one_conversation(bench: &Bench) {
    let fence = bench.fence().await;
    let alice = Party {
        lid: Some(Jid::new("100000000000001@lid")),
        ..pn("49151000001")
    };
    let accepted = bench
        .accept(&fence, vec![message("A", alice, "hi")])
        .await
        .expect("ours");
    let Accepted::Queued { conversation, .. } = &accepted[0] else {
        panic!("{accepted:?}")
    };
    for to in [
        ALICE,
        "49151000001@s.whatsapp.net",
        "100000000000001@lid",
        conversation.as_str(),
    ] {
        assert_eq!(
            &bench.send(to, "hello").await.conversation_id,
            conversation,
            "{to}"
        );
    }
    let dispatch = bench.claim_one(&fence).await;
    assert_eq!(
        dispatch.chat.preferred().map(Jid::as_str),
        Some("100000000000001@lid")
    );
    let stranger = bench.send(BOB, "hello").await.conversation_id;
    assert_ne!(&stranger, conversation);
    let answer = bench
        .accept(&fence, vec![message("B", pn("49151000002"), "yes?")])
        .await;
    assert!(
        matches!(&answer.expect("ours")[0], Accepted::Queued { conversation, .. } if *conversation == stranger)
    );
    let group = bench
        .send("120363000000000001@g.us", "all")
        .await
        .conversation_id;
    assert_eq!(
        bench
            .send("120363000000000001@g.us", "you")
            .await
            .conversation_id,
        group
    );
}

async fn a_message_without_a_place_to_go_is_refused(bench: &Bench) {
    let origin = Origin::Api { request: None };
    let refused = async |draft: &Draft| {
        let done = bench
            .store
            .enqueue_message(&bench.account, draft, origin)
            .await;
        done.expect("answers")
    };
    assert_eq!(refused(&draft(ALICE, "x")).await, Enqueued::NoAccount);
    bench.send(ALICE, "x").await;
    assert_eq!(refused(&Draft::text("x")).await, Enqueued::NoConversation);
    let nowhere = Draft {
        to: Some(Recipient::Conversation(ConversationId::new())),
        ..Draft::text("x")
    };
    assert_eq!(refused(&nowhere).await, Enqueued::NoConversation);
    let filter = OutboxFilter {
        limit: 10,
        ..OutboxFilter::default()
    };
    assert_eq!(bench.store.outbox(&filter).await.expect("answers").len(), 1);
}

async fn a_message_is_taken_back_while_it_waits_and_not_later(bench: &Bench) {
    let fence = bench.fence().await;
    let first = bench.send(ALICE, "first").await;
    let second = bench.send(ALICE, "second").await;
    let cancel = async |id: &OutboxId| {
        bench
            .store
            .cancel_outgoing(id, "ops")
            .await
            .expect("answers")
    };
    let dispatch = bench.claim_one(&fence).await;
    assert_eq!(
        cancel(&first.outbox_id).await,
        Cancelled::TooLate(Status::Sending)
    );
    assert_eq!(cancel(&second.outbox_id).await, Cancelled::Done);
    assert_eq!(
        cancel(&second.outbox_id).await,
        Cancelled::TooLate(Status::Cancelled)
    );
    assert_eq!(cancel(&OutboxId::new()).await, Cancelled::Unknown);
    bench
        .settle(&fence, &dispatch, &Outcome::Acknowledged)
        .await;
    assert_eq!(bench.claim(&fence).await, []);
    let audit = bench
        .store
        .audit(&bench.account, 10)
        .await
        .expect("answers");
    let told: Vec<_> = audit
        .iter()
        .filter(|row| row.action == "outbox.cancelled")
        .collect();
    assert!(told.len() == 1 && told[0].actor == "ops");
}

async fn a_message_that_was_given_up_is_tried_anew_under_its_id(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hi").await;
    let retry = async |id: &OutboxId| {
        bench
            .store
            .retry_outgoing(id, "ops")
            .await
            .expect("answers")
    };
    let first = bench.claim_one(&fence).await;
    assert_eq!(
        retry(&row.outbox_id).await,
        Retried::Needless(Status::Sending)
    );
    bench
        .settle(&fence, &first, &Outcome::Refused("404".to_owned()))
        .await;
    assert_eq!(bench.status(&row.outbox_id).await, Status::Failed);
    assert_eq!(retry(&row.outbox_id).await, Retried::Done);
    let again = bench.claim_one(&fence).await;
    assert_eq!((again.attempt, &again.message_id), (2, &first.message_id));
    let settled = bench.settle(&fence, &again, &silent()).await;
    assert!(
        matches!(settled, Settled::Now(Next::Again { wait, .. }) if wait == Duration::from_secs(2)),
        "a new round: {settled:?}"
    );
    assert_eq!(retry(&row.outbox_id).await, Retried::Done, "at once");
    bench.claim_one(&fence).await;
    assert_eq!(retry(&OutboxId::new()).await, Retried::Unknown);
}

async fn a_message_whose_content_is_erased_is_not_tried_anew(bench: &Bench) {
    let row = bench.send(ALICE, "hi").await;
    bench
        .store
        .cancel_outgoing(&row.outbox_id, "ops")
        .await
        .expect("answers");
    bench
        .sql("UPDATE outbox SET content = NULL")
        .await
        .expect("writes");
    let retried = bench.store.retry_outgoing(&row.outbox_id, "ops").await;
    assert_eq!(retried.expect("answers"), Retried::Erased);
    let row = bench.message(&row.outbox_id).await.row;
    assert_eq!((row.content.as_ref(), row.kind()), (None, "erased"));
}

async fn the_list_is_filtered_and_newest_first(bench: &Bench) {
    let one = bench.send(ALICE, "one").await;
    let two = bench.send(BOB, "two").await;
    let three = bench.send(ALICE, "three").await;
    bench
        .store
        .cancel_outgoing(&one.outbox_id, "ops")
        .await
        .expect("answers");
    let list = async |change: &dyn Fn(&mut OutboxFilter)| {
        let mut filter = OutboxFilter {
            limit: 10,
            ..OutboxFilter::default()
        };
        change(&mut filter);
        let rows = bench.store.outbox(&filter).await.expect("answers");
        rows.into_iter()
            .map(|row| row.outbox_id)
            .collect::<Vec<_>>()
    };
    let ids = |rows: &[&OutboxRow]| {
        rows.iter()
            .map(|row| row.outbox_id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&|_| {}).await, ids(&[&three, &two, &one]));
    assert_eq!(list(&|f| f.limit = 1).await, ids(&[&three]));
    assert_eq!(
        list(&|f| f.status = Some(Status::Cancelled)).await,
        ids(&[&one])
    );
    let alice = one.conversation_id.clone();
    assert_eq!(
        list(&|f| f.conversation = Some(alice.clone())).await,
        ids(&[&three, &one])
    );
    let other = "other".parse().expect("valid");
    assert_eq!(
        list(&move |f| f.account = Some(Clone::clone(&other))).await,
        ids(&[])
    );
}

async fn a_conversation_is_read_back_in_one_order_page_by_page(bench: &Bench) {
    let fence = bench.fence().await;
    let alice = pn("49151000001");
    let inbound = vec![
        message("A", alice.clone(), "one"),
        message("B", alice.clone(), "two"),
    ];
    bench.accept(&fence, inbound).await.expect("ours");
    let three = bench.send(ALICE, "three").await;
    bench
        .accept(&fence, vec![message("C", alice, "four")])
        .await
        .expect("ours");
    let page = async |before| {
        let conv = &three.conversation_id;
        let turns = bench.store.conversation_messages(conv, before, 3).await;
        turns.expect("answers")
    };
    let newest = page(None).await;
    let ids: Vec<_> = newest
        .iter()
        .map(|turn| turn.channel_message_id.as_str())
        .collect();
    assert_eq!(ids, ["C", three.channel_message_id.as_str(), "B"]);
    assert!(
        matches!(&newest[1].by, Talk::Out { outbox_id, status: Status::Pending, .. } if *outbox_id == three.outbox_id)
    );
    assert!(matches!(&newest[0].by, Talk::In { key, from_me: false, .. } if key == "C"));
    assert_eq!(newest[1].content["content"]["body"], "three");
    let cursor = newest[2].cursor.to_string().parse().expect("its own print");
    let older = page(Some(&cursor)).await;
    let ids: Vec<_> = older
        .iter()
        .map(|turn| turn.channel_message_id.as_str())
        .collect();
    assert_eq!(ids, ["A"]);
    let json = serde_json::to_value(&newest[1]).expect("JSON");
    assert_eq!(
        (json["direction"].as_str(), json["status"].as_str()),
        (Some("out"), Some("pending"))
    );
}
