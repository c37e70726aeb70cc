//! The kill switch: no agent gets work, and nothing is sent, for any account.

use sqlx::{Row, query};

use super::{Result, Store, Topic, audit};

/// How the switch stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Controls {
    /// Whether everything is paused.
    pub paused: bool,
    /// Who turned the switch last.
    pub actor: Option<String>,
    /// When, store's clock.
    pub since: Option<i64>,
}

impl Store {
    /// Pauses everything, or resumes it: claims of jobs and sends of all accounts. What was claimed or
    /// is being sent at that moment is finished. `false`: it was so already.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn pause_everything(&self, paused: bool, actor: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let update = tx.sql(
            "UPDATE controls SET paused = $1, actor = $2, since = {NOW} WHERE one = 1 AND paused <> $1",
        );
        let turned = query(update)
            .bind(i64::from(paused))
            .bind(actor)
            .execute(&mut tx)
            .await?
            .rows_affected()
            == 1;
        if turned {
            let action = if paused { "all.paused" } else { "all.resumed" };
            audit::write_of_all(&mut tx, actor, action, "").await?;
        }
        self.commit_telling(tx, turned.then_some(Topic::Fleet))
            .await?;
        if turned {
            self.tell(Topic::Jobs);
            self.tell(Topic::Outbox);
        }
        Ok(turned)
    }

    /// How the kill switch stands.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn controls(&self) -> Result<Controls> {
        let row = query("SELECT paused, actor, since FROM controls")
            .fetch_one(&self.readers)
            .await?;
        Ok(Controls {
            paused: row.try_get::<i64, _>("paused")? == 1,
            actor: row.try_get("actor")?,
            since: row.try_get("since")?,
        })
    }
}
