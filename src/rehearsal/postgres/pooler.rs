//! PgBouncer before a database, to see that what it takes away is noticed.

use std::io::{Error, Result};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Database;
use super::site::{PASSWORD, Site, unprivileged_user};
use crate::clock::Boot;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running pooler. Dropping it ends it.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    _process: Child,
    _dir: tempfile::TempDir,
}

impl Pooler {
    /// Starts PgBouncer before the server of `database`, in the pool mode `mode`. `None`: this
    /// machine has no PgBouncer.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(database: &Database, mode: &str) -> Result<Option<Self>> {
        let Some(binary) = binary() else {
            return Ok(None);
        };
        let dir = tempfile::Builder::new()
            .prefix("whatsapp-worker-pooler.")
            .tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let site = Site {
            bin: PathBuf::new(),
            dir: dir.path().to_owned(),
            user: unprivileged_user()?,
            port,
        };
        if let Some((uid, gid)) = site.user {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid))?;
        }
        let users = dir.path().join("users");
        site.write("users", &format!("\"worker\" \"{PASSWORD}\"\n"))?;
        let upstream = database.port();
        site.write(
            "pgbouncer.ini",
            &format!(
                "[databases]\n* = host=127.0.0.1 port={upstream}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
                 ignore_startup_parameters = extra_float_digits,options\n",
                users.display()
            ),
        )?;
        let mut command = Command::new(binary);
        command.arg(dir.path().join("pgbouncer.ini"));
        site.lend(&mut command);
        let log = site.log_file()?;
        let process = command
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let began = Boot::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if Boot::now().since(began) > PATIENCE {
                return Err(Error::other(format!("PgBouncer: {}", site.log()?)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // justified: it tells nobody that it is ready
        }
        Ok(Some(Self {
            port,
            _process: process,
            _dir: dir,
        }))
    }

    /// The loopback port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn binary() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir: PathBuf| dir.join("pgbouncer"))
        .find(|file: &PathBuf| Path::is_file(file))
}
