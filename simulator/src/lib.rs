//! A WhatsApp server and phones on loopback, for tests and demonstrations.
//!
//! Real clients connect over a WebSocket, are linked by a simulated phone (QR or 8-character
//! code), and exchange end-to-end encrypted messages with simulated people and with each other.
//! Independent clients accept it (whatsapp-rust and Baileys are tested); that does not mean that
//! Meta's server behaves the same.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use simulator::people::Content;
//! use simulator::{Options, Simulator};
//!
//! let sim = Simulator::start(Options::default()).await?;
//! let shop = sim.add_person("Shop");
//! let alice = sim.add_person("Alice");
//! // A client connects to sim.url(), shows a QR code, and is linked:
//! # let qr_text = "";
//! let device = shop.scan_qr(qr_text).await?;
//! let id = alice.send(&shop.jid(), &Content::Text("hello".into()))?;
//! sim.wait_receipt(&shop, device, &id, "delivered", std::time::Duration::from_secs(5)).await?;
//! assert_eq!(sim.lint(), []);
//! sim.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Parts: [`Simulator`] owns every task; a [`Person`] is a phone and its owner; [`people`] is the
//! Signal state behind a phone; [`media`] the media host; [`faults`] what goes wrong on purpose;
//! [`lint`] what clients do wrong; [`control`] the same over HTTP for other processes.

pub mod control;
pub mod faults;
pub mod lint;
pub mod media;
pub mod people;

mod clock;
mod person;
mod server;
mod simulation;

pub use faults::Faults;
pub use lint::Violation;
pub use person::{Delivery, Person, SendError, TimedOut};
pub use server::ledger::{SeenReceipt, SeenTyping};
pub use server::lines::StreamError;
pub use server::pairing::PairingError;
pub use server::visits::Visit;
pub use simulation::{GroupAddressing, Options, Simulator, StartError};
