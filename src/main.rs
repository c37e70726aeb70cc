//! Parse, initialise, dispatch, exit code.

use std::process::ExitCode;

use whatsapp_worker::cli::Cli;

fn main() -> ExitCode {
    whatsapp_worker::session::install_crypto_provider();
    Cli::from_arguments().run()
}
