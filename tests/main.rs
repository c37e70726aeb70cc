//! Integration tests: one binary, a module for each topic.

mod bad_input;
mod interop;
mod kills;
mod leases;
mod messages;
mod operating;
mod postgres;
mod production;
mod store;
mod theatre;
