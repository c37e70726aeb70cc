//! Lists in parts, newest first.

use super::stored;

/// Where the next part begins: behind the last row of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    pub(super) at: i64,
    pub(super) id: String,
}

impl PageCursor {
    /// What to bind for `(at, id) < ($a, $b)`; of no cursor, what lets all rows pass.
    pub(super) fn bound(cursor: Option<&Self>) -> (i64, String) {
        match cursor {
            Some(cursor) => (cursor.at, stored(&cursor.id)),
            None => (i64::MAX, String::new()),
        }
    }
}

impl std::fmt::Display for PageCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl std::str::FromStr for PageCursor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('.')
            .and_then(|(at, id)| {
                Some(Self {
                    at: at.parse().ok()?,
                    id: id.to_owned(),
                })
            })
            .ok_or_else(|| format!("{text:?} is not a cursor of an earlier page"))
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next part begins; none: this was the last.
    pub next: Option<PageCursor>,
}

impl<T> Page<T> {
    /// Of `rows`, of which one more than `limit` was asked for; `place` tells a row's time and id.
    pub(super) fn of(mut rows: Vec<T>, limit: i64, place: impl Fn(&T) -> (i64, String)) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(place);
        let next = last.map(|(at, id)| PageCursor { at, id });
        Self { rows, next }
    }
}
