//! Counts and figures for people.

pub use dcgan_files::counting::{counted, grouped};

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
    }
}
