//! The store's promises, without any session: plain async functions, to be run on every engine.

use std::time::Duration;

use whatsapp_worker::ids::{AccountId, Jid, OwnerId};
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{
    Chat, Content, Context, Inbound, Malformed, MessageKey, Party,
};
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::store::{
    Accepted, AcquireLease, Arrival, Fence, JobFilter, JobStatus, Ledger, Store, StoreError,
};

const TTL: Duration = Duration::from_secs(60);

struct Bench {
    store: Store,
    account: AccountId,
    owner: OwnerId,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let url = format!("sqlite:{}", dir.path().join("store.db").display());
        Self {
            store: Store::open(&url, Duration::from_secs(5))
                .await
                .expect("opens"),
            account: "shop".parse().expect("valid"),
            owner: OwnerId::incarnate("w").expect("valid"),
            dir,
        }
    }

    async fn bid(&self, change: impl FnOnce(&mut AcquireLease<'_>)) -> Option<Fence> {
        let mut bid = AcquireLease {
            account: &self.account,
            owner: &self.owner,
            ttl: TTL,
            unchanged: None,
            dead: None,
        };
        change(&mut bid);
        self.store
            .acquire_lease(bid)
            .await
            .expect("the store answers")
    }

    async fn fence(&self) -> Fence {
        self.bid(|_| {}).await.expect("the lease is free")
    }

    async fn accept(
        &self,
        fence: &Fence,
        messages: Vec<Inbound>,
    ) -> Result<Vec<Accepted>, StoreError> {
        let arrivals: Vec<Arrival> = messages
            .into_iter()
            .map(|inbound| Arrival {
                identity: Identity::of(&inbound),
                disposition: dispose(&inbound, &Policy::default()),
                summary: "text".to_owned(),
                inbound,
            })
            .collect();
        self.store.accept_inbound(fence, &arrivals).await
    }

    async fn jobs(&self) -> Vec<whatsapp_worker::store::Job> {
        let filter = JobFilter {
            limit: 1000,
            ..JobFilter::default()
        };
        let mut jobs = self.store.jobs(&filter).await.expect("the store answers");
        jobs.reverse();
        jobs
    }
}

fn pn(number: &str) -> Party {
    Party {
        pn: Some(Jid::new(format!("{number}@s.whatsapp.net"))),
        lid: None,
    }
}

fn message(id: &str, from: Party, text: &str) -> Inbound {
    Inbound {
        key: MessageKey {
            id: id.to_owned(),
            chat: Chat::Direct(from.clone()),
            sender: from,
            from_me: false,
        },
        sent_at_ms: 1_700_000_000_000,
        push_name: Some("Alice".to_owned()),
        offline: false,
        content: Ok(Content::Text {
            body: text.to_owned(),
        }),
        context: Context::default(),
        raw: text.as_bytes().to_vec(),
    }
}

fn queued(accepted: &Accepted) -> bool {
    matches!(accepted, Accepted::Queued { .. })
}

#[tokio::test]
async fn a_held_lease_is_not_acquired_and_a_released_one_is() {
    let bench = Bench::new().await;
    let first = bench.fence().await;
    assert_eq!(first.epoch().0, 1);
    assert!(bench.bid(|_| {}).await.is_none(), "held");
    assert!(
        bench
            .store
            .release_lease(&first, &bench.owner, "test")
            .await
            .expect("answers")
    );
    let second = bench.fence().await;
    assert_eq!(second.epoch().0, 2);
    assert_eq!(
        bench.store.renew_lease(&first, TTL).await.expect("answers"),
        None
    );
    assert_eq!(
        bench
            .store
            .renew_lease(&second, TTL)
            .await
            .expect("answers"),
        Some(1)
    );
    assert!(
        !bench
            .store
            .release_lease(&first, &bench.owner, "late")
            .await
            .expect("answers")
    );
    assert_eq!(
        bench
            .store
            .renew_lease(&second, TTL)
            .await
            .expect("answers"),
        Some(2)
    );
}

#[tokio::test]
async fn an_expired_lease_is_taken_and_not_renewed() {
    let bench = Bench::new().await;
    let first = bench
        .bid(|bid| bid.ttl = Duration::from_millis(1))
        .await
        .expect("free");
    while bench
        .store
        .lease(&bench.account)
        .await
        .expect("answers")
        .expect("a row")
        .remaining_ms
        > 0
    {}
    assert_eq!(
        bench.store.renew_lease(&first, TTL).await.expect("answers"),
        None
    );
    assert_eq!(bench.fence().await.epoch().0, 2);
}

