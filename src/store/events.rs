//! Events of all workers, kept for a while. Lossy: whoever writes them may write a part of them.

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::{Page, PageCursor, Result, Store, stored};
use crate::ids::AccountId;

/// Statements of up to so many rows are prepared once; larger ones are rare.
const COMMON: usize = 4;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// When it was written, by the store's clock. It was told a few seconds before.
    pub at: i64,
    /// The account that it is about.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// A JSON object, as it was told.
    pub body: String,
}

/// An event to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Different for each.
    pub id: &'a str,
    /// The account that it is about.
    pub account: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// A JSON object.
    pub body: &'a str,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this account alone.
    pub account: Option<AccountId>,
    /// Whose names begin so.
    pub prefix: Option<String>,
    /// Written then or later, in milliseconds by the store's clock.
    pub since: Option<i64>,
}

impl StoredEvent {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            account: row.try_get("account_id")?,
            name: row.try_get("name")?,
            body: row.try_get("body")?,
        })
    }
}

impl Store {
    /// Keeps `events`, all or none. One that is kept already makes all of them fail.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn keep_events(&self, events: &[NewEvent<'_>]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let row = |at: usize| {
            let [id, account, name, body] = [1, 2, 3, 4].map(|column| at * 4 + 1 + column);
            format!("(${id}, $1, ${account}, ${name}, ${body})")
        };
        let rows: Vec<String> = (0..events.len()).map(row).collect();
        let mut tx = self.begin().await?;
        // One time for all: their ids tell their order.
        let now = tx.now().await?;
        let insert = tx.sql(&format!(
            "INSERT INTO events(id, at, account_id, name, body) VALUES {}",
            rows.join(", ")
        ));
        let mut insert = query(insert).persistent(events.len() <= COMMON).bind(now);
        for event in events {
            insert = insert
                .bind(event.id)
                .bind(event.account)
                .bind(event.name)
                .bind(stored(event.body));
        }
        insert.execute(&mut tx).await?;
        tx.commit().await
    }

    /// The events that fit `filter`, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn page_of_events(
        &self,
        filter: &EventFilter,
        limit: i64,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<StoredEvent>> {
        let (at, id) = PageCursor::bound(cursor);
        let select = "SELECT id, at, account_id, name, body FROM events
             WHERE ($1 IS NULL OR account_id = $1) AND ($2 IS NULL OR substr(name, 1, length($2)) = $2)
               AND at >= $3 AND (at, id) < ($4, $5)
             ORDER BY at DESC, id DESC LIMIT $6";
        let events = self.events(select, filter, (at, id), limit.saturating_add(1));
        Ok(Page::of(events.await?, limit, |event: &StoredEvent| {
            (event.at, event.id.clone())
        }))
    }

    /// The events that fit `filter` and were written after `last`, the oldest first. Two that write at
    /// once may commit in either order: who follows asks again for what is a few seconds old.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn events_after(
        &self,
        filter: &EventFilter,
        last: (i64, String),
        limit: i64,
    ) -> Result<Vec<StoredEvent>> {
        let select = "SELECT id, at, account_id, name, body FROM events
             WHERE ($1 IS NULL OR account_id = $1) AND ($2 IS NULL OR substr(name, 1, length($2)) = $2)
               AND at >= $3 AND (at, id) > ($4, $5)
             ORDER BY at, id LIMIT $6";
        self.events(select, filter, last, limit).await
    }

    async fn events(
        &self,
        select: &'static str,
        filter: &EventFilter,
        (at, id): (i64, String),
        limit: i64,
    ) -> Result<Vec<StoredEvent>> {
        let rows = query(select)
            .bind(filter.account.as_ref().map(AccountId::as_str))
            .bind(filter.prefix.as_deref().map(stored))
            .bind(filter.since.unwrap_or(i64::MIN))
            .bind(at)
            .bind(id)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(StoredEvent::read).collect()
    }
}
