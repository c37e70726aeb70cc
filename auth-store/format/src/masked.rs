use std::fmt;

/// Shows a text with every run of more than four digits cut to its first four: names of records and
/// files hold phone numbers.
#[derive(Debug, Clone, Copy)]
pub struct Masked<'a>(pub &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let mut digits = 0;
        for c in self.0.chars() {
            if !c.is_ascii_digit() {
                digits = 0;
                write!(f, "{c}")?;
                continue;
            }
            digits += 1;
            if digits <= SHOWN {
                write!(f, "{c}")?;
            } else if digits == SHOWN + 1 {
                f.write_str("…")?;
            }
        }
        Ok(())
    }
}
