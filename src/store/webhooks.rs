//! Webhooks that were made by the API. Each process that serves agents reads them all.

use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Row, query};

use super::{Result, Store, StoreError, audit};
use crate::webhooks::signature::Secret;
use crate::webhooks::{Target, Webhook};

/// A webhook with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWebhook {
    /// The webhook; the secrets that sign now, the newest first.
    pub webhook: Webhook,
    /// Until when the secret before this one signs too, by the store's clock.
    pub previous_until: Option<i64>,
    /// When it was made, by the store's clock.
    pub created_at: i64,
    /// When it was changed last, by the store's clock.
    pub updated_at: i64,
}

const SELECT: &str = "SELECT name, target, secret,
       CASE WHEN previous_until > {NOW} THEN previous_secret END AS previous,
       CASE WHEN previous_until > {NOW} THEN previous_until END AS previous_until,
       created_at, updated_at
     FROM webhooks";

impl StoredWebhook {
    fn read(row: &AnyRow) -> Result<Self> {
        let odd = |error: String| StoreError::Unusable(format!("in table webhooks: {error}"));
        let target: Target =
            serde_json::from_str(row.try_get("target")?).map_err(|error| odd(error.to_string()))?;
        let secrets: [Option<String>; 2] = [row.try_get("secret")?, row.try_get("previous")?];
        let secrets = secrets
            .iter()
            .flatten()
            .map(|text| Secret::parse(text).map_err(|error| odd(error.to_string())))
            .collect::<Result<_>>()?;
        Ok(Self {
            webhook: Webhook {
                name: row.try_get("name")?,
                target,
                secrets,
            },
            previous_until: row.try_get("previous_until")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl Store {
    /// All of them, by name.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn webhooks(&self) -> Result<Vec<StoredWebhook>> {
        query(self.sql(&format!("{SELECT} ORDER BY name")))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(StoredWebhook::read)
            .collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn webhook(&self, name: &str) -> Result<Option<StoredWebhook>> {
        query(self.sql(&format!("{SELECT} WHERE name = $1")))
            .bind(name)
            .fetch_optional(&self.readers)
            .await?
            .map(|row| StoredWebhook::read(&row))
            .transpose()
    }

    /// Adds a webhook; `false` when its name is taken.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn add_webhook(
        &self,
        name: &str,
        target: &Target,
        secret: &Secret,
        actor: &str,
    ) -> Result<bool> {
        let insert = self.sql(
            "INSERT INTO webhooks(name, target, secret, created_at, updated_at)
             VALUES($1, $2, $3, {NOW}, {NOW}) ON CONFLICT DO NOTHING",
        );
        let insert = query(insert)
            .bind(name)
            .bind(json(target))
            .bind(secret.reveal());
        self.write(insert, actor, "webhook.added", name).await
    }

    /// Changes what is set of a webhook; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn change_webhook(&self, name: &str, target: &Target, actor: &str) -> Result<bool> {
        let update = "UPDATE webhooks SET target = $2, updated_at = {NOW} WHERE name = $1";
        let update = query(self.sql(update)).bind(name).bind(json(target));
        self.write(update, actor, "webhook.changed", name).await
    }

    /// Makes `secret` the one that signs; the one before it signs too for `overlap`. `false` when there
    /// is no such webhook.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn rotate_webhook(
        &self,
        name: &str,
        secret: &Secret,
        overlap: Duration,
        actor: &str,
    ) -> Result<bool> {
        let update = self.sql(
            "UPDATE webhooks SET previous_secret = secret, previous_until = {NOW} + $3, secret = $2,
               updated_at = {NOW} WHERE name = $1",
        );
        let update = query(update)
            .bind(name)
            .bind(secret.reveal())
            .bind(i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX / 2));
        self.write(update, actor, "webhook.rotated", name).await
    }

    /// Removes a webhook; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn remove_webhook(&self, name: &str, actor: &str) -> Result<bool> {
        let delete = query("DELETE FROM webhooks WHERE name = $1").bind(name);
        self.write(delete, actor, "webhook.removed", name).await
    }

    /// Runs `statement`, and notes it if it changed something.
    async fn write(
        &self,
        statement: query::Query<'_, sqlx::Any, AnyArguments>,
        actor: &str,
        action: &str,
        name: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = statement.execute(&mut tx).await?.rows_affected() == 1;
        if changed {
            audit::write_of_all(&mut tx, actor, action, name).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }
}

fn json(target: &Target) -> String {
    serde_json::to_string(target).expect("a target has string keys")
}
