//! The list: each promise of lease and fence that a single edit could break.

use super::Mutation;
use super::Test::{AuthStore, Integration, Unit};

/// In the order in which the promises are told.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        id: "fence-without-lock",
        breaks: "lets a takeover pass an open protected transaction",
        file: "src/store/fence.rs",
        edits: &[(" AND token = $3 {FOR KEY SHARE}\"", " AND token = $3\"")],
        tests: &[Integration(
            "store::server::frozen::a_takeover_waits_for_an_open_fenced_transaction_and_a_heartbeat_does_not",
        )],
        short: true,
    },
    Mutation {
        id: "fence-without-token",
        breaks: "accepts writes of an epoch that a failover of the store gave out twice",
        file: "src/store/fence.rs",
        edits: &[(
            "AND epoch = $2 AND token = $3",
            "AND epoch = $2 AND $3 <> ''",
        )],
        tests: &[
            Integration("store::fence::sqlite::a_rewound_epoch_with_another_token_is_refused"),
            Integration("store::fence::postgres::a_rewound_epoch_with_another_token_is_refused"),
        ],
        short: true,
    },
    Mutation {
        id: "fence-without-epoch",
        breaks: "accepts writes of an older epoch",
        file: "src/store/fence.rs",
        edits: &[("AND epoch = $2 AND token = $3", "AND $2 >= 0 AND $3 <> ''")],
        tests: &[Integration(
            "store::fence::sqlite::an_old_epoch_commits_nothing_after_a_takeover",
        )],
        short: false,
    },
    Mutation {
        id: "renew-without-token",
        breaks: "renews a lease for an epoch that a failover of the store gave out twice",
        file: "src/store/lease.rs",
        edits: &[
            (
                "(account_id, epoch, token) IN (VALUES ",
                "(account_id, epoch) IN (SELECT v.column1, v.column2 FROM (VALUES ",
            ),
            (
                "\") RETURNING account_id\"",
                "\") AS v) RETURNING account_id\"",
            ),
        ],
        tests: &[
            Integration("store::fence::sqlite::a_rewound_epoch_with_another_token_is_refused"),
            Integration("store::fence::postgres::a_rewound_epoch_with_another_token_is_refused"),
        ],
        short: false,
    },
    Mutation {
        id: "renew-expired",
        breaks: "renews a lease that has run out",
        file: "src/store/lease.rs",
        edits: &[(
            "WHERE expires_at > {NOW} AND (account_id",
            "WHERE (account_id",
        )],
        tests: &[
            Integration("store::lease::sqlite::an_expired_lease_is_taken_and_not_renewed"),
            Integration("store::lease::postgres::an_expired_lease_is_taken_and_not_renewed"),
        ],
        short: false,
    },
    Mutation {
        id: "release-without-fence",
        breaks: "lets a former holder release what another has now",
        file: "src/store/lease.rs",
        edits: &[(
            "AND epoch = $2 AND token = $3 AND expires_at <> 0",
            "AND $2 >= 0 AND $3 <> '' AND expires_at <> 0",
        )],
        tests: &[
            Integration("store::lease::sqlite::a_held_lease_is_not_acquired_and_a_released_one_is"),
            Integration("store::fence::sqlite::a_rewound_epoch_with_another_token_is_refused"),
        ],
        short: false,
    },
    Mutation {
        id: "same-epoch",
        breaks: "gives a new holder the epoch of the old one",
        file: "src/store/lease/acquire.rs",
        edits: &[(
            "epoch = lease.epoch + 1, token",
            "epoch = lease.epoch, token",
        )],
        tests: &[
            Integration("store::lease::sqlite::a_held_lease_is_not_acquired_and_a_released_one_is"),
            Integration("store::lease::sqlite::an_expired_lease_is_taken_and_not_renewed"),
        ],
        short: false,
    },
    Mutation {
        id: "trust-from-answer",
        breaks: "counts trust from the answer instead of the question",
        file: "src/lease/core.rs",
        edits: &[(
            "let until = self.timing.trusted_until(asked);",
            "let until = self.timing.trusted_until(now.max(asked));",
        )],
        tests: &[Unit(
            "lease::core::tests::terms::trust_counts_from_the_question_and_ends_by_itself",
        )],
        short: false,
    },
    Mutation {
        id: "renewal-from-answer",
        breaks: "counts renewed trust from the answer instead of the question",
        file: "src/lease/core.rs",
        edits: &[(
            "let extended = self.timing.trusted_until(asked);",
            "let extended = self.timing.trusted_until(now.max(asked));",
        )],
        tests: &[Unit(
            "lease::core::tests::terms::trust_counts_from_the_question_and_ends_by_itself",
        )],
        short: false,
    },
    Mutation {
        id: "term-without-end",
        breaks: "keeps a term whose trust has run out",
        file: "src/lease/core.rs",
        edits: &[(
            "Seat::Held { until, .. } if until <= now)",
            "Seat::Held { until, .. } if until <= now && now < until)",
        )],
        tests: &[
            Unit("lease::core::tests::terms::trust_counts_from_the_question_and_ends_by_itself"),
            Unit("lease::core::tests::terms::an_answer_after_the_end_of_trust_revives_nothing"),
        ],
        short: false,
    },
    Mutation {
        id: "trust-without-deadline",
        breaks: "acts on a lease after the trust deadline",
        file: "src/lease/trust.rs",
        edits: &[(
            "Boot::now() < self.deadline()",
            "self.deadline() > Boot::from_ms(0)",
        )],
        tests: &[
            Unit("session::transport::tests::gate::it_refuses_at_the_deadline_itself"),
            Unit("session::transport::tests::starved::a_connect_after_the_deadline_is_refused"),
        ],
        short: true,
    },
    Mutation {
        id: "gate-without-trust",
        breaks: "lets bytes of the layers above out after the trust deadline",
        file: "src/session/transport/gate.rs",
        edits: &[(
            "    fn open(&self) -> io::Result<()> {
        if self.trust.holds() {",
            "    fn open(&self) -> io::Result<()> {
        if self.trust.holds() || self.trust.deadline() > crate::clock::Boot::NEVER {",
        )],
        tests: &[
            Unit(
                "session::transport::tests::gate::it_passes_bytes_while_trust_holds_and_none_afterwards",
            ),
            Unit("session::transport::tests::gate::it_refuses_at_the_deadline_itself"),
        ],
        short: true,
    },
    Mutation {
        id: "revoked-trust-revives",
        breaks: "lets a late renewal revive a trust that was revoked",
        file: "src/lease/trust.rs",
        edits: &[(
            "(now != REVOKED && now < deadline.as_ms())",
            "(now < deadline.as_ms())",
        )],
        tests: &[Unit(
            "lease::trust::tests::trust_ends_by_the_clock_and_for_good_when_revoked",
        )],
        short: false,
    },
    Mutation {
        id: "answered-before-durable",
        breaks: "answers a write of the auth state before it is durable: a message leaves before its ratchet is kept",
        file: "auth-store/src/writer.rs",
        edits: &[(
            "        answer.await.map_err(|_| stopped())?\n",
            "        drop(answer);\n        Ok(())\n",
        )],
        tests: &[
            AuthStore("loss::a_session_is_not_written_when_its_rows_cannot_be"),
            AuthStore("fence::an_overtaken_owner_cannot_write_and_leaves_no_trace"),
        ],
        short: true,
    },
    Mutation {
        id: "session-before-rows",
        breaks: "keeps a ratchet without the message that moved it",
        file: "auth-store/src/writer.rs",
        edits: &[(
            "        with_rows |= changes.rows;\n",
            "        with_rows &= changes.rows;\n",
        )],
        tests: &[
            AuthStore("loss::a_row_is_on_the_medium_before_or_with_the_session"),
            AuthStore("loss::a_row_survives_a_kill_together_with_the_session"),
        ],
        short: false,
    },
    Mutation {
        id: "ack-before-commit",
        breaks: "acknowledges messages before they are committed",
        file: "src/session/hook.rs",
        edits: &[(
            "Ok(committing) => committing.done().await,",
            "Ok(committing) => Ok(drop(committing)),",
        )],
        tests: &[Integration(
            "sessions::a_store_that_was_deleted_under_a_worker_acknowledges_nothing",
        )],
        short: false,
    },
    Mutation {
        id: "auth-without-fence",
        breaks: "lets a worker that was overtaken write remote auth state",
        file: "src/store/auth/remote.rs",
        edits: &[(
            "self.view.store.begin_fenced(&self.fence).await?",
            "self.view.store.begin().await?",
        )],
        tests: &[
            Integration(
                "store::auth::sqlite::a_stale_workers_write_is_refused_and_leaves_no_trace",
            ),
            Integration(
                "store::auth::postgres::a_stale_workers_write_is_refused_and_leaves_no_trace",
            ),
        ],
        short: true,
    },
    Mutation {
        id: "older-copy-unnoticed",
        breaks: "sends with ratchets that have gone back",
        file: "src/session/shelf.rs",
        edits: &[("head.writes < mark.writes", "head.writes > mark.writes")],
        tests: &[Unit(
            "session::shelf::tests::fewer_writes_than_the_mark_of_the_same_lineage_are_an_older_copy",
        )],
        short: false,
    },
    Mutation {
        id: "any-number",
        breaks: "mixes the conversations of two numbers",
        file: "src/session/life/number.rs",
        edits: &[("known.is_empty() ||", "true ||")],
        tests: &[Unit(
            "session::life::number::tests::another_spelling_is_the_same_number_and_another_number_is_not",
        )],
        short: false,
    },
    Mutation {
        id: "outbox-two-at-once",
        breaks: "lets two messages of a chat be on their way at once",
        file: "src/store/outbox/lane.rs",
        edits: &[(
            "AND o.account_id = outbox_lanes.account_id) THEN 'busy'",
            "AND o.account_id = outbox_lanes.account_id) THEN 'ready'",
        )],
        tests: &[Integration(
            "store::outbox::lanes::sqlite::messages_of_a_chat_leave_one_at_a_time_and_in_order",
        )],
        short: true,
    },
    Mutation {
        id: "outbox-while-paused",
        breaks: "sends for an account that is paused",
        file: "src/store/outbox/claim.rs",
        edits: &[("Ok(paused == Some(1))", "Ok(paused == Some(2))")],
        tests: &[Integration(
            "store::outbox::lanes::sqlite::a_paused_account_sends_nothing_until_it_is_resumed",
        )],
        short: false,
    },
    Mutation {
        id: "outbox-unfenced-claim",
        breaks: "lets an old holder take messages",
        file: "src/store/outbox/claim.rs",
        edits: &[(
            "let mut tx = self.begin_fenced(fence).await?;",
            "let mut tx = self.begin().await?;",
        )],
        tests: &[Integration(
            "store::outbox::lanes::sqlite::an_old_holder_claims_and_settles_nothing",
        )],
        short: true,
    },
    Mutation {
        id: "outbox-no-recovery",
        breaks: "leaves the messages of a dead holder in the middle",
        file: "src/store/outbox/settle.rs",
        edits: &[(
            "AND status = 'sending' ORDER BY conv, ord",
            "AND status = 'sent' ORDER BY conv, ord",
        )],
        tests: &[Integration(
            "store::outbox::lanes::sqlite::a_dead_holders_attempt_counts_and_its_message_is_tried_again_in_its_place",
        )],
        short: false,
    },
    Mutation {
        id: "outbox-forgets-doubt",
        breaks: "calls a message failed that may have arrived",
        file: "src/outbound/delivery.rs",
        edits: &[(
            "_ if doubtful || outcome.may_have_left() =>",
            "_ if outcome.may_have_left() =>",
        )],
        tests: &[Unit(
            "outbound::delivery::tests::what_may_have_left_once_is_never_called_failed_for_want_of_an_answer",
        )],
        short: false,
    },
    Mutation {
        id: "outbox-delivery-goes-back",
        breaks: "forgets that a message was read when an older receipt comes",
        file: "src/store/outbox/proof.rs",
        edits: &[("known.max(proof.evidence)", "proof.evidence.min(known)")],
        tests: &[
            Integration(
                "store::outbox::evidence::sqlite::a_late_answer_after_a_receipt_changes_nothing",
            ),
            Integration("store::outbox::evidence::sqlite::delivery_only_moves_forward"),
        ],
        short: false,
    },
    Mutation {
        id: "lane-left-idle",
        breaks: "leaves a lane idle with work when a claim ends",
        file: "src/store/jobs/lane.rs",
        edits: &[(
            "THEN 'ready' ELSE 'idle' END",
            "THEN 'idle' ELSE 'idle' END",
        )],
        tests: &[
            Integration(
                "store::jobs::sqlite::a_conversation_has_one_claim_and_its_order_and_others_go_on_beside_it",
            ),
            Integration(
                "store::jobs::walks::any_walk_keeps_the_order_of_lanes_and_their_promises_on_sqlite",
            ),
        ],
        short: true,
    },
    Mutation {
        id: "place-given-away",
        breaks: "claims a job while a message that came before it is awaited",
        file: "src/store/jobs/lane.rs",
        edits: &[(
            "UNION ALL SELECT m.held_until FROM missing m",
            "UNION ALL SELECT 0 * m.held_until FROM missing m",
        )],
        tests: &[Integration(
            "store::places::sqlite::what_came_after_an_awaited_message_waits_for_it_and_what_came_before_does_not",
        )],
        short: false,
    },
    Mutation {
        id: "reply-before-its-ratchet",
        breaks: "lets a reply leave under a ratchet that is not stored",
        file: "src/session/connection/ratchets.rs",
        edits: &[("known.moved.contains_key(user)", "user.is_empty()")],
        tests: &[Unit(
            "session::connection::ratchets::tests::frames_wait_while_something_of_a_reader_may_have_moved_a_ratchet",
        )],
        short: false,
    },
    Mutation {
        id: "claim-before-its-time",
        breaks: "claims past a job that waits for its next attempt",
        file: "src/store/jobs/claim.rs",
        edits: &[(
            "state = 'ready' AND ready_at <= $3 {others}",
            "state = 'ready' AND $3 > 0 {others}",
        )],
        tests: &[Integration(
            "store::jobs::ending::sqlite::a_failed_job_blocks_its_lane_until_its_time_and_keeps_its_place",
        )],
        short: false,
    },
    Mutation {
        id: "claim-while-paused",
        breaks: "gives work to an agent that looked before the account was paused",
        file: "src/store/jobs/claim.rs",
        edits: &[(
            "WHERE account_id = $1 AND paused = 1)",
            "WHERE account_id = $1 AND paused = 2)",
        )],
        tests: &[Integration(
            "store::jobs::sqlite::nothing_is_claimed_for_what_is_paused",
        )],
        short: false,
    },
    Mutation {
        id: "replay-out-of-order",
        breaks: "puts a replayed dead letter back at its old place",
        file: "src/store/jobs/operator.rs",
        edits: &[("ord = $2,", "ord = ord + 0 * $2,")],
        tests: &[Integration(
            "store::jobs::operating::sqlite::a_dead_letter_is_replayed_at_the_end_of_its_lane_with_all_its_attempts",
        )],
        short: false,
    },
    Mutation {
        id: "late-completion",
        breaks: "lets an agent complete a job that was given to another",
        file: "src/store/jobs/finish.rs",
        edits: &[(
            "let Some((lane, begun)) = claimed(&mut tx, job, token).await? else {\n            return completed_before",
            "let begun = Begun { attempt: 1, at: 0 };\n        let _ = claimed(&mut tx, job, token).await?;\n        let Some(lane) = lane::lock_of(&mut tx, job).await? else {\n            return completed_before",
        )],
        tests: &[Integration(
            "store::jobs::ending::sqlite::a_lost_claim_completes_fails_and_renews_nothing",
        )],
        short: true,
    },
];
