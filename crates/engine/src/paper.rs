//! What the paper says of a stage's settings, and how a run compares with it.
//!
//! Each kind lists in its [`Kind`](crate::kind::Kind) what the paper says of every key. The runner compares the
//! settings that were in use with it, the stage the data that it read; the report shows both. What nobody compared is listed
//! as not checked: silence never stands for "as in the paper".

use serde_json::Value;

/// What the paper, or the authors' released code, says of a key.
#[derive(Debug, Clone, Copy)]
pub struct Stated {
    /// The dotted key; `*` at its end stands for any rest.
    pub key: &'static str,
    /// What is said.
    pub says: Says,
    /// Where: a section, or "released code".
    pub place: &'static str,
}

/// What is said of a key.
#[derive(Debug, Clone, Copy)]
pub enum Says {
    /// This value, as JSON.
    Value(&'static str),
    /// A value that depends on other settings: [`Stage::papers`](crate::stage::Stage::papers) gives it.
    Depends,
    /// That it is above 0, and no more.
    Above0,
    /// Nothing: the value is a choice of ours.
    Nothing,
    /// The stage itself compares it, as it looks at the data too.
    ByStage,
    /// Nothing that could be compared: an input, a seed, or what is only written or shown.
    NoBearing,
}

/// The paper's value is `json`.
pub const fn says(key: &'static str, json: &'static str, place: &'static str) -> Stated {
    Stated { key, says: Says::Value(json), place }
}

/// The paper's value depends on other settings.
pub const fn depends(key: &'static str, place: &'static str) -> Stated {
    Stated { key, says: Says::Depends, place }
}

/// The paper has it, and does not say how much.
pub const fn above_0(key: &'static str, place: &'static str) -> Stated {
    Stated { key, says: Says::Above0, place }
}

/// The paper does not state it.
pub const fn unstated(key: &'static str) -> Stated {
    Stated { key, says: Says::Nothing, place: "" }
}

/// The stage compares it.
pub const fn by_stage(key: &'static str) -> Stated {
    Stated { key, says: Says::ByStage, place: "" }
}

/// There is nothing to compare.
pub const fn no_bearing(key: &'static str) -> Stated {
    Stated { key, says: Says::NoBearing, place: "" }
}

/// How a stage compares with the paper. There is no default: a stage that compares nothing must say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// In what it departs, a phrase each.
    pub differences: Vec<String>,
    /// What was not compared and why, a phrase each.
    pub not_checked: Vec<String>,
    /// What was compared and is the paper's, a phrase each.
    pub equal: Vec<String>,
}

impl Comparison {
    /// The settings alone decide whether the stage does as the paper did.
    pub fn of_settings() -> Self {
        Self { differences: Vec::new(), not_checked: Vec::new(), equal: Vec::new() }
    }

    /// Something is not compared beside the settings.
    pub fn not_checked(what: impl Into<String>) -> Self {
        Self { not_checked: vec![what.into()], ..Self::of_settings() }
    }

    /// Departures that the stage found beside those of the settings.
    pub fn found(differences: Vec<String>) -> Self {
        Self { differences, ..Self::of_settings() }
    }

    /// Compares a number of things with the paper's.
    pub fn count(&mut self, what: &str, ours: usize, papers: Count) {
        let (papers, about) = match papers {
            Count::Exactly(n) => (n, ""),
            Count::About(n) => (n, "about "),
        };
        // A round figure has two digits.
        let is_equal = match about {
            "" => ours == papers,
            _ => (ours as f64 - papers as f64).abs() <= 0.05 * papers as f64,
        };
        match is_equal {
            true => self.equal.push(format!("{} {what}", grouped(ours))),
            false => {
                self.differences.push(format!("{} {what}, not {about}{}", grouped(ours), grouped(papers)));
            }
        }
    }

    /// Adds what another comparison found.
    pub fn join(&mut self, other: Self) {
        self.differences.extend(other.differences);
        self.not_checked.extend(other.not_checked);
        self.equal.extend(other.equal);
    }
}

/// A number of the paper's.
#[derive(Debug, Clone, Copy)]
pub enum Count {
    /// Published, or known from the data set.
    Exactly(usize),
    /// Given as a round figure.
    About(usize),
}

