//! PostgreSQL servers for tests and benchmarks: made in a directory of their own from the machine's
//! binaries, on a free loopback port, as an unprivileged user when we are root.
//!
//! A server never outlives whoever started it. Its parent is a shell that waits for a line on a pipe
//! which only the starter holds: the line names the signal that stops the server, and the end of the
//! pipe (the starter died, however it died) stops it at once.

mod pooler;
mod shared;

pub use pooler::Pooler;
pub use shared::{Database, SharedPostgres};

use std::io::{Error, Result};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::clock::Boot;

/// How long a server may take to start: it may have to recover first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the superuser `worker`. The port is open to everybody on this machine.
const PASSWORD: &str = "rehearsal";

/// Started by a shell as `sh -c SCRIPT sh COMMAND...`: tells the server's process id, then waits for
/// the name of a signal.
const KEEPER: &str = r#""$@" & pid=$!; echo "$pid"; how=QUIT; read -r how || how=QUIT; kill -"$how" "$pid"; wait "$pid""#;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether commits reach the disk. Off only where durability does not matter.
    pub fsync: bool,
    /// Further settings, as in `postgresql.conf`, without quotes around values.
    pub settings: Vec<(String, String)>,
    /// Further variables of the server's environment.
    pub environment: Vec<(String, String)>,
    /// Files that only the server may read, put into its data directory.
    pub files: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            fsync: true,
            settings: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// A PostgreSQL server. Dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    site: Site,
    environment: Vec<(String, String)>,
    running: Option<Running>,
    _dir: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Running {
    keeper: Child,
    line: ChildStdin,
    server: u32,
}

/// An initialised data directory and the port that its server listens on.
#[derive(Clone, Debug)]
struct Site {
    bin: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
}

impl Postgres {
    /// Starts a server in a temporary directory, with commits that reach the disk.
    ///
    /// # Errors
    /// The machine has no PostgreSQL, or it does not start; the text tells.
    pub async fn start() -> Result<Self> {
        Self::start_with(PostgresOptions::default()).await
    }

    /// As [`Postgres::start`], set up by `options`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_with(options: PostgresOptions) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("whatsapp-worker-postgres.")
            .tempdir()?;
        let mut server = Self::set_up(dir.path(), options).await?;
        server._dir = Some(dir);
        Ok(server)
    }

    /// As [`Postgres::start`] in `dir`, which belongs to the server from then on. What leads to it
    /// must be open to an unprivileged user when we are root.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_in(dir: &Path) -> Result<Self> {
        Self::set_up(dir, PostgresOptions::default()).await
    }

    async fn set_up(dir: &Path, options: PostgresOptions) -> Result<Self> {
        let site = Site::make(dir, &options).await?;
        let mut server = Self {
            site,
            environment: options.environment,
            running: None,
            _dir: None,
        };
        server.resume().await?;
        Ok(server)
    }

    /// The URL of its first database, for `STORE_URL`.
    pub fn url(&self) -> String {
        self.site.url(self.site.port, "postgres")
    }

    /// The same by way of another port, such as a proxy's.
    pub fn url_by_port(&self, port: u16) -> String {
        self.site.url(port, "postgres")
    }

    /// The loopback port that it listens on, the same after a restart.
    pub fn port(&self) -> u16 {
        self.site.port
    }

    /// Process id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.server)
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log(&self) -> Result<String> {
        self.site.log()
    }

    /// Makes another database and returns its URL.
    ///
    /// # Errors
    /// The server does not do it.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        self.site.create_database(name).await
    }

    /// Sets the server's environment for its next start, e.g. another clock.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Stops it, ending its clients' connections; what is committed stays. Nothing happens when it
    /// does not run.
    ///
    /// # Errors
    /// Its keeper cannot be awaited.
    pub async fn stop(&mut self) -> Result<()> {
        self.end("INT").await
    }

    /// Ends it without a farewell, as a crash of its machine would: it recovers at the next start.
    ///
    /// # Errors
    /// Its keeper cannot be awaited.
    pub async fn kill(&mut self) -> Result<()> {
        self.end("QUIT").await
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill`] and waits until it answers.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn resume(&mut self) -> Result<()> {
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER, "sh"])
            .arg(self.site.bin.join("postgres"))
            .arg("-D")
            .arg(self.site.data());
        self.site.lend(&mut command);
        let mut keeper = command
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.site.log_file()?)
            .process_group(0)
            .spawn()?;
        let line = keeper.stdin.take().expect("stdin is piped");
        let mut told = BufReader::new(keeper.stdout.take().expect("stdout is piped"));
        let mut pid = String::new();
        told.read_line(&mut pid).await?;
        let server = pid.trim().parse().map_err(Error::other)?;
        self.running = Some(Running {
            keeper,
            line,
            server,
        });
        self.site.wait_for(server).await
    }

    /// Stops and starts it, as an administrator would.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.resume().await
    }

    async fn end(&mut self, signal: &str) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        // An error means that the keeper is gone, and the server with it.
        let _ = running
            .line
            .write_all(format!("{signal}\n").as_bytes())
            .await;
        running.keeper.wait().await?;
        Ok(())
    }
}

impl Site {
    async fn make(dir: &Path, options: &PostgresOptions) -> Result<Self> {
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

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://worker:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.dir.join("log"))?).into_owned())
    }

    fn log_file(&self) -> Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join("log"))
    }

    async fn create_database(&self, name: &str) -> Result<String> {
        let mut connection = self.connect().await.map_err(Error::other)?;
        let create = format!("CREATE DATABASE \"{name}\"");
        sqlx::query(sqlx::AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .map_err(Error::other)?;
        connection.close().await.map_err(Error::other)?;
        Ok(self.url(self.port, name))
    }

    async fn connect(&self) -> sqlx::Result<sqlx::PgConnection> {
        self.url(self.port, "postgres")
            .parse::<sqlx::postgres::PgConnectOptions>()?
            .disable_statement_logging()
            .connect()
            .await
    }

    /// Waits until the server with this process id answers.
    async fn wait_for(&self, server: u32) -> Result<()> {
        let began = Boot::now();
        loop {
            let error = match self.connect().await {
                Ok(connection) => return connection.close().await.map_err(Error::other),
                Err(error) => error,
            };
            // The command line of a process that has ended is empty.
            let ended = std::fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default();
            if ended.is_empty() || Boot::now().since(began) > PATIENCE {
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
    fn write(&self, name: &str, content: &str) -> Result<()> {
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
    fn lend(&self, command: &mut Command) {
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
fn unprivileged_user() -> Result<Option<(u32, u32)>> {
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
