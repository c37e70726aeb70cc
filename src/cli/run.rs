//! `run`: operate the configured accounts until SIGTERM.

use std::io::IsTerminal;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::link::show_in_terminal;
use super::{CliError, load_config};
use crate::app::App;
use crate::session::Board;
use crate::shutdown::Shutdown;

pub(super) async fn run() -> Result<(), CliError> {
    let config = load_config()?;
    if cfg!(feature = "simulator") {
        eprintln!(
            "SIMULATOR BUILD: the server's certificate is not checked, WhatsApp's own hosts are refused. Not for production."
        );
    }
    allow_many_open_files();
    let app = App::build(config).await?;
    let shutdown = Shutdown::listen(app.config.shutdown_grace)?;
    info!(
        worker = %app.owner,
        store = %app.store.place(),
        "[whatsapp] Worker started"
    );
    let watched = std::io::stdout().is_terminal();
    let displays = std::sync::Mutex::new(JoinSet::new());
    app.run(shutdown.token().clone(), |_| {
        let board = Board::default();
        board.watched.send_replace(watched);
        if watched {
            let codes = board.code.subscribe();
            displays
                .lock()
                .expect("no panic while it is held")
                .spawn(show_in_terminal(codes));
        }
        board
    })
    .await;
    Ok(())
}

/// Systems start processes with few files for the sake of old programs; connections are files too.
fn allow_many_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}
