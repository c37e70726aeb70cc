//! `whatsapp-worker` operates WhatsApp numbers for AI agents and support desks: one active worker
//! for each account, a durable inbound queue, and an outbox only the lease holder may send from.
//!
//! Imports go one way: `app` → `supervisor` → `session`, `inbound`, `jobs` → `store` → `ids`, `clock`.
//! `ARCHITECTURE.md` tells the two journeys of a message and the invariants that hold them up.

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod exports;
pub mod fleet;
pub mod ids;
pub mod inbound;
pub mod jobs;
pub mod lease;
pub mod metrics;
pub mod notify;
pub mod outbound;
mod pages;
#[cfg(feature = "simulator")]
pub mod rehearsal;
pub mod session;
pub mod shutdown;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod webhooks;
