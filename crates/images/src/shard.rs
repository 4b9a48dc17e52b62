//! A part of a data set that one of several machines works on.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ImagesError, Result};

/// The `index`-th of `count` parts of a set, each a run of pictures in the set's order: written `3/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    extend("pattern" = "^ *[1-9][0-9]* */ *[1-9][0-9]* *$", "takes" = "a part and how many there are, such as 3/64")
)]
pub struct Shard {
    index: u64,
    count: u64,
    /// The source holds this part alone.
    is_alone: bool,
}

impl Shard {
    /// From 1 to [`Self::count`].
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many parts there are, at least 1.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Whether it is the last one.
    pub fn is_last(self) -> bool {
        self.index == self.count
    }

    /// The same part, of a source that holds its pictures and no others: there is nothing to divide.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// Whether the source holds this part alone.
    pub fn is_alone(self) -> bool {
        self.is_alone
    }

    /// Which of `n` pictures are in it: all parts together are all pictures, and no two differ by more than one picture.
    pub fn range(self, n: u64) -> Range<u64> {
        let start = |index: u64| (u128::from(index) * u128::from(n) / u128::from(self.count)) as u64;
        start(self.index - 1)..start(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ImagesError;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            let (index, count) = (index.trim().parse().ok()?, count.trim().parse().ok()?);
            (1 <= index && index <= count).then_some(Self { index, count, is_alone: false })
        });
        parsed.ok_or_else(|| ImagesError::Setting {
            name: "shard",
            expected: "a part and how many there are, from 1/64 to 64/64".into(),
            found: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Shard {
    type Error = ImagesError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_and_of_one_size() {
        for (n, count) in [(10, 3), (7, 7), (3_000_000_000, 64), (1, 1), (2, 5)] {
            let mut next = 0;
            for index in 1..=count {
                let range = Shard { index, count, is_alone: false }.range(n);
                assert_eq!(range.start, next);
                assert!((n / count..=n.div_ceil(count)).contains(&(range.end - range.start)));
                next = range.end;
            }
            assert_eq!(next, n);
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let part: Shard = "3/64".parse().unwrap();
        assert_eq!(part, Shard { index: 3, count: 64, is_alone: false });
        assert!(part.alone().is_alone() && part.alone().to_string() == "3/64");
        for text in ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"] {
            let message = text.parse::<Shard>().unwrap_err().to_string();
            assert!(message.contains("from 1/64 to 64/64") && message.contains(text), "{message}");
        }
    }
}
