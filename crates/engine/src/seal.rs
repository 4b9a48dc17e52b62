//! The checksum that a record carries of itself, so that one that was edited is not taken for what a stage said.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

/// The record's key that holds it.
const KEY: &str = "checksum";

/// A record whose checksum is another one's.
#[derive(Debug)]
pub struct Edited {
    /// The record's file.
    pub path: PathBuf,
}

impl fmt::Display for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was edited after the stage wrote it: its checksum does not match", self.path.display())
    }
}

impl std::error::Error for Edited {}

#[derive(Serialize)]
struct Sealed<'a, T> {
    #[serde(flatten)]
    record: &'a T,
    checksum: String,
}

/// A record as JSON with its checksum.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn seal(record: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    // Of what a reader will read: a number may come back with another last digit.
    let read = serde_json::from_slice(&serde_json::to_vec(record)?)?;
    Ok(serde_json::to_vec_pretty(&Sealed { record, checksum: checksum(&read) })?)
}

/// Takes the checksum out of a record; false if it is not the record's. A record of an earlier version has none.
pub fn is_intact(record: &mut Value) -> bool {
    match record.as_object_mut().and_then(|keys| keys.remove(KEY)) {
        Some(found) => found.as_str() == Some(&checksum(record)),
        None => true,
    }
}

/// BLAKE3 of the content in one way of writing: keys sorted, no blanks.
fn checksum(record: &Value) -> String {
    let mut text = String::new();
    write(record, &mut text);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(keys) => {
            let mut keys: Vec<(&String, &Value)> = keys.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in keys {
                write(&Value::String(key.clone()), text);
                text.push(':');
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &[u8]) -> bool {
        is_intact(&mut serde_json::from_slice(text).unwrap())
    }

    #[test]
    fn what_is_written_otherwise_is_intact_and_what_says_something_else_is_not() {
        let record =
            json!({"b": [1, 2.5, {"x": null}], "a": "text", "nothing": {}, "c": 0.707_000_000_000_000_1});
        let sealed = String::from_utf8(seal(&record).unwrap()).unwrap();
        assert!(read(sealed.as_bytes()), "{sealed}");
        let other: Value = serde_json::from_str(&sealed).unwrap();
        assert!(read(&serde_json::to_vec(&other).unwrap()));
        for (from, to) in [("text", "test"), ("2.5", "2.6"), ("\"b\"", "\"d\""), ("null", "0"), ("1,", "")] {
            let edited = sealed.replacen(from, to, 1);
            assert_ne!(edited, sealed);
            assert!(!read(edited.as_bytes()), "{edited}");
        }
        assert!(read(&serde_json::to_vec(&record).unwrap()), "a record of before has no checksum");
        let b3 = "{\"a\":[1,\"x\",],}";
        assert_eq!(checksum(&json!({"a": [1, "x"]})), blake3::hash(b3.as_bytes()).to_hex().to_string());
    }

    #[test]
    fn numbers_of_any_size_come_back_as_they_are_read() {
        let mut bits = 1_u64;
        for _ in 0..2000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let record =
                json!({"float": f64::from_bits(bits), "whole": bits, "negative": -((bits >> 2) as i64)});
            assert!(read(&seal(&record).unwrap()), "{record}");
        }
    }
}
