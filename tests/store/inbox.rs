//! Dedupe, jobs, and what is missing.

use std::time::Duration;

use whatsapp_worker::ids::Jid;
use whatsapp_worker::inbound::message::{Chat, Malformed, Party};
use whatsapp_worker::store::{Accepted, JobStatus, Ledger};

use super::{Bench, message, pn, queued};

on_every_engine!(
    a_redelivery_is_one_job_and_order_is_the_order_of_arrival,
    a_flip_between_phone_number_and_hidden_id_is_one_job_in_one_conversation,
    the_same_id_of_another_sender_is_another_message,
    an_id_that_looks_like_the_key_of_another_message_is_queued_too,
    a_message_that_was_committed_before_it_was_missed_is_not_given_up,
    a_message_without_an_id_is_deduped_by_what_it_says,
    a_message_that_cannot_be_understood_fails_alone,
    own_messages_are_recorded_and_ignored_ones_leave_only_their_row,
    a_missing_message_is_given_up_once_and_its_late_content_is_a_job_of_its_own,
    what_is_committed_is_found_under_every_known_address,
    a_nul_character_is_stored_as_another_sign_and_dedupes,
    conversations_that_turn_out_to_be_one_are_one_within_a_batch,
);

async fn a_redelivery_is_one_job_and_order_is_the_order_of_arrival(bench: &Bench) {
    let fence = bench.fence().await;
    let alice = pn("49151000001");
    let batch = vec![
        message("A", alice.clone(), "one"),
        message("B", alice.clone(), "two"),
        message("A", alice.clone(), "one"),
    ];
    let accepted = bench.accept(&fence, batch).await.expect("ours");
    assert!(queued(&accepted[0]) && queued(&accepted[1]));
    assert_eq!(accepted[2], Accepted::Duplicate);
    let again = bench
        .accept(&fence, vec![message("B", alice, "two")])
        .await
        .expect("ours");
    assert_eq!(again, [Accepted::Duplicate]);
    let ids: Vec<_> = bench
        .jobs()
        .await
        .into_iter()
        .map(|job| job.channel_message_id)
        .collect();
    assert_eq!(ids, ["A", "B"]);
}

async fn a_flip_between_phone_number_and_hidden_id_is_one_job_in_one_conversation(bench: &Bench) {
    let fence = bench.fence().await;
    let lid = Some(Jid::new("1000001@lid"));
    let by_number = pn("49151000001");
    let by_both = Party {
        lid: lid.clone(),
        ..by_number.clone()
    };
    let by_lid = Party { pn: None, lid };
    bench
        .accept(&fence, vec![message("A", by_number, "hi")])
        .await
        .expect("ours");
    let flipped = bench
        .accept(&fence, vec![message("A", by_both.clone(), "hi")])
        .await
        .expect("ours");
    assert_eq!(flipped, [Accepted::Duplicate]);
    bench
        .accept(
            &fence,
            vec![
                message("B", by_both, "there"),
                message("C", by_lid, "again"),
            ],
        )
        .await
        .expect("ours");
    let jobs = bench.jobs().await;
    assert_eq!(jobs.len(), 3);
    assert!(
        jobs.iter()
            .all(|job| job.conversation_id == jobs[0].conversation_id)
    );
}

async fn the_same_id_of_another_sender_is_another_message(bench: &Bench) {
    let fence = bench.fence().await;
    let batch = vec![
        message("A", pn("49151000001"), "from Alice"),
        message("A", pn("49151000002"), "from Bob"),
    ];
    let accepted = bench.accept(&fence, batch).await.expect("ours");
    assert!(accepted.iter().all(queued));
    assert_eq!(
        bench
            .store
            .inbox_results(&bench.account, "A")
            .await
            .expect("answers"),
        ["queued", "queued"]
    );
}