/// A number with commas between its thousands.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How settings compare with what is stated of their keys; `papers` has the values that depend on other settings.
///
/// # Errors
/// If a stated value is no JSON.
pub(crate) fn of_keys(
    keys: &[&str],
    stated: &[Stated],
    ours: &Value,
    papers: &Value,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::of_settings();
    let (mut equal, mut unstated, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        let value = at(ours, key);
        let said = format!("{} {}", short(key), shown(&value));
        let Some(stated) = stated.iter().find(|stated| covers(stated.key, key)) else {
            unknown.push(said);
            continue;
        };
        let expected = match stated.says {
            Says::Value(json) => serde_json::from_str(json)?,
            Says::Depends => at(papers, key),
            Says::Above0 if value.as_f64() == Some(0.0) => Value::from("above 0"),
            Says::Above0 | Says::Nothing => Value::from(UNSTATED),
            Says::ByStage | Says::NoBearing => continue,
        };
        if expected == UNSTATED {
            unstated.push(said);
        } else if is_same(&value, &expected) {
            equal.push(said);
        } else {
            let expected = expected
                .as_str()
                .filter(|text| *text == "above 0")
                .map_or_else(|| shown(&expected), str::to_owned);
            comparison.differences.push(format!("{said}, not {expected} ({})", stated.place));
        }
    }
    let phrase = |heading: &str, list: Vec<String>| {
        (!list.is_empty()).then(|| format!("{heading}{}", list.join(", ")))
    };
    comparison.equal.extend(phrase("", equal));
    comparison.not_checked.extend(phrase("unstated in the paper and chosen here: ", unstated));
    comparison.not_checked.extend(phrase("not compared: ", unknown));
    Ok(comparison)
}

/// What [`Stage::papers`](crate::stage::Stage::papers) gives for a key of which the paper says nothing after all.
pub const UNSTATED: &str = "unstated in the paper";

/// True if a stated key, in which `*` stands for any rest, is `key`.
pub fn covers(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => pattern == key,
    }
}

/// The value of a dotted key; null where there is none.
fn at(settings: &Value, key: &str) -> Value {
    settings.pointer(&format!("/{}", key.replace('.', "/"))).cloned().unwrap_or_default()
}

fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn is_same(ours: &Value, papers: &Value) -> bool {
    match (ours, papers) {
        (Value::Array(ours), Value::Array(papers)) => {
            ours.len() == papers.len() && ours.iter().zip(papers).all(|(a, b)| is_same(a, b))
        }
        // Settings may be `f32`, whose 0.1 is not the 0.1 of JSON.
        _ => match (ours.as_f64(), papers.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs(),
            _ => ours == papers,
        },
    }
}

/// A value for people: texts bare, small whole numbers without a point.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && f64::from(float as f32) == float => (float as f32).to_string(),
            _ => number.as_f64().filter(|_| number.is_f64()).map_or(number.to_string(), |n| n.to_string()),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAPER: [Stated; 7] = [
        says("a", "1", "section 1"),
        depends("t.b", "section 2"),
        depends("t.c", ""),
        above_0("noise", "section 3"),
        unstated("d"),
        no_bearing("source.*"),
        by_stage("e"),
    ];

    #[test]
    fn settings_are_equal_different_unstated_or_not_compared() {
        let keys = ["a", "t.b", "t.c", "noise", "d", "source.x", "e", "new"];
        let ours = json!({"a": 1.0, "t": {"b": "x", "c": 7}, "noise": 0.5, "d": [1, 2], "e": 9, "new": null});
        let papers = json!({"t": {"b": "y", "c": UNSTATED}});
        let found = of_keys(&keys, &PAPER, &ours, &papers).unwrap();
        assert_eq!(found.differences, ["b x, not y (section 2)"]);
        assert_eq!(found.equal, ["a 1"]);
        assert_eq!(
            found.not_checked,
            ["unstated in the paper and chosen here: c 7, noise 0.5, d [1, 2]", "not compared: new none"]
        );
        let found = of_keys(&["noise"], &PAPER, &json!({"noise": 0.0}), &papers).unwrap();
        assert_eq!(found.differences, ["noise 0, not above 0 (section 3)"]);
    }

    #[test]
    fn counts_are_exact_or_round() {
        let mut found = Comparison::of_settings();
        found.count("pictures", 50_000, Count::Exactly(50_000));
        found.count("pictures", 3_033_042, Count::About(3_000_000));
        found.count("pictures", 3_012, Count::About(3_000_000));
        assert_eq!(found.equal, ["50,000 pictures", "3,033,042 pictures"]);
        assert_eq!(found.differences, ["3,012 pictures, not about 3,000,000"]);
    }
}
