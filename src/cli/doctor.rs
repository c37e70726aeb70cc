//! `doctor`: checks what a worker needs, and says what to do about each failure.

mod network;
mod store;

use std::path::Path;

use clap::Args;
use rustix::fs::{Access, access};
use serde_json::json;

use super::table::print;
use super::{CliError, Output};
use crate::app::auth_home;
use crate::config::{Config, Values};

/// Less room than this on a disk is a failure.
const ENOUGH_MIB: u64 = 100;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Do not connect to WhatsApp.
    #[arg(long)]
    offline: bool,
}

/// One check.
struct Finding {
    check: &'static str,
    verdict: Verdict,
}

enum Verdict {
    /// What was found.
    Fine(String),
    /// What does not matter, or could not be looked at, and why.
    Passed(String),
    /// What is wrong, and what to do about it.
    Failed { problem: String, cure: String },
}

impl Finding {
    fn fine(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Fine(detail.into()),
        }
    }

    fn passed(check: &'static str, why: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Passed(why.into()),
        }
    }

    fn failed(check: &'static str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Failed {
                problem: problem.into(),
                cure: cure.into(),
            },
        }
    }
}

impl Doctor {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let findings = self.examine().await;
        let total = findings.len();
        let mut failed = 0;
        let rows = findings.into_iter().map(|finding| {
            let (verdict, detail, cure) = match finding.verdict {
                Verdict::Fine(detail) => ("ok", detail, json!(null)),
                Verdict::Passed(why) => ("-", why, json!(null)),
                Verdict::Failed { problem, cure } => {
                    failed += 1;
                    ("FAILED", problem, json!(cure))
                }
            };
            vec![json!(finding.check), json!(verdict), json!(detail), cure]
        });
        let rows = rows.collect();
        print(output, &["check", "verdict", "detail", "whatToDo"], rows);
        match failed {
            0 => Ok(()),
            failed => Err(CliError::Failed(format!(
                "{failed} of {total} checks failed"
            ))),
        }
    }

    async fn examine(&self) -> Vec<Finding> {
        let (values, problems) = Values::gather();
        let mut findings: Vec<_> = problems.into_iter().map(wrong_setting).collect();
        let notices = values.notices().iter();
        findings.extend(notices.map(|notice| Finding::passed("settings", notice.clone())));
        let config = match Config::parse_for_worker(&values) {
            Ok(config) => config,
            Err(problems) => {
                findings.extend(problems.into_iter().map(wrong_setting));
                return findings;
            }
        };
        if findings.is_empty() {
            findings.push(Finding::fine("settings", "they fit together"));
        }
        if config.role.operates() {
            findings.push(auth_key(&config));
            findings.push(disk("disk of auth state", &config.auth.dir));
        }
        if !config.events.targets.is_empty() {
            findings.push(spool(&config.events.spool.dir));
        }
        store::examine(&config, &mut findings).await;
        match (config.role.operates(), self.offline) {
            (true, false) => network::examine(&config, &mut findings).await,
            (true, true) => findings.push(Finding::passed("whatsapp", "not asked: --offline")),
            (false, _) => findings.push(Finding::passed("whatsapp", "not needed by this role")),
        }
        findings
    }
}

/// The text of a wrong setting tells its cure.
fn wrong_setting(error: crate::config::ConfigError) -> Finding {
    let settings = error.settings().join(", ");
    Finding::failed(
        "settings",
        error.to_string(),
        format!("correct {settings}; `whatsapp-worker config print` tells where it comes from"),
    )
}

fn auth_key(config: &Config) -> Finding {
    let ring = auth_home(&config.auth)
        .map_err(|error| error.to_string())
        .and_then(|home| home.ring().map_err(|error| error.to_string()));
    match ring {
        Ok(ring) => Finding::fine(
            "auth key",
            format!("{}, for {}", ring.id(), config.auth.dir.display()),
        ),
        Err(problem) => Finding::failed(
            "auth key",
            problem,
            "give the key that sealed the auth state in WHATSAPP_AUTH_KEY or WHATSAPP_AUTH_KEY_FILE, or put auth.key back into WHATSAPP_AUTH_DIR, which this process must be able to write",
        ),
    }
}

/// It is made when a worker starts, so what counts is what is there of its path.
fn spool(dir: &Path) -> Finding {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = whole.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("/"));
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::fine(
            "spool of events",
            format!("{} can be written", there.display()),
        ),
        Err(error) => Finding::failed(
            "spool of events",
            format!("{}: {error}", there.display()),
            "name a directory on a local disk that this process may write in EVENTS_SPOOL_DIR",
        ),
    }
}

fn disk(check: &'static str, path: &Path) -> Finding {
    let stat = match rustix::fs::statvfs(path) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::failed(
                check,
                format!("{}: {error}", path.display()),
                "mount it, and let this process read and write it",
            );
        }
    };
    let mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if mib >= ENOUGH_MIB {
        return Finding::fine(check, format!("{mib} MiB free"));
    }
    Finding::failed(
        check,
        format!("only {mib} MiB free at {}", path.display()),
        "make room: a full disk stops the intake",
    )
}
