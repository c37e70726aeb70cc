//! How the process is, under the names that all Prometheus clients use.

use procfs::process::Process;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

pub(super) fn write(into: &mut String) {
    let mut registry = Registry::default();
    let version = env!("CARGO_PKG_VERSION");
    registry.register("wa_build", "What runs", Info::new(Build { version }));
    let tasks = tokio::runtime::Handle::current().metrics();
    let alive = i64::try_from(tasks.num_alive_tasks()).unwrap_or(i64::MAX);
    registry.register("wa_tasks", "Tasks that are alive", ConstGauge::new(alive));
    // Without /proc, e.g. in a narrow sandbox, the rest is told all the same.
    let _ = read(&mut registry);
    // Writing to a String cannot fail.
    let _ = encode_registry(into, &registry);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn read(registry: &mut Registry) -> procfs::ProcResult<()> {
    let me = Process::myself()?;
    let stat = me.stat()?;
    let per_second = procfs::ticks_per_second() as f64;
    let cpu = (stat.utime + stat.stime) as f64 / per_second;
    registry.register_with_unit(
        "process_cpu",
        "Time on processors, of users and the kernel",
        Unit::Seconds,
        ConstCounter::new(cpu),
    );
    let resident = stat.rss * procfs::page_size();
    let resident = i64::try_from(resident).unwrap_or(i64::MAX);
    registry.register_with_unit(
        "process_resident_memory",
        "Resident memory",
        Unit::Bytes,
        ConstGauge::new(resident),
    );
    let open = i64::try_from(me.fd_count()?).unwrap_or(i64::MAX);
    registry.register("process_open_fds", "Open files", ConstGauge::new(open));
    let most = me.limits()?.max_open_files.soft_limit;
    if let procfs::process::LimitValue::Value(most) = most {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        registry.register(
            "process_max_fds",
            "Open files at most",
            ConstGauge::new(most),
        );
    }
    let began = procfs::boot_time_secs()? as f64 + stat.starttime as f64 / per_second;
    registry.register_with_unit(
        "process_start_time",
        "When it began, Unix time",
        Unit::Seconds,
        ConstGauge::new(began),
    );
    Ok(())
}
