//! Integration tests: one binary, a module for each topic.

mod agents;
mod auth;
mod bad_input;
mod deaf;
mod deploy;
mod faults;
mod fleet;
mod interop;
mod kills;
mod leases;
mod load;
mod messages;
mod metrics;
mod operating;
mod outbox;
mod postgres;
mod production;
mod relink;
mod repair;
mod rollover;
mod sending;
mod sessions;
mod stopping;
mod store;
mod switches;
mod theatre;
