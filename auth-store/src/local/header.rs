//! The one row that says whose file this is and who may write to it.

use std::path::Path;

use ring::digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::error::{OpenMediumError, classify, damaged};
use super::schema;
use crate::AccountName;
use crate::head::{Head, KeySet};
use crate::record::RecordError;

/// Version of the file's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LocalFormat(i64);

impl LocalFormat {
    /// Without a lineage, a count of writes and a time of verification.
    const FIRST: Self = Self(1);
    const CURRENT: Self = Self(2);
}

/// The header row. It carries a checksum of itself.
pub(super) struct Header {
    format: LocalFormat,
    account: String,
    store_id: String,
    pub(super) head: Head,
}

impl Header {
    pub(super) fn new(account: &AccountName, store_id: &str, head: Head) -> Self {
        Self {
            format: LocalFormat::CURRENT,
            account: account.as_str().to_owned(),
            store_id: store_id.to_owned(),
            head,
        }
    }

    /// Reads the header of a file of this format or an older one.
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<Self, OpenMediumError> {
        let sql = |error| classify(file, error);
        let row = sqlx::query("SELECT format FROM header WHERE id = 1")
            .fetch_one(&mut *connection)
            .await
            .map_err(sql)?;
        let format = LocalFormat(row.try_get(0).map_err(sql)?);
        if format > LocalFormat::CURRENT {
            return Err(OpenMediumError::NewerFormat {
                file: file.to_owned(),
                found: format.0,
                known: LocalFormat::CURRENT.0,
            });
        }
        // Two texts: a prepared statement does not follow a change of columns.
        let columns = if format > LocalFormat::FIRST {
            "SELECT account, store_id, epoch, key_count, key_digest, last_write_ms, checksum, \
             lineage, writes, verified_ms FROM header WHERE id = 1"
        } else {
            "SELECT account, store_id, epoch, key_count, key_digest, last_write_ms, checksum \
             FROM header WHERE id = 1"
        };
        let row = sqlx::query(columns)
            .fetch_one(connection)
            .await
            .map_err(sql)?;
        let header = Self::of_row(&row, format).map_err(sql)?;
        let checksum: &[u8] = row.try_get("checksum").map_err(sql)?;
        if header.checksum().as_ref() != checksum {
            let detail = "the checksum of its header does not match";
            return Err(damaged(file, detail).into());
        }
        Ok(header)
    }

    fn of_row(row: &SqliteRow, format: LocalFormat) -> Result<Self, sqlx::Error> {
        let keys = KeySet::from_parts(row.try_get("key_count")?, row.try_get("key_digest")?)
            .ok_or_else(|| {
                sqlx::Error::Decode("the checksum of the keys has another size".into())
            })?;
        let mut head = Head {
            epoch: row.try_get("epoch")?,
            lineage: String::new(),
            writes: 0,
            keys,
            last_write_ms: row.try_get("last_write_ms")?,
            verified_ms: None,
        };
        if format > LocalFormat::FIRST {
            head.lineage = row.try_get("lineage")?;
            head.writes = row.try_get::<i64, _>("writes")?.cast_unsigned();
            head.verified_ms = row.try_get("verified_ms")?;
        }
        Ok(Self {
            format,
            account: row.try_get("account")?,
            store_id: row.try_get("store_id")?,
            head,
        })
    }

    /// Brings a file of an older format to this one, in the caller's
    /// transaction. Returns whether there is something to write.
    pub(super) async fn upgrade(
        &mut self,
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<bool, OpenMediumError> {
        if self.is_upgraded() {
            return Ok(false);
        }
        schema::upgrade(connection)
            .await
            .map_err(|error| classify(file, error))?;
        self.format = LocalFormat::CURRENT;
        self.head.lineage = Head::begin(self.head.epoch)?.lineage;
        Ok(true)
    }

    /// Whether the file is of the current format.
    pub(super) fn is_upgraded(&self) -> bool {
        self.format == LocalFormat::CURRENT
    }

    /// Refuses a file of another account.
    pub(super) fn check_account(
        &self,
        file: &Path,
        account: &AccountName,
    ) -> Result<(), OpenMediumError> {
        if self.account == account.as_str() {
            return Ok(());
        }
        Err(OpenMediumError::ForeignAccount {
            file: file.to_owned(),
            found: self.account.clone(),
            ours: account.clone(),
        })
    }

    /// Refuses a file of another shared store.
    pub(super) fn check_store(&self, file: &Path, store_id: &str) -> Result<(), OpenMediumError> {
        if self.store_id == store_id {
            return Ok(());
        }
        Err(OpenMediumError::ForeignStore {
            file: file.to_owned(),
            found: self.store_id.clone(),
            ours: store_id.to_owned(),
        })
    }

    /// Makes the row, or replaces it.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<(), RecordError> {
        sqlx::query(
            "INSERT OR REPLACE INTO header(id, format, account, store_id, epoch, key_count, \
             key_digest, last_write_ms, checksum, lineage, writes, verified_ms) \
             VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .bind(self.format.0)
        .bind(&self.account)
        .bind(&self.store_id)
        .bind(self.head.epoch)
        .bind(self.head.keys.count())
        .bind(self.head.keys.digest())
        .bind(self.head.last_write_ms)
        .bind(self.checksum().as_ref())
        .bind(&self.head.lineage)
        .bind(self.head.writes.cast_signed())
        .bind(self.head.verified_ms)
        .execute(connection)
        .await
        .map_err(|error| classify(file, error))?;
        Ok(())
    }

    fn checksum(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let text = |context: &mut digest::Context, text: &str| {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        };
        let time = |context: &mut digest::Context, time: Option<i64>| {
            context.update(&[u8::from(time.is_some())]);
            context.update(&time.unwrap_or_default().to_be_bytes());
        };
        let head = &self.head;
        text(&mut context, &self.account);
        text(&mut context, &self.store_id);
        context.update(&self.format.0.to_be_bytes());
        context.update(&head.epoch.to_be_bytes());
        context.update(&head.keys.count().to_be_bytes());
        context.update(head.keys.digest());
        time(&mut context, head.last_write_ms);
        if self.format > LocalFormat::FIRST {
            text(&mut context, &head.lineage);
            context.update(&head.writes.to_be_bytes());
            time(&mut context, head.verified_ms);
        }
        context.finish()
    }
}
