//! A simulation with its HTTP control, for scripts: prints one JSON line, ends with its input.
//!
//! `cargo run -p simulator --example serve` prints `{"control": "http://127.0.0.1:PORT"}`.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use simulator::control::Control;
use simulator::{Options, Simulator};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let simulator = Arc::new(Simulator::start(Options::default()).await?);
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let control = Control::serve(Arc::clone(&simulator), any_port).await?;
    println!(
        "{}",
        serde_json::json!({ "control": format!("http://{}", control.address()) })
    );
    let input_ended = tokio::task::spawn_blocking(|| {
        let mut ignored = Vec::new();
        std::io::stdin().lock().read_to_end(&mut ignored)
    });
    input_ended.await??;
    control.stop().await;
    if let Ok(simulator) = Arc::try_unwrap(simulator) {
        simulator.stop().await;
    }
    Ok(())
}
