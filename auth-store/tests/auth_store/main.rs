//! The auth store against real files and real Signal sessions.

mod backend;
mod baileys;
mod crash;
mod damage;
mod fence;
mod fixture;
mod gate;
mod generations;
mod header;
mod key_file;
mod loss;
mod poison;
mod reopening;
mod sealing;
mod shelf;
mod signal_pair;
mod snapshot;
