//! Where the auth state of a killed worker lies.

use crate::theatre::{Engine, Theatre};

#[derive(Clone, Copy, Debug)]
pub enum Medium {
    /// A file, beside a shared store on SQLite.
    Local,
    /// The shared store, SQLite.
    RemoteSqlite,
    /// The shared store, PostgreSQL.
    RemotePostgres,
}

impl Medium {
    /// A theatre whose workers keep their auth state on this medium. Receipts are checked.
    pub async fn theatre(self, settings: &[(&str, &str)]) -> Theatre {
        // Only on SQLite can it be proved at once that a process is dead.
        let (engine, mode, ttl) = match self {
            Self::Local => (Engine::Sqlite, "local", "60000"),
            Self::RemoteSqlite => (Engine::Sqlite, "remote", "60000"),
            Self::RemotePostgres => (Engine::Postgres, "remote", "2000"),
        };
        let mode = ("WHATSAPP_AUTH_MODE", mode);
        let settings = [settings, &[mode, ("WHATSAPP_LEASE_TTL_MS", ttl)]].concat();
        let theatre = Theatre::open_on(engine, &settings).await;
        theatre.check_receipts().await;
        theatre
    }
}

/// Makes a test on each medium out of `async fn name(medium: Medium)`.
macro_rules! on_each_medium {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::kills::medium::Medium::Local).await;
            })*
        }
        mod remote_on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::kills::medium::Medium::RemoteSqlite).await;
            })*
        }
        mod remote_on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::kills::medium::Medium::RemotePostgres).await;
            })*
        }
    };
}
pub(crate) use on_each_medium;
