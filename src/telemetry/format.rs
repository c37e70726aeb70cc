//! One line for each event: for people on a terminal, JSON elsewhere.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::event::SESSION_ERROR_ALIAS;
use super::scrub::{is_protocol_library, scrub, tells_too_much};
use crate::clock;

/// The formatter of every sink.
pub(super) struct Lines {
    pub(super) human: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let target = fields.target.take();
        let target = target.as_deref().unwrap_or(event.metadata().target());
        let level = *event.metadata().level();
        if tells_too_much(target, level) || (self.human && fields.is_alias()) {
            return Ok(());
        }
        if let (false, Some(json)) = (self.human, &fields.json) {
            return writeln!(writer, "{json}");
        }
        // Before they are written as JSON: its escapes would hide what is looked for.
        fields.scrub(is_protocol_library(target));
        let line = if self.human {
            fields.human(level, target)
        } else {
            fields.json(level, target)
        };
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    /// An event as its sinks get it: scrubbed, and one line already.
    json: Option<String>,
    rest: Map<String, Value>,
    target: Option<String>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("json", Value::String(text)) => self.json = Some(text),
            // Records of the `log` crate carry their real target as a field.
            ("log.target", Value::String(text)) => self.target = Some(text),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }

    fn scrub(&mut self, strict: bool) {
        if let Cow::Owned(clean) = scrub(&self.message, strict) {
            self.message = clean;
        }
        for value in self.rest.values_mut() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            if let Cow::Owned(clean) = scrub(&text, strict) {
                *value = clean.into();
            }
        }
    }

    /// The same event under its older name: queries want both, people one.
    fn is_alias(&self) -> bool {
        self.rest.get("event").and_then(Value::as_str) == Some(SESSION_ERROR_ALIAS)
    }

    fn json(self, level: Level, target: &str) -> String {
        let mut line = Map::new();
        line.insert("_time".into(), clock::rfc3339(clock::wall_ms()).into());
        line.insert("level".into(), level.as_str().to_lowercase().into());
        line.insert("message".into(), self.message.into());
        line.insert("target".into(), target.into());
        line.extend(self.rest);
        Value::Object(line).to_string()
    }

    fn human(self, level: Level, target: &str) -> String {
        let time = clock::rfc3339(clock::wall_ms());
        let clock = time.get(11..23).unwrap_or(&time);
        let mut line = format!("{clock} {level:>5} {}", self.message);
        if !target.starts_with("whatsapp_worker") {
            line.insert_str(clock.len() + 7, &format!("{target}: "));
        }
        for (name, value) in self.rest.iter().filter(|(name, _)| *name != "event") {
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            // Writing to a String cannot fail.
            let _ = write!(line, " {name}={shown}");
        }
        line
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_found_before_it_is_escaped() {
        let fields = || Fields {
            message: "sent <message notify=\"Anna\"/> to\n4915112345678".to_owned(),
            rest: Map::from_iter([
                ("user".to_owned(), Value::from(4_915_112_345_678_u64)),
                ("tries".to_owned(), Value::from(3)),
                ("peer".to_owned(), Value::from("100000012345678.0:5")),
            ]),
            ..Fields::default()
        };
        let (mut strict, mut own) = (fields(), fields());
        strict.scrub(true);
        let line: Value = serde_json::from_str(&strict.json(Level::INFO, "Client")).expect("JSON");
        assert_eq!(line["message"], "sent <message notify=\"…\"/> to\n…78");
        assert_eq!(line["user"], "…78");
        assert_eq!(line["tries"], 3);
        assert_eq!(line["peer"], "…78.0:5");
        own.scrub(false);
        let line = own.human(Level::INFO, "whatsapp_worker::app");
        assert!(line.contains("user=4915112345678"), "{line}");
    }
}
