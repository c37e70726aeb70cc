//! What a process does, and how it serves agents.

use std::time::Duration;

use super::{ConfigError, Values};
use crate::jobs::QueueOptions;
use crate::store::{Retention, Retries};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Operates accounts: leases, sessions, outbox.
    Whatsapp,
    /// Serves agents: it needs the store alone.
    Agent,
    /// Both.
    All,
}

impl Role {
    /// Whether it operates accounts.
    pub const fn operates(self) -> bool {
        matches!(self, Self::Whatsapp | Self::All)
    }

    /// Whether it serves agents.
    pub const fn serves_agents(self) -> bool {
        matches!(self, Self::Agent | Self::All)
    }

    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        match values.get("AGENT_ROLE") {
            "whatsapp" => Ok(Self::Whatsapp),
            "agent" => Ok(Self::Agent),
            "all" => Ok(Self::All),
            _ => Err(values.wrong("AGENT_ROLE", "use whatsapp, agent or all")),
        }
    }
}

/// The agent queue's settings.
pub(super) fn queue(values: &Values) -> Result<QueueOptions, ConfigError> {
    let lock = values.millis("AGENT_LOCK_MS")?.unwrap_or_default();
    if !(Duration::from_secs(1)..=Duration::from_hours(24)).contains(&lock) {
        return Err(values.wrong("AGENT_LOCK_MS", "write 1000 to 86400000 milliseconds"));
    }
    let days = number(values, "MESSAGE_RETENTION_DAYS", 1, 3650)?;
    Ok(QueueOptions {
        lock,
        retries: Retries {
            max: number(values, "AGENT_MAX_RETRIES", 0, 20)?,
        },
        retention: Retention {
            events: Duration::from_hours(number(values, "EVENTS_RETENTION_HOURS", 0, 8760)?.into()),
            ..Retention::of_messages(Duration::from_hours(24 * u64::from(days)))
        },
    })
}

fn number(values: &Values, name: &'static str, least: u32, most: u32) -> Result<u32, ConfigError> {
    values
        .get(name)
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| values.wrong(name, format!("write a whole number from {least} to {most}")))
}
