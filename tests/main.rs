//! Integration tests: one binary, a module for each topic.

mod bad_input;
mod faults;
mod interop;
mod kills;
mod leases;
mod load;
mod messages;
mod postgres;
mod production;
mod rollover;
mod store;
mod theatre;
