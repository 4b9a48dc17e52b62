//! `Content-Range`.

/// The header of a partial response (RFC 9110, section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte; none in the answer to a range that the file does not have.
    pub start: Option<u64>,
    /// Bytes of the whole file, where the server says.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`; none for anything else.
    pub fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        if range == "*" {
            return total.map(|total| Self { start: None, total: Some(total) });
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (number(start)?, number(end)?);
        let is_sound = start <= end && total.is_none_or(|total| end < total);
        is_sound.then_some(Self { start: Some(start), total })
    }
}

/// Digits alone: `parse` would also take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nonsense_is_not() {
        let range = |start, total| Some(ContentRange { start, total });
        assert_eq!(ContentRange::parse("bytes 5-9/10"), range(Some(5), Some(10)));
        assert_eq!(ContentRange::parse("bytes 5-9/*"), range(Some(5), None));
        assert_eq!(ContentRange::parse("bytes */10"), range(None, Some(10)));
        for nonsense in
            ["", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes +5-9/10", "bytes */*"]
        {
            assert_eq!(ContentRange::parse(nonsense), None, "{nonsense}");
        }
    }
}
