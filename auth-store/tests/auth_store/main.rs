//! The auth store against real files and real Signal sessions.

mod backend;
mod baileys;
mod contents;
mod crash;
mod damage;
mod fence;
mod first_release;
mod fixture;
mod gate;
mod generations;
mod header;
mod key_file;
mod keys;
mod loss;
mod moving;
mod poison;
mod ratchets;
mod raw_bytes;
mod reopening;
mod repair;
mod sealing;
mod shelf;
mod signal_pair;
mod snapshot;
mod verification;
