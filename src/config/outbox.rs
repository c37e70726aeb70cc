//! How messages are sent.

use std::time::Duration;

use super::{ConfigError, Values};
use crate::outbound::delivery::Rules;
use crate::outbound::pacing::{self, Pacing};
use crate::session::OutboxSettings;

pub(super) fn parse(values: &Values) -> Result<OutboxSettings, ConfigError> {
    let millis = |name, least: u64| {
        let time = values.millis(name)?.unwrap_or_default();
        if time < Duration::from_millis(least) {
            return Err(values.wrong(name, format!("write at least {least} milliseconds")));
        }
        Ok(time)
    };
    let per_minute = |name| match values.get(name).parse() {
        Ok(rate @ 0..=6000) => Ok(pacing::interval(rate)),
        _ => Err(values.wrong(name, "write 0 (no limit) to 6000 messages a minute")),
    };
    Ok(OutboxSettings {
        rules: Rules {
            ack: millis("OUTBOX_ACK_TIMEOUT_MS", 100)?,
            cooldown: millis("OUTBOX_COOLDOWN_MS", 0)?,
            lane_block: millis("OUTBOX_LANE_BLOCK_MS", 0)?,
            chat_pace: per_minute("OUTBOX_CHAT_RATE_PER_MINUTE")?,
        },
        pacing: Pacing {
            every: per_minute("OUTBOX_RATE_PER_MINUTE")?,
            typing: match values.get("OUTBOX_TYPING") {
                "1" | "on" => true,
                "0" | "off" => false,
                _ => return Err(values.wrong("OUTBOX_TYPING", "use 0 or 1")),
            },
        },
    })
}
