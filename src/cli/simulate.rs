//! `simulate`: a simulated WhatsApp on loopback, for other processes.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use simulator::control::Control;
use simulator::{Options, Simulator};

use super::CliError;
use crate::shutdown::{Shutdown, TOOL_GRACE};

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Where clients connect; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where tests steer it over HTTP; port 0 picks one.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Decides the server's keys and its faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Simulate {
    /// Prints one JSON line that tells where everything is, and serves until SIGTERM.
    pub(super) async fn run(self) -> Result<(), CliError> {
        for address in [self.listen, self.control] {
            if !address.ip().is_loopback() {
                return Err(CliError::Config(format!(
                    "{address} is not a loopback address: the simulator has no secrets and must not be reachable"
                )));
            }
        }
        let shutdown = Shutdown::listen(TOOL_GRACE)?;
        let options = Options {
            seed: self.seed,
            listen: self.listen,
            ..Options::default()
        };
        let sim = Simulator::start(options)
            .await
            .map_err(|error| CliError::Unavailable(error.to_string()))?;
        let sim = Arc::new(sim);
        let control = Control::serve(sim.clone(), self.control).await?;
        put!(
            "{}",
            json!({"url": sim.url(), "control": format!("http://{}", control.address()), "mediaHost": sim.media_host(), "seed": self.seed})
        );
        let ca_file =
            std::env::temp_dir().join(format!("whatsapp-simulator-{}.pem", std::process::id()));
        std::fs::write(&ca_file, sim.ca_pem())?;
        eprintln!("For workers, in another terminal:");
        eprintln!("export WHATSAPP_WS_URL='{}'", sim.url());
        eprintln!("export WHATSAPP_EXTRA_CA_FILE='{}'", ca_file.display());
        eprintln!("export WHATSAPP_CLIENT_VERSION=2.3000.1026131876");
        shutdown.token().cancelled().await;
        std::fs::remove_file(&ca_file)?;
        control.stop().await;
        if let Some(sim) = Arc::into_inner(sim) {
            sim.stop().await;
        }
        Ok(())
    }
}
