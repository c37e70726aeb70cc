//! Percentiles of what was measured.

use std::time::Duration;

/// The value below which `percent` of `sorted` lie, by nearest rank.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}
