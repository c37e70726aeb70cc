//! What those need who install and run it: commands that say how it is, the service manager, the files
//! below `deploy/`.

mod commands;
mod doctor;
mod files;
mod limits;
mod silence;
mod systemd;

use std::process::Output;

use whatsapp_worker::rehearsal::Stage;

use crate::theatre::binary;

/// A stage without anything on it: nobody listens at its server's URL.
fn bare(dir: &std::path::Path) -> Stage {
    let mut stage = Stage::set(&binary(), dir, "ws://127.0.0.1:1/ws", "").expect("writable");
    let unset = ("WHATSAPP_EXTRA_CA_FILE".to_owned(), String::new());
    stage.settings.extend([unset]);
    stage
}

async fn run(stage: &Stage, arguments: &[&str]) -> Output {
    stage
        .command("operator", arguments)
        .output()
        .await
        .expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address of loopback that nobody else is given, as far as anybody can tell.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("bound").to_string()
}
