//! What Linux tells of a process.

/// The state and what follows it in `/proc/PID/stat`, see proc_pid_stat(5): everything behind the name,
/// which may contain anything.
pub(super) fn stat(pid: u32) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    Ok(behind.split_whitespace().map(str::to_owned).collect())
}

/// Whether it is gone, or only waits for its parent to hear of its end.
pub(super) fn has_ended(pid: u32) -> bool {
    let state = stat(pid).ok().and_then(|fields| fields.into_iter().next());
    state.is_none_or(|state| matches!(state.as_str(), "Z" | "X"))
}
