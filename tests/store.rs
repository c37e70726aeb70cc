//! The store's promises, without any session: plain async functions, to be run on every engine.

mod file;
mod inbox;
mod lease;

use std::time::Duration;

use whatsapp_worker::ids::{AccountId, Jid, OwnerId};
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{Chat, Content, Context, Inbound, MessageKey, Party};
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::store::{
    Accepted, AcquireLease, Arrival, Fence, JobFilter, Store, StoreError,
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
