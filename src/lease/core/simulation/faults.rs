//! What goes wrong, and how it heals.

use rand::RngExt;

use super::node::Clock;
use super::world::{Later, World};
use super::{STORM, TTL};

const HOUR: i64 = 3_600_000;

impl World {
    /// One thing goes wrong; the next one follows.
    pub(super) fn strike(&mut self) {
        let next = self.now + self.rng.random_range(200..2_500);
        if next < STORM {
            self.later(next, Later::Strike);
        }
        let at = self.rng.random_range(0..self.nodes.len());
        let account = self.any_account();
        let kind = self.rng.random_range(0..100);
        match kind {
            0..20 => {
                let until = self.now + self.rng.random_range(50..3 * TTL);
                self.note(|| format!("n{at} freezes until {until}"));
                self.nodes[at].frozen_until = until;
            }
            20..35 => self.crash(at),
            35..50 => {
                let until = self.now + self.rng.random_range(100..2 * TTL);
                self.note(|| format!("n{at} is cut off until {until}"));
                self.nodes[at].cut_until = until;
            }
            50..58 => {
                self.store_back = self.now + self.rng.random_range(100..2 * TTL);
                let back = self.store_back;
                self.note(|| format!("the store is away until {back}"));
            }
            58..66 => {
                self.slow_until = self.now + self.rng.random_range(100..TTL);
                let until = self.slow_until;
                self.note(|| format!("the store is slow until {until}"));
            }
            66..76 => {
                let token = self.next_token();
                if let Some(row) = self.rows.get_mut(&account).and_then(Option::as_mut) {
                    row.force_release(token);
                    self.note(|| format!("operator releases {account}"));
                }
            }
            76..86 => {
                let worker = self.nodes[at].worker;
                if let Some(row) = self.rows.get_mut(&account).and_then(Option::as_mut) {
                    row.successor = Some(worker);
                    self.note(|| format!("operator transfers {account} to n{at}"));
                }
            }
            86..96 => self.drain(at, &account),
            _ if self.steps > 0 => {
                self.steps -= 1;
                self.stepped = self.now;
                let step = if self.rng.random_bool(0.5) {
                    HOUR
                } else {
                    -HOUR
                };
                self.store_offset += step;
                self.note(|| format!("the store's clock steps by {step}"));
            }
            _ => {}
        }
    }

    fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.alive {
            return;
        }
        node.alive = false;
        node.terms.clear();
        node.awaited.clear();
        let back = self.now + self.rng.random_range(0..2 * TTL);
        self.note(|| format!("n{at} crashes until {back}"));
        self.later(back.min(STORM), Later::Restart { at });
    }

    pub(super) fn heal(&mut self) {
        self.note(|| "all heals".to_owned());
        self.store_back = self.now;
        self.slow_until = self.now;
        for node in &mut self.nodes {
            node.frozen_until = self.now;
            node.cut_until = self.now;
        }
    }

    /// A clock that is off by up to the plan's rate.
    pub(super) fn any_clock(&mut self) -> Clock {
        let drift = self.plan.drift_ppm;
        Clock {
            offset: self.rng.random_range(-HOUR..HOUR),
            ppm: self.rng.random_range(-drift..=drift),
        }
    }
}
