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

/// The moment `at`, seen at `now`, as HTML: the page's script counts on from there. Numbers and fixed
/// words alone, so nothing has to be escaped.
pub fn moment(at: i64, now: i64) -> String {
    let words = match now - at {
        ahead if ahead < 0 => format!("in {}", span(-ahead)),
        passed => format!("{} ago", span(passed)),
    };
    format!(r#"<time data-at="{at}">{words}</time>"#)
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
        let told = moment(10_000, 3_000);
        assert_eq!(told, r#"<time data-at="10000">in 7 s</time>"#);
        assert!(moment(3_000, 10_000).contains(">7 s ago<"));
    }
}
