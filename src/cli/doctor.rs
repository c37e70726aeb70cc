//! `doctor`: checks what a worker needs, and says what to do about each failure.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::table::print;
use super::{CliError, Output, chain};
use crate::app::{auth_home, open_store};
use crate::clock::{self, Boot};
use crate::config::{Config, Values};
use crate::lease::trust::Trust;
use crate::session::endpoint::Network;
use crate::session::transport::WsTransportFactory;

/// A store that answers slower than this makes heartbeats late.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Do not connect to WhatsApp.
    #[arg(long)]
    offline: bool,
}

/// One check: what it found, and the cure when it failed.
struct Finding {
    check: &'static str,
    outcome: Result<String, String>,
}

impl Doctor {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let findings = self.examine().await;
        let failed = findings.iter().filter(|f| f.outcome.is_err()).count();
        let rows = findings.iter().map(|finding| {
            let (verdict, detail) = match &finding.outcome {
                Ok(detail) => ("ok", detail),
                Err(detail) => ("FAILED", detail),
            };
            vec![json!(finding.check), json!(verdict), json!(detail)]
        });
        print(output, &["check", "verdict", "detail"], rows.collect());
        match failed {
            0 => Ok(()),
            n => Err(CliError::Failed(format!(
                "{n} of {} checks failed",
                findings.len()
            ))),
        }
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let config = Values::load()
            .and_then(|values| Config::parse(&values))
            .and_then(|config| config.auth.check_for_worker().map(|()| config));
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                findings.push(Finding {
                    check: "settings",
                    outcome: Err(error.to_string()),
                });
                return findings;
            }
        };
        findings.push(Finding {
            check: "settings",
            outcome: Ok("they fit together".to_owned()),
        });
        findings.push(Finding {
            check: "auth key",
            outcome: auth_home(&config.auth)
                .map_err(|error| error.to_string())
                .and_then(|home| {
                    let ring = home.ring().map_err(|error| error.to_string())?;
                    Ok(format!("{} in {}", ring.id(), home.dir.display()))
                }),
        });
        store(&config, &mut findings).await;
        if !self.offline {
            findings.push(Finding {
                check: "whatsapp",
                outcome: whatsapp(&config).await,
            });
        }
        findings
    }
}

async fn store(config: &Config, findings: &mut Vec<Finding>) {
    let store = match open_store(config).await {
        Ok(store) => store,
        Err(error) => {
            findings.push(Finding {
                check: "store",
                outcome: Err(error.to_string()),
            });
            return;
        }
    };
    let asked = Boot::now();
    let answer = store.now_ms().await;
    let took = Boot::now().since(asked);
    findings.push(Finding {
        check: "store",
        outcome: match &answer {
            Ok(_) if took < SLOW => Ok(format!(
                "{} at {}, answers in {} ms",
                store.engine(),
                store.place(),
                took.as_millis()
            )),
            Ok(_) => Err(format!(
                "it answers in {} ms: heartbeats will be late; move it closer, or to a faster disk",
                took.as_millis()
            )),
            Err(error) => Err(error.to_string()),
        },
    });
    if let Ok(now) = answer {
        let offset = now - clock::wall_ms();
        findings.push(Finding {
            check: "clock",
            outcome: if offset.abs() < 5_000 {
                Ok(format!("{offset} ms from the store's"))
            } else {
                Err(format!("{offset} ms from the store's: leases do not mind, but times in logs are wrong; set the clock"))
            },
        });
    }
    if let Some(file) = store.file() {
        findings.push(Finding {
            check: "disk",
            outcome: free_space(file),
        });
    }
}

fn free_space(path: &std::path::Path) -> Result<String, String> {
    const ENOUGH_MIB: u64 = 100;
    let stat = rustix::fs::statvfs(path).map_err(|error| error.to_string())?;
    let mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if mib >= ENOUGH_MIB {
        Ok(format!("{mib} MiB free"))
    } else {
        Err(format!(
            "only {mib} MiB free: make room, a full disk stops the intake"
        ))
    }
}

/// Name, proxy, TLS and WebSocket, without logging in.
async fn whatsapp(config: &Config) -> Result<String, String> {
    let network = Network::new(config.network.clone()).map_err(|error| error.to_string())?;
    let url = network.ws_url().to_string();
    let trust = Trust::until(Boot::now().plus(Duration::from_mins(1)));
    let factory = WsTransportFactory::new(std::sync::Arc::new(network), trust);
    let asked = Boot::now();
    match factory.connect().await {
        Ok((transport, _events)) => {
            let took = Boot::now().since(asked);
            transport.close().await;
            Ok(format!("{url} answers in {} ms", took.as_millis()))
        }
        Err(error) => Err(format!("{url}: {}", chain(&error))),
    }
}
