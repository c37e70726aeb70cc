//! PostgreSQL servers for tests and benchmarks: made in a directory of their own from the machine's
//! binaries, on a free loopback port, as an unprivileged user when we are root.
//!
//! A server never outlives whoever started it. Its parent is a shell that waits for a line on a pipe
//! which only the starter holds: the line names the signal that stops the server, and the end of the
//! pipe (the starter died, however it died) stops it at once.

mod pooler;
mod shared;
mod site;

pub use pooler::Pooler;
pub use shared::{Database, SharedPostgres};

use std::io::{Error, Result};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use self::site::Site;

/// Started by a shell as `sh -c SCRIPT sh DIRECTORY COMMAND...`: tells the server's process id, then
/// waits for the name of a signal. When nobody is left to send one, it removes the directory too.
const KEEPER: &str = r#"dir=$1; shift; "$@" & pid=$!; echo "$pid"
if read -r how; then dir=; else how=QUIT; fi
kill -"$how" "$pid"; wait "$pid"
if [ -n "$dir" ]; then cd /; rm -rf "$dir"; fi"#;

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
    dir: tempfile::TempDir,
}

#[derive(Debug)]
struct Running {
    keeper: Child,
    line: ChildStdin,
    server: u32,
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
        let site = Site::make(dir.path(), &options).await?;
        let mut server = Self {
            site,
            environment: options.environment,
            running: None,
            dir,
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
            .arg(self.dir.path())
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
