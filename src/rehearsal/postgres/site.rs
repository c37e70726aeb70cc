//! The directory of a server.

use std::io::{Error, Result};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};
use tokio::process::Command;

use super::PostgresOptions;
use crate::clock::Boot;
use crate::rehearsal::process;

/// How long a server may take to start: it may have to recover first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the superuser `worker`. The port is open to everybody on this machine.
pub(super) const PASSWORD: &str = "rehearsal";

/// An initialised data directory and the port that its server listens on.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) bin: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) user: Option<(u32, u32)>,
    pub(super) port: u16,
}

impl Site {
    pub(super) async fn make(dir: &Path, options: &PostgresOptions) -> Result<Self> {
        let bin = binaries()?;
        let user = unprivileged_user()?;
        std::fs::create_dir_all(dir)?;
        if let Some((uid, gid)) = user {
            chown(dir, Some(uid), Some(gid))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let site = Self {
            bin,
            dir: dir.to_owned(),
            user,
            port,
        };
        site.write("password", PASSWORD)?;
        let mut initdb = Command::new(site.bin.join("initdb"));
        initdb
            .args([
                "--username=worker",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ])
            .arg(format!("--pwfile={}", dir.join("password").display()))
            .arg(site.data());
        site.lend(&mut initdb);
        let made = initdb.output().await?;
        if !made.status.success() {
            return Err(Error::other(format!(
                "initdb failed: {}",
                String::from_utf8_lossy(&made.stderr)
            )));
        }
        let on_or_off = |on: bool| if on { "on" } else { "off" }.to_owned();
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", String::new()),
            ("shared_buffers", "32MB".to_owned()),
            ("max_connections", "200".to_owned()),
            ("fsync", on_or_off(options.fsync)),
            ("logging_collector", "off".to_owned()),
            ("log_line_prefix", "%m [%p] %a ".to_owned()),
        ];
        let mut text = String::new();
        for (name, value) in own {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        for (name, value) in &options.settings {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        site.write("data/postgresql.auto.conf", &text)?;
        for (name, content) in &options.files {
            site.write(&format!("data/{name}"), content)?;
        }
        Ok(site)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://worker:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    pub(super) fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.dir.join("log"))?).into_owned())
    }

    pub(super) fn log_file(&self) -> Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join("log"))
    }

    pub(super) async fn create_database(&self, name: &str) -> Result<String> {
        let mut connection = self.connect().await.map_err(Error::other)?;
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::query(sqlx::AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .map_err(Error::other)?;
        connection.close().await.map_err(Error::other)?;
        Ok(self.url(self.port, name))
    }

    pub(super) async fn connect(&self) -> sqlx::Result<sqlx::PgConnection> {
        self.url(self.port, "postgres")
            .parse::<sqlx::postgres::PgConnectOptions>()?
            .disable_statement_logging()
            .connect()
            .await
    }

    /// Waits until the server with this process id answers.
    pub(super) async fn wait_for(&self, server: u32) -> Result<()> {
        let began = Boot::now();
        loop {
            let error = match self.connect().await {
                Ok(connection) => return connection.close().await.map_err(Error::other),
                Err(error) => error,
            };
            if process::has_ended(server) || Boot::now().since(began) > PATIENCE {
                return Err(Error::other(format!(
                    "PostgreSQL does not answer on port {}: {error}; it logged:\n{}",
                    self.port,
                    self.log()?
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // justified: a server tells nobody that it is ready
        }
    }

    /// Puts `content` into a file of the server's, for its eyes only.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.dir.join(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        std::io::Write::write_all(&mut file, content.as_bytes())?;
        match self.user {
            Some((uid, gid)) => chown(&path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Lets `command` run as the server's user, in its directory, without our environment.
    pub(super) fn lend(&self, command: &mut Command) {
        command
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
    }
}

/// Where `initdb` and `postgres` lie: on the PATH, or where Debian puts the newest version.
fn binaries() -> Result<PathBuf> {
    let has_both = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(dir) = std::env::split_paths(&on_path).find(has_both) {
        return Ok(dir);
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(has_both);
    let version = |dir: &PathBuf| -> u32 {
        dir.parent()
            .and_then(|dir| dir.file_name()?.to_str()?.parse().ok())
            .unwrap_or(0)
    };
    installed.max_by_key(version).ok_or_else(|| {
        Error::other(
            "PostgreSQL is missing: neither PATH nor /usr/lib/postgresql has initdb and postgres; install Debian's package postgresql",
        )
    })
}

/// PostgreSQL refuses to run as root: its own user, or else nobody.
pub(super) fn unprivileged_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .map(Some)
        .ok_or_else(|| {
            Error::other("no unprivileged user 'postgres' or 'nobody' to run PostgreSQL as")
        })
}
