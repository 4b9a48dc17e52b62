//! Counts for people: nouns that agree with them.

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
}
