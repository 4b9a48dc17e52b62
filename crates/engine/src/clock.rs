//! Times as text.

use std::time::Duration;

pub use dcgan_files::dates::rfc3339;

/// Reads a duration such as `90s`, `10m`, `12h`, `30d` or `4w`.
///
/// # Errors
/// What was expected, for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    let read = |(unit, seconds): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(seconds)?))
    };
    let expected =
        || format!("expected a whole number with s, m, h, d or w behind it, such as 30d, found `{text}`");
    units.into_iter().find_map(read).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let seconds = |text: &str| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!([seconds("0s"), seconds("90 s"), seconds("30d")], [Ok(0), Ok(90), Ok(2_592_000)]);
        for wrong in ["", "d", "30", "-1d", "1.5h", "1y", "99999999999999999999w", "18446744073709551615w"] {
            assert!(seconds(wrong).unwrap_err().contains("such as 30d"), "{wrong}");
        }
    }
}
