//! Data as a table for people or as JSON for programs.

use serde_json::{Map, Value};

use super::Output;
pub(super) use crate::clock::span;

/// Prints `rows` under `columns`; in JSON each row is an object with these names.
pub(super) fn print(output: Output, columns: &[&str], rows: Vec<Vec<Value>>) {
    match output {
        Output::Json => {
            let rows: Vec<Value> = rows
                .into_iter()
                .map(|row| {
                    let named = columns.iter().map(|name| (*name).to_owned()).zip(row);
                    Value::Object(named.collect::<Map<_, _>>())
                })
                .collect();
            put!("{}", Value::Array(rows));
        }
        Output::Table => {
            let head: Vec<String> = columns.iter().map(|name| heading(name)).collect();
            let body: Vec<Vec<String>> = rows
                .iter()
                .map(|row| row.iter().map(shown).collect())
                .collect();
            let widths: Vec<usize> = (0..columns.len())
                .map(|column| {
                    std::iter::once(&head)
                        .chain(&body)
                        .map(|row| row[column].chars().count())
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            for row in std::iter::once(&head).chain(&body) {
                let line: Vec<String> = row
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell:<width$}"))
                    .collect();
                put!("{}", line.join("  ").trim_end());
            }
        }
    }
}

/// Prints one thing, name by name.
pub(super) fn print_one(output: Output, fields: Vec<(&str, Value)>) {
    match output {
        Output::Json => {
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            put!("{}", Value::Object(fields.collect()));
        }
        Output::Table => {
            let width = fields.iter().map(|(name, _)| heading(name).len()).max();
            for (name, value) in fields {
                let width = width.unwrap_or(0);
                put!("{:<width$}  {}", heading(name), shown(&value));
            }
        }
    }
}

/// `expiresAt` as `EXPIRES AT`.
fn heading(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            text.push(' ');
        }
        text.extend(c.to_uppercase());
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