#[tokio::test]
async fn a_holder_without_a_beat_or_proven_dead_is_replaced_before_its_ttl() {
    let bench = Bench::new().await;
    let first = bench.fence().await;
    let seen = Some((first.epoch(), 0));
    bench.store.renew_lease(&first, TTL).await.expect("answers");
    assert!(
        bench.bid(|bid| bid.unchanged = seen).await.is_none(),
        "it has beaten since"
    );
    let seen = Some((first.epoch(), 1));
    let second = bench
        .bid(|bid| bid.unchanged = seen)
        .await
        .expect("no beat since");
    assert_eq!(second.epoch().0, 2);
    let overtaken = bench.bid(|bid| bid.dead = Some(first.epoch())).await;
    assert!(
        overtaken.is_none(),
        "that holder is long gone, and another lives"
    );
    let third = bench
        .bid(|bid| bid.dead = Some(second.epoch()))
        .await
        .expect("dead");
    assert_eq!(third.epoch().0, 3);
}

#[tokio::test]
async fn a_forced_release_kills_the_old_fence() {
    let bench = Bench::new().await;
    let fence = bench.fence().await;
    bench
        .store
        .force_release_lease(&bench.account, "operator")
        .await
        .expect("answers");
    let refused = bench
        .accept(&fence, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(account)) if account == bench.account));
    assert_eq!(bench.jobs().await, []);
    let audit = bench
        .store
        .audit(&bench.account, 10)
        .await
        .expect("answers");
    let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["lease.force_released", "lease.acquired"]);
}

#[tokio::test]
async fn an_old_epoch_commits_nothing_after_a_takeover() {
    let bench = Bench::new().await;
    let old = bench.fence().await;
    let new = bench
        .bid(|bid| bid.dead = Some(old.epoch()))
        .await
        .expect("dead");
    let refused = bench
        .accept(&old, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))));
    assert_eq!(
        bench
            .store
            .inbox_results(&bench.account, "A")
            .await
            .expect("answers"),
        [""; 0]
    );
    let accepted = bench
        .accept(&new, vec![message("A", pn("49151000001"), "hi")])
        .await
        .expect("ours");
    assert!(queued(&accepted[0]));
}

#[tokio::test]
async fn a_redelivery_is_one_job_and_order_is_the_order_of_arrival() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_flip_between_phone_number_and_hidden_id_is_one_job_in_one_conversation() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn the_same_id_of_another_sender_is_another_message() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn an_id_that_looks_like_the_key_of_another_message_is_queued_too() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_message_that_was_committed_before_it_was_missed_is_not_given_up() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_message_without_an_id_is_deduped_by_what_it_says() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_message_that_cannot_be_understood_fails_alone() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn own_messages_are_recorded_and_ignored_ones_leave_only_their_row() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_missing_message_is_given_up_once_and_its_late_content_is_a_job_of_its_own() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn what_is_committed_is_found_under_every_known_address() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn two_processes_may_open_a_new_store_at_once_and_a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    let open = || Store::open(&url, Duration::from_secs(5));
    let (a, b, c) = tokio::join!(open(), open(), open());
    let ids = [a, b, c].map(|store| store.expect("opens").store_id().to_owned());
    assert!(ids.iter().all(|id| *id == ids[0]));

    let raw = sqlx::SqlitePool::connect(&url).await.expect("opens");
    sqlx::query("UPDATE schema_meta SET version = 9, min_compatible = 9")
        .execute(&raw)
        .await
        .expect("writes");
    let error = open().await.expect_err("too new");
    assert!(
        error
            .to_string()
            .contains("needs a binary that knows schema 9"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_kept() {
    let bench = Bench::new().await;
    let path = bench.dir.path().join("note.txt");
    std::fs::write(&path, "a letter to a friend, longer than a header").expect("writes");
    let error = Store::open(
        &format!("sqlite:{}", path.display()),
        Duration::from_secs(1),
    )
    .await
    .expect_err("no store");
    assert!(
        error.to_string().contains("is not a usable SQLite file"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(&path).expect("reads"),
        "a letter to a friend, longer than a header"
    );
}
