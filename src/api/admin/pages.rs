//! Lists in parts: `limit` and `cursor` of the request, `nextCursor` of the answer.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::api::problem::Problem;
use crate::store::{Page, PageCursor};

const MOST: i64 = 500;
const USUAL: i64 = 100;

/// How many rows were asked for.
pub(super) fn limit(given: Option<i64>) -> Result<i64, Problem> {
    let limit = given.unwrap_or(USUAL);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::field("limit", format!("write 1 to {MOST}")))
}

/// Where the page before ended.
pub(super) fn cursor(given: Option<String>) -> Result<Option<PageCursor>, Problem> {
    let cursor = given.map(|text| text.parse::<PageCursor>()).transpose();
    cursor.map_err(|why| Problem::field("cursor", why))
}

/// A page under the name of what it lists.
pub(super) fn answer<T>(name: &str, page: Page<T>, shown: impl Fn(T) -> Value) -> Json<Value> {
    let next = page.next.map(|next| next.to_string());
    named(name, page.rows.into_iter().map(shown).collect(), next)
}

/// A page of what lies in memory whole, sorted by `id`, which is the cursor too.
pub(super) fn of_all<T>(
    name: &str,
    rows: Vec<T>,
    (limit, cursor): (i64, Option<&str>),
    id: impl Fn(&T) -> &str,
    shown: impl Fn(&T) -> Value,
) -> Json<Value> {
    let mut left = rows
        .iter()
        .filter(|row| cursor.is_none_or(|last| id(row) > last));
    let limit = usize::try_from(limit).unwrap_or_default();
    let page: Vec<&T> = left.by_ref().take(limit).collect();
    let more = left.next().is_some();
    let next = page.last().filter(|_| more).map(|row| id(row).to_owned());
    named(name, page.into_iter().map(shown).collect(), next)
}

fn named(name: &str, rows: Vec<Value>, next: Option<String>) -> Json<Value> {
    let mut answer = Map::new();
    answer.insert(name.to_owned(), rows.into());
    answer.insert("nextCursor".to_owned(), json!(next));
    Json(answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_in_memory_meet_without_gap_and_end() {
        let names = || vec!["a", "b", "c"];
        let page = |limit, cursor| {
            let at = (limit, cursor);
            of_all("names", names(), at, |name| name, |name| json!(name)).0
        };
        assert_eq!(
            page(2, None),
            json!({"names": ["a", "b"], "nextCursor": "b"})
        );
        assert_eq!(
            page(2, Some("b")),
            json!({"names": ["c"], "nextCursor": null})
        );
        assert_eq!(
            page(3, None),
            json!({"names": ["a", "b", "c"], "nextCursor": null})
        );
        assert!(limit(Some(0)).is_err() && limit(Some(MOST + 1)).is_err());
        assert_eq!(limit(None).ok(), Some(USUAL));
    }
}
