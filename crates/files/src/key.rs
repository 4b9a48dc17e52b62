//! Keys: names of files, members of archives and entries of databases as text, each a line of its own.
//!
//! A key is the name, if that is UTF-8. Bytes that would not stand as text in one line of a list or table are written `\xhh`, two
//! lower-case digits for each byte: what is not UTF-8, control characters, and Unicode's two line separators. A backslash is
//! written twice. So different names have different keys, [`name_of`] gives the name back, and `photo.jpg` stays `photo.jpg`.
//!
//! ```
//! use dcgan_files::key;
//!
//! assert_eq!(key::of(b"caf\xe8.jpg"), r"caf\xe8.jpg");
//! assert_eq!(key::of("café\n.jpg".as_bytes()), r"café\x0a.jpg");
//! assert_eq!(key::name_of(r"caf\xe8.jpg").unwrap(), b"caf\xe8.jpg");
//! ```

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// The key of a name.
pub fn of(name: &[u8]) -> String {
    let mut key = String::with_capacity(name.len());
    let escape = |key: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(key, "\\x{byte:02x}");
        }
    };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => key.push_str("\\\\"),
                c if !is_plain(c) => escape(&mut key, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => key.push(c),
            }
        }
        escape(&mut key, chunk.invalid());
    }
    key
}

/// The name of a key; none for text that is no name's key.
pub fn name_of(key: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => {
                name.push(b'\\');
                behind
            }
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                name.push((digit(high)? << 4 | digit(low)?) as u8);
                behind
            }
            (b'\\', _) => return None,
            (plain, behind) => {
                name.push(*plain);
                behind
            }
        };
    }
    // Of several ways to write a byte only one is a key.
    (of(&name) == key).then_some(name)
}

/// The key of a path: the keys of its parts, with `/` between them.
pub fn of_path(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|part| of(part.as_encoded_bytes())).collect();
    parts.join("/")
}

/// The relative path of a key, to be looked for below some folder; none for text that is no key, and for a path that is empty,
/// absolute or leads upwards.
pub fn path_of(key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(os_string(name_of(key)?)?);
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_below && path != Path::new("")).then_some(path)
}

/// Whether text stands in one line of a list: what keys of other programs' making must do too.
pub fn is_one_line(key: &str) -> bool {
    key.chars().all(is_plain)
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(unix)]
fn os_string(name: Vec<u8>) -> Option<std::ffi::OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(name))
}

#[cfg(not(unix))]
fn os_string(name: Vec<u8>) -> Option<std::ffi::OsString> {
    String::from_utf8(name).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_their_own_keys() {
        for name in ["photo.jpg", "été 50%.jpg", "写真/\"a\", b=#2.png", "-.jpg", "名前\u{202e}.png"] {
            assert_eq!(of(name.as_bytes()), name);
            assert_eq!(name_of(name).unwrap(), name.as_bytes());
        }
    }

    #[test]
    fn different_names_have_different_keys_of_one_line_and_come_back() {
        let names: [&[u8]; 12] = [
            b"caf\xe8.jpg",
            b"caf\xe9.jpg",
            "caf\u{fffd}.jpg".as_bytes(),
            br"caf\xe8.jpg",
            br"caf\\xe8.jpg",
            b"a\nb.jpg",
            b"a\rb\t.jpg",
            "a\u{2028}b\u{85}.jpg".as_bytes(),
            b"\x1b[31mred.jpg",
            b"\xff\xfe\\",
            b"\xed\xa0\x80surrogate",
            b"",
        ];
        let keys: std::collections::HashSet<String> = names.map(of).into_iter().collect();
        assert_eq!(keys.len(), names.len());
        for name in names {
            let key = of(name);
            assert!(is_one_line(&key) && key.lines().count() <= 1, "{key:?}");
            assert_eq!(name_of(&key).unwrap(), name, "{key}");
        }
    }

    /// All names of up to two bytes.
    #[test]
    fn every_short_name_comes_back() {
        for first in 0..=255_u8 {
            assert_eq!(name_of(&of(&[first])).unwrap(), [first]);
            for second in 0..=255_u8 {
                assert_eq!(name_of(&of(&[first, second])).unwrap(), [first, second]);
            }
        }
    }

    #[test]
    fn other_text_is_no_key() {
        for text in [r"a\b", r"a\", r"\x6", r"\x61", r"\xE8", r"\xg0", "a\nb", r"\xc3\xa9"] {
            assert_eq!(name_of(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_keys_of_their_parts_and_stay_below() {
        assert_eq!(of_path(Path::new("a/b\nc/d.jpg")), r"a/b\x0ac/d.jpg");
        assert_eq!(path_of(r"a/b\x0ac/d.jpg").unwrap(), Path::new("a/b\nc/d.jpg"));
        for key in ["", "/etc/passwd", "../a", "a/../../b", r"a\b"] {
            assert_eq!(path_of(key), None, "{key}");
        }
    }
}
