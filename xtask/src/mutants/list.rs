//! The list: each promise of lease and fence that a single edit could break.

use super::Mutation;
use super::Test::{AuthStore, Integration, Unit};

/// In the order in which the promises are told.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        id: "fence-without-token",
        breaks: "accepts writes of an epoch that a failover of the store rewound",
        file: "src/store/fence.rs",
        text: "account_id = $1 AND epoch = $2 AND token = $3",
        instead: "account_id = $1 AND epoch = $2 AND $3 <> ''",
        tests: &[Integration(
            "store::lease::an_old_epoch_commits_nothing_after_a_takeover",
        )],
        short: true,
    },
    Mutation {
        id: "trust-from-answer",
        breaks: "counts trust from the answer instead of the question",
        file: "src/lease/core.rs",
        text: "let until = self.timing.trusted_until(asked);",
        instead: "let until = self.timing.trusted_until(now.max(asked));",
        tests: &[Unit(
            "lease::core::tests::trust_counts_from_the_question_and_ends_by_itself",
        )],
        short: true,
    },
    Mutation {
        id: "renewal-from-answer",
        breaks: "counts renewed trust from the answer instead of the question",
        file: "src/lease/core.rs",
        text: "let extended = self.timing.trusted_until(asked);",
        instead: "let extended = self.timing.trusted_until(now.max(asked));",
        tests: &[
            Unit("lease::core::tests::trust_counts_from_the_question_and_ends_by_itself"),
            Unit(
                "lease::core::tests::a_confirmation_does_not_wait_for_the_beat_nor_take_an_older_answer",
            ),
        ],
        short: false,
    },
    Mutation {
        id: "trust-never-ends",
        breaks: "keeps a term whose trust has run out",
        file: "src/lease/core.rs",
        text: "Seat::Held { until, .. } if until <= now)",
        instead: "Seat::Held { until, .. } if until <= now && now < until)",
        tests: &[
            Unit("lease::core::tests::trust_counts_from_the_question_and_ends_by_itself"),
            Unit("lease::core::tests::an_answer_after_the_end_of_trust_revives_nothing"),
        ],
        short: false,
    },
    Mutation {
        id: "gate-without-trust",
        breaks: "writes to WhatsApp after the trust deadline",
        file: "src/session/transport/gate.rs",
        text: "        if self.trust.holds() {
            Ok(())
        } else {",
        instead:
            "        if self.trust.holds() || self.trust.deadline() > crate::clock::Boot::NEVER {
            Ok(())
        } else {",
        tests: &[
            Unit("session::transport::tests::nothing_leaves_after_trust_has_ended"),
            Unit(
                "session::transport::tests::a_write_in_a_buffer_does_not_survive_the_end_of_trust",
            ),
            Unit(
                "session::transport::tests::over_tls::nothing_leaves_through_tls_after_trust_has_ended",
            ),
        ],
        short: true,
    },
    Mutation {
        id: "revoked-trust-revives",
        breaks: "lets a late renewal revive a trust that was revoked",
        file: "src/lease/trust.rs",
        text: "(now != REVOKED && now < deadline.as_ms())",
        instead: "(now < deadline.as_ms())",
        tests: &[Unit(
            "lease::trust::tests::trust_ends_by_the_clock_and_for_good_when_revoked",
        )],
        short: false,
    },
    Mutation {
        id: "answered-before-durable",
        breaks: "answers a write of the auth state before it is durable: a message leaves before its ratchet is kept",
        file: "auth-store/src/writer.rs",
        text: "        answer.await.map_err(|_| stopped())?\n",
        instead: "        drop(answer);\n        Ok(())\n",
        tests: &[
            AuthStore("loss::a_session_is_not_written_when_its_rows_cannot_be"),
            AuthStore("fence::an_overtaken_owner_cannot_write_and_leaves_no_trace"),
        ],
        short: true,
    },
    Mutation {
        id: "ack-before-commit",
        breaks: "acknowledges messages before they are committed",
        file: "src/session/hook.rs",
        text: "        if let Err(error) = self.intake.accept(messages).await {
            self.broken.cancel();",
        instead: "        let (intake, broken) = (self.intake.clone(), self.broken.clone());
        drop(tokio::spawn(async move {
            if intake.accept(messages).await.is_err() {
                broken.cancel();
            }
        }));
        if let Err::<(), &str>(error) = Ok(()) {",
        tests: &[Integration(
            "messages::a_store_that_was_deleted_under_a_worker_acknowledges_nothing",
        )],
        short: true,
    },
];
