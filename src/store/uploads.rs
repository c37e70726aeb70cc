//! Files that wait to be sent, in pieces, so that whichever process holds the lease can send them.

use std::time::Duration;

use ring::digest;
use sqlx::{Row, query};

use super::{Result, Store, stored};
use crate::ids::UploadId;

/// Bytes of a piece: a statement that carries one stays far within its time.
const PIECE: usize = 256 << 10;

/// How long an upload stays that nothing used and no message waits for.
const UNUSED: Duration = Duration::from_secs(24 * 3600);

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Names it.
    pub id: UploadId,
    /// Its MIME type, as whoever brought it says.
    pub mime_type: String,
    /// The name it came with.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// A file on its way into the store. What is dropped before [`UploadWriter::finish`] is never seen by
/// anybody, and its pieces go after a day.
pub struct UploadWriter {
    store: Store,
    id: UploadId,
    pieces: i64,
    size: u64,
    hash: digest::Context,
    piece: Vec<u8>,
}

impl UploadWriter {
    /// Bytes so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds `bytes`. Not cancel safe: drop the writer with the call.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let fits = bytes.len().min(PIECE - self.piece.len());
            self.piece.extend_from_slice(&bytes[..fits]);
            bytes = &bytes[fits..];
            if self.piece.len() == PIECE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        query("INSERT INTO upload_chunks(upload_id, part, bytes) VALUES($1, $2, $3)")
            .bind(self.id.as_str())
            .bind(self.pieces)
            .bind(self.piece.as_slice())
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        self.pieces += 1;
        self.piece.clear();
        Ok(())
    }

    /// Makes it an upload that messages may name.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn finish(mut self, mime_type: &str, name: Option<&str>) -> Result<Upload> {
        if !self.piece.is_empty() {
            self.flush().await?;
        }
        let upload = Upload {
            id: self.id,
            mime_type: stored(mime_type),
            name: name.map(stored),
            size: self.size,
            sha256: hex::encode(self.hash.finish()),
        };
        let mut tx = self.store.begin().await?;
        let finish = tx.sql(
            "UPDATE uploads SET mime_type = $2, name = $3, size = $4, sha256 = $5, used_at = {NOW}
             WHERE upload_id = $1",
        );
        query(finish)
            .bind(upload.id.as_str())
            .bind(&upload.mime_type)
            .bind(upload.name.as_deref())
            .bind(i64::try_from(upload.size).unwrap_or(i64::MAX))
            .bind(&upload.sha256)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(upload)
    }

    /// Removes what was written so far.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`]: it then goes after a day.
    pub async fn abandon(self) -> Result<()> {
        self.store.remove_upload(&self.id).await
    }
}

impl Store {
    /// Begins to take a file in.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn begin_upload(&self) -> Result<UploadWriter> {
        let id = UploadId::new();
        let mut tx = self.begin().await?;
        let begin = tx.sql(
            "INSERT INTO uploads(upload_id, mime_type, name, size, sha256, used_at)
             VALUES($1, '', NULL, 0, NULL, {NOW})",
        );
        query(begin).bind(id.as_str()).execute(&mut tx).await?;
        tx.commit().await?;
        Ok(UploadWriter {
            store: self.clone(),
            id,
            pieces: 0,
            size: 0,
            hash: digest::Context::new(&digest::SHA256),
            piece: Vec::with_capacity(PIECE),
        })
    }

    /// The upload, if it is there and whole. It stays for another day.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn use_upload(&self, id: &UploadId) -> Result<Option<Upload>> {
        let mut tx = self.begin().await?;
        let touch = tx.sql(
            "UPDATE uploads SET used_at = {NOW} WHERE upload_id = $1 AND sha256 IS NOT NULL
             RETURNING mime_type, name, size, sha256",
        );
        let row = query(touch)
            .bind(id.as_str())
            .fetch_optional(&mut tx)
            .await?;
        tx.commit().await?;
        row.map(|row| {
            Ok(Upload {
                id: id.clone(),
                mime_type: row.try_get("mime_type")?,
                name: row.try_get("name")?,
                size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or(0),
                sha256: row.try_get("sha256")?,
            })
        })
        .transpose()
    }

    /// One piece of an upload, from 0; `None` behind the last.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn upload_piece(&self, id: &UploadId, piece: i64) -> Result<Option<Vec<u8>>> {
        let bytes = "SELECT bytes FROM upload_chunks WHERE upload_id = $1 AND part = $2";
        Ok(sqlx::query_scalar(bytes)
            .bind(id.as_str())
            .bind(piece)
            .fetch_optional(&self.readers)
            .await?)
    }

    async fn remove_upload(&self, id: &UploadId) -> Result<()> {
        let mut tx = self.begin().await?;
        for table in ["upload_chunks", "uploads"] {
            query(tx.sql(&format!("DELETE FROM {table} WHERE upload_id = $1")))
                .bind(id.as_str())
                .execute(&mut tx)
                .await?;
        }
        tx.commit().await
    }

    /// Removes at most `limit` uploads that nothing used for a day and that no message waits for, and
    /// returns how many. Any process may call it at any time.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn prune_uploads(&self, limit: u32) -> Result<usize> {
        const STALE: &str = "used_at < {NOW} - $1
            AND NOT EXISTS(SELECT 1 FROM outbox o WHERE o.upload_id = uploads.upload_id
                           AND o.status IN ('pending', 'sending'))";
        let unused = i64::try_from(UNUSED.as_millis()).unwrap_or(i64::MAX);
        let look = self.sql(&format!(
            "SELECT upload_id FROM uploads WHERE {STALE} ORDER BY used_at LIMIT $2"
        ));
        let stale: Vec<String> = sqlx::query_scalar(look)
            .bind(unused)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        let mut removed = 0;
        for id in &stale {
            let mut tx = self.begin().await?;
            // It may have been taken into use since it was found.
            let remove = tx.sql(&format!(
                "DELETE FROM uploads WHERE upload_id = $2 AND {STALE}"
            ));
            let remove = query(remove).bind(unused).bind(id).execute(&mut tx).await?;
            if remove.rows_affected() == 1 {
                query("DELETE FROM upload_chunks WHERE upload_id = $1")
                    .bind(id)
                    .execute(&mut tx)
                    .await?;
                removed += 1;
            }
            tx.commit().await?;
        }
        Ok(removed)
    }
}
