//! Events that leave the process: what arrives at Axiom and at webhooks that work, fail and refuse.

mod sinks;
mod traces;
mod workers;
