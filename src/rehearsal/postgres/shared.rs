//! One server for all test processes that run at the same time, each with databases of its own.
//!
//! Whoever uses the server holds a shared lock on a file. The first one starts it; its keeper waits for
//! an exclusive lock on the same file, so it learns when the last user is gone, in whatever way, lingers
//! a little for the next, stops the server and removes its directory.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::PostgresOptions;
use super::site::Site;

/// Started as `sh -c SCRIPT sh DIRECTORY COMMAND...` with the users' lock as its standard input.
const KEEPER: &str = r#"dir=$1; shift; "$@" </dev/null & pid=$!; echo "$pid"
while flock -x 0; do flock -u 0; sleep 3; flock -n -x 0 && break; done
kill -QUIT "$pid"; wait "$pid"; cd /; rm -rf "$dir""#;

/// A share in the server. The server runs as long as anybody has one.
#[derive(Debug)]
pub struct SharedPostgres {
    site: Site,
    _user: File,
}

/// A database of one's own on the shared server.
#[derive(Debug)]
pub struct Database {
    server: SharedPostgres,
    name: String,
    url: String,
}

impl SharedPostgres {
    /// Joins the users of the server that is noted in `dir`, starting it when there is none.
    ///
    /// # Errors
    /// The machine has no PostgreSQL, or it does not start; the text tells.
    pub async fn join(dir: &Path) -> Result<Self> {
        let users = dir.join("postgres.users");
        let user = locked(users.clone(), File::lock_shared).await?;
        let _turn = locked(dir.join("postgres.turn"), File::lock).await?;
        let note = dir.join("postgres.json");
        if let Some(site) = noted(&note)
            && site.connect().await.is_ok()
        {
            return Ok(Self { site, _user: user });
        }
        let home = tempfile::Builder::new()
            .prefix("whatsapp-worker-postgres.")
            .tempdir()?;
        let site = Site::make(home.path(), &PostgresOptions::default()).await?;
        let server = start(&site, File::open(&users)?).await?;
        let _kept = home.keep();
        site.wait_for(server).await?;
        std::fs::write(
            &note,
            json!({ "dir": site.dir, "port": site.port }).to_string(),
        )?;
        Ok(Self { site, _user: user })
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// The server does not do it.
    pub async fn database(self) -> Result<Database> {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let url = self.site.create_database(&name).await?;
        Ok(Database {
            server: self,
            name,
            url,
        })
    }
}

impl Database {
    /// For `STORE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same by way of another port, such as a proxy's.
    pub fn url_by_port(&self, port: u16) -> String {
        self.server.site.url(port, &self.name)
    }

    /// The loopback port of its server.
    pub fn port(&self) -> u16 {
        self.server.site.port
    }

    /// Removes it, whoever is still connected. Without this it goes with the server.
    ///
    /// # Errors
    /// The server does not do it.
    pub async fn remove(self) -> Result<()> {
        let mut connection = self.server.site.connect().await.map_err(Error::other)?;
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        sqlx::query(sqlx::AssertSqlSafe(drop))
            .execute(&mut connection)
            .await
            .map_err(Error::other)?;
        sqlx::Connection::close(connection)
            .await
            .map_err(Error::other)
    }
}

async fn locked(path: PathBuf, lock: fn(&File) -> Result<()>) -> Result<File> {
    tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        lock(&file)?;
        Ok(file)
    })
    .await
    .expect("locking a file does not panic")
}

fn noted(note: &Path) -> Option<Site> {
    let note: serde_json::Value = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
    Some(Site {
        bin: PathBuf::new(),
        dir: note["dir"].as_str()?.into(),
        user: None,
        port: note["port"].as_u64()?.try_into().ok()?,
    })
}

/// Starts the server with a keeper that survives us, and returns the server's process id.
async fn start(site: &Site, users: File) -> Result<u32> {
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "sh"])
        .arg(&site.dir)
        .arg(site.bin.join("postgres"))
        .arg("-D")
        .arg(site.data());
    site.lend(&mut command);
    let mut keeper = command
        .stdin(users)
        .stdout(Stdio::piped())
        .stderr(site.log_file()?)
        .process_group(0)
        .spawn()?;
    let mut told = BufReader::new(keeper.stdout.take().expect("stdout is piped"));
    let mut pid = String::new();
    told.read_line(&mut pid).await?;
    pid.trim().parse().map_err(Error::other)
}