async fn an_id_that_looks_like_the_key_of_another_message_is_queued_too(bench: &Bench) {
    let fence = bench.fence().await;
    let batch = vec![
        message("A", pn("49151000001"), "from Alice"),
        message("A", pn("49151000002"), "from Bob"),
        message("A#1", pn("49151000003"), "from Mallory"),
        message("A", pn("49151000004"), "from Carol"),
    ];
    let accepted = bench.accept(&fence, batch).await.expect("ours");
    assert!(accepted.iter().all(queued));
    assert_eq!(bench.jobs().await.len(), 4);
}

async fn a_message_that_was_committed_before_it_was_missed_is_not_given_up(bench: &Bench) {
    let fence = bench.fence().await;
    let (chat, sender) = ("49151000001@s.whatsapp.net", "49151000001:3@s.whatsapp.net");
    bench
        .accept(&fence, vec![message("A", pn("49151000001"), "hi")])
        .await
        .expect("ours");
    bench
        .store
        .note_missing(
            &fence,
            chat,
            sender,
            "A",
            Ledger::Undecryptable,
            Duration::ZERO,
        )
        .await
        .expect("ours");
    let due = bench
        .store
        .due_missing(&bench.account, 10)
        .await
        .expect("answers");
    let alice = Chat::Direct(pn("49151000001"));
    assert!(
        !bench
            .store
            .give_up_missing(&fence, &due[0], &alice, "never came")
            .await
            .expect("ours")
    );
    assert_eq!(bench.jobs().await.len(), 1);
}

async fn a_message_without_an_id_is_deduped_by_what_it_says(bench: &Bench) {
    let fence = bench.fence().await;
    let alice = pn("49151000001");
    let once = bench
        .accept(&fence, vec![message("", alice.clone(), "hi")])
        .await
        .expect("ours");
    assert!(queued(&once[0]));
    let again = bench
        .accept(&fence, vec![message("", alice.clone(), "hi")])
        .await
        .expect("ours");
    assert_eq!(again, [Accepted::Duplicate]);
    let other = bench
        .accept(&fence, vec![message("", alice, "ho")])
        .await
        .expect("ours");
    assert!(queued(&other[0]));
}

async fn a_message_that_cannot_be_understood_fails_alone(bench: &Bench) {
    let fence = bench.fence().await;
    let mut broken = message("A", pn("49151000001"), "?");
    broken.content = Err(Malformed {
        reason: "no text".to_owned(),
    });
    let good = message("B", pn("49151000001"), "hi");
    bench
        .accept(&fence, vec![broken, good])
        .await
        .expect("ours");
    let jobs = bench.jobs().await;
    assert_eq!(jobs[0].status, JobStatus::Failed);
    assert_eq!(jobs[0].error_message.as_deref(), Some("no text"));
    assert_eq!(jobs[1].status, JobStatus::Pending);
    assert_eq!(
        bench
            .store
            .inbox_results(&bench.account, "A")
            .await
            .expect("answers"),
        ["failed"]
    );
}

async fn own_messages_are_recorded_and_ignored_ones_leave_only_their_row(bench: &Bench) {
    let fence = bench.fence().await;
    let mut own = message("A", pn("49151000001"), "from my phone");
    own.key.from_me = true;
    let mut ignored = message("B", pn("49151000001"), "status");
    ignored.key.chat = Chat::Status;
    let accepted = bench
        .accept(&fence, vec![own, ignored])
        .await
        .expect("ours");
    assert_eq!(accepted, [Accepted::Recorded, Accepted::Ignored]);
    assert_eq!(bench.jobs().await, []);
    let results = bench
        .store
        .inbox_results(&bench.account, "B")
        .await
        .expect("answers");
    assert_eq!(results, ["ignored"]);
}

