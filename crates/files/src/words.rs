//! Counts, times and names for people.

use std::borrow::Cow;

/// A count with its noun: `1 picture`, `3012 pictures`.
pub fn counted(n: impl TryInto<u64>, noun: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {noun}") } else { format!("{n} {}", plural(noun)) }
}

/// The plural of a noun, or of a phrase that begins with one: `batch of pictures`.
fn plural(noun: &str) -> String {
    let (first, rest) =
        noun.split_once(" of ").map_or((noun, String::new()), |(noun, rest)| (noun, format!(" of {rest}")));
    let ending = ["s", "x", "ch", "sh"].iter().any(|ending| first.ends_with(ending));
    match first.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies{rest}"),
        _ if ending => format!("{first}es{rest}"),
        _ => format!("{first}s{rest}"),
    }
}

/// Names that [`what_is_in`] lists.
const LISTED: usize = 5;

/// What a folder holds, for those who looked for something else in it: `a.png, b.png and 12 more`, or `nothing`.
pub fn what_is_in(folder: &std::path::Path) -> String {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| plain(&entry.file_name().to_string_lossy()).into_owned()).collect();
    names.sort_unstable();
    match names.len() {
        0 => "nothing".to_owned(),
        n if n > LISTED => format!("{} and {} more", names[..LISTED].join(", "), n - LISTED),
        _ => names.join(", "),
    }
}

/// A whole number in groups of three: `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// True for what a terminal would act upon instead of showing it: control characters (C0, C1, delete) but the end of a
/// line and the tabulator, and marks that turn the direction of the text behind them.
pub fn steers_a_terminal(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

/// A text for people, with characters that would steer a terminal written as `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers_a_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match steers_a_terminal(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_counts() {
        assert_eq!(counted(1_usize, "group"), "1 group");
        assert_eq!(counted(0_u64, "group"), "0 groups");
        assert_eq!(counted(3012_u64, "picture"), "3012 pictures");
        assert_eq!(counted(2_u64, "batch of pictures"), "2 batches of pictures");
        assert_eq!(counted(2_u64, "copy"), "2 copies");
        assert_eq!(counted(2_u64, "byte"), "2 bytes");
        assert_eq!((grouped(12), grouped(1_234_567)), ("12".to_owned(), "1,234,567".to_owned()));
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(plain("photos/été 日本.jpg\n\ttwo"), "photos/été 日本.jpg\n\ttwo");
        // Red, a new title, the eight-bit start of a sequence, delete, a return over what stands there, a turned text.
        for text in
            ["\x1b[31mred", "\x1b]0;title\x07", "\u{9b}31m", "a\x7f", "shown\rhidden", "a\u{202e}gpj.exe"]
        {
            let shown = plain(text);
            assert!(!shown.contains(steers_a_terminal) && shown.contains("\\u{"), "{shown}");
        }
        assert_eq!(plain("\x1b[31mred"), "\\u{1b}[31mred");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(200.0), "3 min 20 s");
    }

    #[test]
    fn a_folder_is_told_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(what_is_in(folder.path()), "nothing");
        for name in ["g", "b", "c", "d", "e", "f", "a\u{1b}"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(what_is_in(folder.path()), "a\\u{1b}, b, c, d, e and 2 more");
        assert_eq!(what_is_in(&folder.path().join("none")), "nothing");
    }
}
