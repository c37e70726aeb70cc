//! Times as people read them.

/// A span, in its largest unit.
pub fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// The store's time, which moments are seen from.
#[derive(Clone, Copy, Debug)]
pub struct Now(pub i64);

impl Now {
    /// The moment `at`, as HTML: the page's script counts on from there. Numbers and fixed words alone, so
    /// nothing has to be escaped.
    pub fn moment(self, at: &i64) -> String {
        let words = match self.0 - at {
            ahead if ahead < 0 => format!("in {}", span(-ahead)),
            passed => format!("{} ago", span(passed)),
        };
        format!(r#"<time data-at="{at}">{words}</time>"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (ms, told) in [
            (-5, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (200_000_000, "2 d"),
        ] {
            assert_eq!(span(ms), told);
        }
        let told = Now(3_000).moment(&10_000);
        assert_eq!(told, r#"<time data-at="10000">in 7 s</time>"#);
        assert!(Now(10_000).moment(&3_000).contains(">7 s ago<"));
    }
}