async fn a_missing_message_is_given_up_once_and_its_late_content_is_a_job_of_its_own(
    bench: &Bench,
) {
    let fence = bench.fence().await;
    let (chat, sender) = ("49151000001@s.whatsapp.net", "49151000001:3@s.whatsapp.net");
    bench
        .store
        .note_missing(
            &fence,
            chat,
            sender,
            "A",
            Ledger::Undecryptable,
            Duration::ZERO,
        )
        .await
        .expect("ours");
    let due = bench
        .store
        .due_missing(&bench.account, 10)
        .await
        .expect("answers");
    assert_eq!(due.len(), 1);
    let alice = Chat::Direct(pn("49151000001"));
    assert!(
        bench
            .store
            .give_up_missing(&fence, &due[0], &alice, "never came")
            .await
            .expect("ours")
    );
    assert!(
        !bench
            .store
            .give_up_missing(&fence, &due[0], &alice, "never came")
            .await
            .expect("ours")
    );
    let accepted = bench
        .accept(&fence, vec![message("A", pn("49151000001"), "late")])
        .await
        .expect("ours");
    assert!(queued(&accepted[0]));
    let kinds: Vec<_> = bench
        .jobs()
        .await
        .into_iter()
        .map(|job| (job.kind, job.status))
        .collect();
    assert_eq!(
        kinds,
        [
            ("undecryptable".to_owned(), JobStatus::Failed),
            ("message".to_owned(), JobStatus::Pending)
        ]
    );
}

async fn what_is_committed_is_found_under_every_known_address(bench: &Bench) {
    let fence = bench.fence().await;
    let alice = Party {
        lid: Some(Jid::new("1000001@lid")),
        ..pn("49151000001")
    };
    bench
        .accept(&fence, vec![message("A", alice, "hi")])
        .await
        .expect("ours");
    let committed = async |chat: &str, sender: &str, id: &str| {
        bench
            .store
            .is_committed(&bench.account, chat, sender, id)
            .await
            .expect("answers")
    };
    assert!(
        committed(
            "49151000001@s.whatsapp.net",
            "49151000001:3@s.whatsapp.net",
            "A"
        )
        .await
    );
    assert!(committed("1000001@lid", "1000001:3@lid", "A").await);
    assert!(!committed("1000001@lid", "1000002:3@lid", "A").await);
    assert!(!committed("1000001@lid", "1000001:3@lid", "B").await);
}

async fn a_nul_character_is_stored_as_another_sign_and_dedupes(bench: &Bench) {
    let fence = bench.fence().await;
    let odd = || {
        let mut odd = message("A\0", pn("49151000\x001"), "hi\0");
        odd.push_name = Some("Ali\0ce".to_owned());
        odd
    };
    let accepted = bench.accept(&fence, vec![odd()]).await.expect("ours");
    assert!(queued(&accepted[0]));
    let again = bench.accept(&fence, vec![odd()]).await.expect("ours");
    assert_eq!(again, [Accepted::Duplicate]);
    let Accepted::Queued { job, .. } = &accepted[0] else {
        unreachable!("it is queued")
    };
    let detail = bench.store.job(job).await.expect("answers").expect("there");
    assert_eq!(detail.push_name.as_deref(), Some("Ali\u{fffd}ce"));
    assert_eq!(detail.content["body"], "hi\0");
}

async fn conversations_that_turn_out_to_be_one_are_one_within_a_batch(bench: &Bench) {
    let fence = bench.fence().await;
    let lid = Some(Jid::new("1000001@lid"));
    let by_number = pn("49151000001");
    let by_lid = Party {
        pn: None,
        lid: lid.clone(),
    };
    let by_both = Party {
        lid,
        ..by_number.clone()
    };
    let batch = vec![
        message("A", by_number, "one"),
        message("B", by_lid, "two"),
        message("C", by_both, "three"),
    ];
    let accepted = bench.accept(&fence, batch).await.expect("ours");
    assert!(accepted.iter().all(queued));
    let jobs = bench.jobs().await;
    assert!(
        jobs.iter()
            .all(|job| job.conversation_id == jobs[0].conversation_id)
    );
    let lanes = bench.sql("DELETE FROM lanes WHERE state = 'ready'").await;
    assert_eq!(lanes.expect("runs"), 1, "none is left without work");
}
