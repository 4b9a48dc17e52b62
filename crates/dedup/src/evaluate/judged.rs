//! What people said of the pairs that a rule found, and the false-positive rate that follows (section 4.1.1).

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::{PairToJudge, Share};
use crate::group::Member;
use crate::{DedupError, Result};

/// The header of the file that the page saves.
const HEADER: [&str; 3] = ["first", "second", "verdict"];

/// What a person said of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    NotSame,
}

/// The pairs that were marked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Marked pairs that are not the same picture, of all marked pairs that the rule found.
    pub false_positives: Share,
    /// Pairs that the rule found and nobody marked.
    pub n_unmarked: u64,
    /// Marked pairs that the rule does not find: of other settings or another set. They count for nothing.
    pub n_not_found: u64,
}

/// The pairs that a rule found: of each group the picture that stays, with each that is removed.
pub fn found_pairs(groups: &[Vec<Member>]) -> Vec<PairToJudge> {
    let removed = groups.iter().flatten();
    let removed = removed.filter(|member| member.elsewhere || member.key != member.representative);
    let pair = |member: &Member| PairToJudge {
        first: member.representative.clone(),
        second: member.key.clone(),
        distance: member.distance,
        pixel_distance: member.pixel_distance,
    };
    removed.map(pair).collect()
}

/// Groups without the pictures that a person, in `path`, marked as not the same as the one that stays for them, and how many those
/// are: they stay.
///
/// # Errors
/// As [`Judged::read`].
pub fn overrule(path: &Path, groups: Vec<Vec<Member>>) -> Result<(Vec<Vec<Member>>, u64)> {
    Judged::read(path, &found_pairs(&groups))?;
    let marks = read_marks(path)?;
    let is_not_same = |member: &Member| {
        let pair = ordered(&member.representative, &member.key).map(str::to_owned);
        let is_removed = member.elsewhere || member.key != member.representative;
        is_removed && marks.get(&pair) == Some(&Verdict::NotSame)
    };
    let n_before: usize = groups.iter().map(Vec::len).sum();
    let left =
        groups.into_iter().map(|group| group.into_iter().filter(|member| !is_not_same(member)).collect());
    let left: Vec<Vec<Member>> = left.collect();
    let n_overruled = n_before - left.iter().map(Vec::len).sum::<usize>();
    let is_group = |group: &Vec<Member>| group.len() > 1 || group.iter().any(|member| member.elsewhere);
    Ok((left.into_iter().filter(is_group).collect(), n_overruled as u64))
}

impl Judged {
    /// Reads the marks in `path`, a CSV with the columns `first,second,verdict`, where a verdict is `same`, `not_same` or
    /// nothing, and counts those of the pairs that were found.
    ///
    /// # Errors
    /// [`DedupError::File`] naming the line where the file is not such a CSV or marks a pair twice, or where it marks no pair
    /// that was found.
    pub fn read(path: &Path, found: &[PairToJudge]) -> Result<Self> {
        let marks = read_marks(path)?;
        let known: HashSet<[&str; 2]> = found.iter().map(|pair| ordered(&pair.first, &pair.second)).collect();
        let is_found = |pair: &&[String; 2]| known.contains(&ordered(&pair[0], &pair[1]));
        let ours: Vec<Verdict> =
            marks.iter().filter(|(pair, _)| is_found(pair)).map(|(_, verdict)| *verdict).collect();
        if ours.is_empty() {
            let expected = format!("a mark on one of the {} pairs that the rule found", found.len());
            return Err(DedupError::file(path, expected, format!("{} marks on others", marks.len())));
        }
        let n_not_same = ours.iter().filter(|verdict| **verdict == Verdict::NotSame).count();
        Ok(Self {
            false_positives: Share::new(n_not_same as u64, ours.len() as u64),
            n_unmarked: (known.len() - ours.len()) as u64,
            n_not_found: (marks.len() - ours.len()) as u64,
        })
    }
}

/// Two keys, the lower first.
fn ordered<'a>(first: &'a str, second: &'a str) -> [&'a str; 2] {
    if first <= second { [first, second] } else { [second, first] }
}

