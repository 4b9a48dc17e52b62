//! Measured numbers for people.

use dcgan_files::words::counted;

/// A measured number to six digits, so that 0.7070000000000001 is 0.707.
pub fn figure(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() || value.fract() == 0.0 {
        return value;
    }
    // A number to six digits is read back as the nearest there is, which is written with these digits.
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A JSON value with its numbers as [`figure`] writes them.
pub fn figures(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or(Value::Null, |number| figure(number).into())
        }
        Value::Array(items) => items.iter().map(figures).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), figures(value))).collect(),
        other => other.clone(),
    }
}

/// Items of an array that a summary shows, at most: a size or the row of a table has fewer.
const N_SHOWN: usize = 12;

/// [`figures`] for a terminal: in place of an array of many items stands how many there are.
pub fn short_figures(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(items) if items.len() > N_SHOWN => {
            format!("[{}]", counted(items.len() as u64, "value")).into()
        }
        Value::Array(items) => items.iter().map(short_figures).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), short_figures(value))).collect()
        }
        other => figures(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_no_more_digits_than_they_are_worth() {
        for (value, text) in [
            (0.7070000000000001, "0.707"),
            (0.1 + 0.2, "0.3"),
            (1.0, "1.0"),
            (123456.789, "123457.0"),
            (1e-4, "0.0001"),
        ] {
            assert_eq!(format!("{:?}", figure(value)), text);
        }
        let json = serde_json::json!({"a": [0.7070000000000001, 3], "b": null});
        assert_eq!(figures(&json).to_string(), r#"{"a":[0.707,3],"b":null}"#);
        let json = serde_json::json!({"a": [[0.1 + 0.2, 3], vec![0; 301]], "b": vec!["x"; 12]});
        let expected = serde_json::json!({"a": [[0.3, 3], "[301 values]"], "b": vec!["x"; 12]});
        assert_eq!(short_figures(&json), expected);
    }
}
