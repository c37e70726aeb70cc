//! Clocks that jump by an hour: PostgreSQL's, which decides about leases, and a worker's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::postgres::PostgresOptions;

use super::witness::Witness;
use super::{Pair, acquired, assert_nothing_late, assert_unharmed, established, settings, ttl_ms};
use crate::load::Load;
use crate::theatre::{Engine, Theatre};

const TTL: Duration = Duration::from_secs(3);
const PACE: Duration = Duration::from_millis(40);

/// A wall clock of a process that is set while it runs. What measures spans of time is left alone.
struct WallClock {
    file: PathBuf,
    library: PathBuf,
    _dir: tempfile::TempDir,
}

impl WallClock {
    /// `None`, with the reason printed, where libfaketime is not installed.
    fn new() -> Option<Self> {
        let library = [
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/faketime/libfaketimeMT.so.1",
        ]
        .into_iter()
        .map(PathBuf::from)
        .find(|library| library.is_file());
        let Some(library) = library else {
            println!(
                "SKIPPED: libfaketime is missing (Debian's package libfaketime): no clock can jump"
            );
            return None;
        };
        let dir = tempfile::tempdir().expect("temporary directory");
        let clock = Self {
            file: dir.path().join("clock"),
            library,
            _dir: dir,
        };
        clock.ahead(0);
        open_to_all(clock._dir.path(), 0o755);
        Some(clock)
    }

    /// Sets the clock this many seconds ahead of the machine's.
    fn ahead(&self, seconds: i64) {
        // Renamed into place, since it is read at every question for the time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}")).expect("writable");
        open_to_all(&new, 0o644);
        std::fs::rename(&new, &self.file).expect("writable");
    }

    fn environment(&self) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    async fn pair(&self) -> Pair {
        let options = PostgresOptions {
            environment: self.environment(),
            ..PostgresOptions::default()
        };
        let ttl = ttl_ms(TTL);
        Pair::in_theatre(Theatre::open_on_server(options, &settings(&ttl)).await).await
    }
}

/// The server runs as another user.
fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

#[tokio::test]
async fn a_server_whose_clock_jumps_ahead_changes_the_holder_at_most_once() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let pair = clock.pair().await;
    let load = Load::start(&pair.theatre, PACE);
    let witness = Witness::of(&pair.theatre).await;
    let before = witness.now_ms().await;
    clock.ahead(3600);
    assert!(
        witness.now_ms().await - before > 3_500_000,
        "the clock jumped"
    );
    tokio::time::sleep(3 * TTL).await; // justified: takeovers that must not happen tell nobody
    assert_unharmed(&pair.theatre, load).await;
    let epoch = witness.epoch().await;
    assert!(epoch <= 2, "{} takeovers", epoch - 1);
    println!("{} takeovers", epoch - 1);
}

#[tokio::test]
async fn a_server_whose_clock_jumps_back_lets_a_dead_holder_be_replaced() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let mut pair = clock.pair().await;
    let witness = Witness::of(&pair.theatre).await;
    let mut ids: Vec<String> = (0..10)
        .map(|n| pair.theatre.text(&format!("message {n}")))
        .collect();
    pair.theatre.jobs_of(&ids).await;
    let (before, so_far) = (witness.now_ms().await, pair.standby.so_far());
    clock.ahead(-3600);
    assert!(
        before - witness.now_ms().await > 3_500_000,
        "the clock jumped"
    );
    pair.active.kill().await.expect("ours");
    let died = Boot::now();
    ids.push(pair.theatre.text("while it is dead"));
    let epoch = acquired(&pair.standby, so_far).await;
    let took = Boot::now().since(died);
    assert!(took <= 2 * TTL, "taken over after {took:?}");
    established(&pair.standby, so_far).await;
    pair.theatre.assert_each_queued_once(&ids).await;
    assert_eq!(witness.epoch().await, epoch, "one takeover and no more");
    assert_nothing_late(&pair.theatre);
    println!("taken over after {took:?} at a TTL of {TTL:?}");
}

/// What the worker asks the kernel itself, past the C library, cannot be faked here: that is its
/// `CLOCK_BOOTTIME`, and the wall clock for people. Its libraries ask the C library.
#[tokio::test]
async fn a_worker_whose_wall_clock_jumps_does_not_notice() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let mut theatre = Theatre::open_on(Engine::Postgres, &settings(&ttl_ms(TTL))).await;
    theatre.stage.settings.extend(clock.environment());
    let pair = Pair::in_theatre(theatre).await;
    let load = Load::start(&pair.theatre, PACE);
    let logins = pair.theatre.sim.visits(&pair.theatre.shop).len();
    for ahead in [3600, -3600, 0] {
        clock.ahead(ahead);
        tokio::time::sleep(TTL).await; // justified: what must not happen tells nobody
    }
    assert_unharmed(&pair.theatre, load).await;
    assert_eq!(Witness::of(&pair.theatre).await.epoch().await, 1);
    assert_eq!(pair.theatre.sim.visits(&pair.theatre.shop).len(), logins);
    assert_eq!(pair.active.count("whatsapp.connection.closed"), 0);
    assert_eq!(pair.standby.count("whatsapp.lease.acquire.success"), 0);
}