fn read_marks(path: &Path) -> Result<BTreeMap<[String; 2], Verdict>> {
    let wrong = |line: u64, expected: &str, found: String| {
        DedupError::file(path, expected, format!("{found} in line {line}"))
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(fs_err::File::open(path)?);
    let header = reader.headers().map_err(|error| DedupError::file(path, "a CSV", error.to_string()))?;
    if header.iter().ne(HEADER) {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(wrong(1, "the header first,second,verdict", found));
    }
    let mut marks = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(|error| DedupError::file(path, "a CSV", error.to_string()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let [first, second, verdict] = row.iter().collect::<Vec<_>>()[..] else {
            return Err(wrong(line, "3 fields", row.len().to_string()));
        };
        let verdict = match verdict {
            "" => continue,
            "same" => Verdict::Same,
            "not_same" => Verdict::NotSame,
            other => return Err(wrong(line, "the verdict same, not_same or nothing", other.to_owned())),
        };
        let pair = ordered(first, second).map(str::to_owned);
        if marks.insert(pair, verdict).is_some() {
            return Err(wrong(line, "each pair once", format!("{first} and {second} again")));
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Vec<Member>> {
        let member = |key: &str, representative: &str| Member {
            key: key.to_owned(),
            representative: representative.to_owned(),
            distance: 0,
            pixel_distance: 0.0,
            blake3: None,
            elsewhere: false,
        };
        vec![
            vec![member("a", "a"), member("b", "a"), member("c, \"d\"", "a")],
            vec![member("x", "x"), member("y", "x")],
        ]
    }

    fn read(text: &str) -> Result<Judged> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.csv");
        std::fs::write(&path, text).unwrap();
        Judged::read(&path, &found_pairs(&groups()))
    }

    #[test]
    fn marks_become_a_rate_with_its_interval() {
        let judged =
            read("first,second,verdict\na,b,same\r\na,\"c, \"\"d\"\"\",not_same\ny,x,\nold,older,same\n")
                .unwrap();
        assert_eq!((judged.n_unmarked, judged.n_not_found), (1, 1));
        assert_eq!(judged.false_positives, Share::new(1, 2));
        let all = read("first,second,verdict\ny,x,same\n").unwrap();
        assert_eq!((all.false_positives.n_of, all.false_positives.n, all.n_unmarked), (0, 1, 2));
        // statsmodels: proportion_confint(0, 1, method="wilson")[1]
        assert!((all.false_positives.high - 0.793_450_685_622_763).abs() < 1e-9);
    }

    #[test]
    fn who_is_not_the_same_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.csv");
        std::fs::write(&path, "first,second,verdict\na,b,not_same\na,\"c, \"\"d\"\"\",same\ny,x,not_same\n")
            .unwrap();
        let (left, n_overruled) = overrule(&path, groups()).unwrap();
        let keys: Vec<Vec<&str>> =
            left.iter().map(|group| group.iter().map(|member| member.key.as_str()).collect()).collect();
        assert_eq!((keys, n_overruled), (vec![vec!["a", "c, \"d\""]], 2));
        std::fs::write(&path, "first,second,verdict\nold,older,not_same\n").unwrap();
        assert!(overrule(&path, groups()).is_err(), "the file of another set");
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            message("a,b,same\n")
                .ends_with("expected the header first,second,verdict, found a,b,same in line 1")
        );
        let text = message("first,second,verdict\na,b,same\nx,y,maybe\n");
        assert!(
            text.ends_with("expected the verdict same, not_same or nothing, found maybe in line 3"),
            "{text}"
        );
        let text = message("first,second,verdict\na,b,same\nb,a,same\n");
        assert!(text.ends_with("expected each pair once, found b and a again in line 3"), "{text}");
        let text = message("first,second,verdict\na,b\n");
        assert!(text.ends_with("expected 3 fields, found 2 in line 2"), "{text}");
        let text = message("first,second,verdict\nold,older,same\n");
        assert!(
            text.ends_with(
                "expected a mark on one of the 3 pairs that the rule found, found 1 marks on others"
            ),
            "{text}"
        );
    }
}
