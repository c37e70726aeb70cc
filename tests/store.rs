//! The store's promises, without any session: plain async functions, run on every engine.

/// Makes a test for each engine of each function.
macro_rules! on_every_engine {
    ($($fact:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $fact() {
                crate::store::on(whatsapp_worker::store::Engine::Sqlite, super::$fact).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $fact() {
                crate::store::on(whatsapp_worker::store::Engine::Postgres, super::$fact).await;
            })*
        }
    };
}

mod accounts;
mod auth;
mod auth_orders;
mod backfill;
mod changes;
mod contacts;
mod events;
mod fence;
mod file;
mod inbox;
mod jobs;
mod lease;
mod outbox;
mod places;
mod schema;
mod server;
mod tickets;
mod uploads;
mod webhooks;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use whatsapp_worker::ids::{AccountId, Jid, OwnerId};
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{Chat, Content, Context, Inbound, MessageKey, Party};
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::rehearsal::postgres::{Database, SharedPostgres};
use whatsapp_worker::store::{
    Accepted, AcquireLease, Arrival, Engine, Fence, JobFilter, Store, StoreError, StoreOptions,
};

const TTL: Duration = Duration::from_secs(60);

/// Runs `fact` on an empty store of `engine`.
async fn on(engine: Engine, fact: impl AsyncFn(&Bench)) {
    let bench = Bench::on(engine).await;
    fact(&bench).await;
    bench.store.close().await;
    if let Some(database) = bench.database {
        database.remove().await.expect("removes");
    }
}

struct Bench {
    url: String,
    store: Store,
    account: AccountId,
    owner: OwnerId,
    _dir: tempfile::TempDir,
    database: Option<Database>,
}

impl Bench {
    async fn on(engine: Engine) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (url, database) = match engine {
            Engine::Sqlite => {
                let file = dir.path().join("store.db");
                (format!("sqlite:{}", file.display()), None)
            }
            Engine::Postgres => {
                let server = SharedPostgres::join(Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
                let database = server.expect("starts").database().await.expect("creates");
                (database.url().to_owned(), Some(database))
            }
        };
        Self {
            store: open(&url).await.expect("opens"),
            url,
            account: "shop".parse().expect("valid"),
            owner: OwnerId::incarnate("w").expect("valid"),
            _dir: dir,
            database,
        }
    }

    /// The same store, opened by another process.
    async fn another(&self) -> Store {
        open(&self.url).await.expect("opens")
    }

    /// Runs SQL past the store, in one connection of its own.
    async fn sql(&self, text: &str) -> Result<u64, sqlx::Error> {
        let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&self.url).await?;
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned()))
            .execute(&mut connection)
            .await;
        sqlx::Connection::close(connection).await?;
        Ok(done?.rows_affected())
    }

    /// The texts of one column, asked for past the store.
    async fn texts(&self, select: &str) -> Vec<String> {
        let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&self.url)
            .await
            .expect("connects");
        let texts = sqlx::query_scalar(sqlx::AssertSqlSafe(select.to_owned()));
        texts.fetch_all(&mut connection).await.expect("answers")
    }

    async fn renew(&self, fences: &[&Arc<Fence>]) -> Vec<String> {
        let fences: Vec<_> = fences.iter().copied().cloned().collect();
        let kept = self.store.renew_leases(&fences, TTL).await;
        let kept = kept.expect("the store answers");
        let mut kept: Vec<_> = kept.iter().map(|id| id.as_str().to_owned()).collect();
        kept.sort();
        kept
    }

    async fn beat(&self) -> i64 {
        let row = self.store.lease(&self.account).await.expect("answers");
        row.expect("a row").beat
    }

    async fn bid<'a>(&'a self, change: impl FnOnce(&mut AcquireLease<'a>)) -> Option<Arc<Fence>> {
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
            .map(Arc::new)
    }

    async fn fence(&self) -> Arc<Fence> {
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

async fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(url, StoreOptions::default()).await
}

pub fn pn(number: &str) -> Party {
    Party {
        pn: Some(Jid::new(format!("{number}@s.whatsapp.net"))),
        lid: None,
    }
}

pub fn message(id: &str, from: Party, text: &str) -> Inbound {
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
