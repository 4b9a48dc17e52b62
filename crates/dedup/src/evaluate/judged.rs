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

/// Groups in which a person has overruled the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Overruled {
    /// Without the pictures that are not the same as the one that stays for them.
    pub groups: Vec<Vec<Member>>,
    /// How many those are: they stay.
    pub n_overruled: u64,
    /// Pairs that are marked as not the same and are none of the groups': of other settings or another set, or without the one that stays.
    pub n_not_found: u64,
}

/// Groups without the pictures that a person, in `path`, marked as not the same as the one that stays for them. Where that one is of another
/// set it stands first in its pair, for both sets may have the same keys.
///
/// # Errors
/// [`DedupError::File`] naming the line where the file is no such CSV or marks a pair twice, or where it marks pairs and none that was found.
pub fn overrule(path: &Path, groups: Vec<Vec<Member>>) -> Result<Overruled> {
    let is_of_two_sets = groups.iter().flatten().any(|member| member.elsewhere);
    let pair = |first: &str, second: &str| {
        let pair = if is_of_two_sets { [first, second] } else { ordered(first, second) };
        pair.map(str::to_owned)
    };
    let marks = read_marks(path, pair)?;
    let is_removed = |member: &Member| member.elsewhere || member.key != member.representative;
    let pair_of = |member: &Member| pair(&member.representative, &member.key);
    let found: HashSet<[String; 2]> =
        groups.iter().flatten().filter(|member| is_removed(member)).map(pair_of).collect();
    if !marks.is_empty() && !marks.keys().any(|pair| found.contains(pair)) {
        return Err(none_of_ours(path, found.len(), marks.len()));
    }
    let lost = marks.iter().filter(|(pair, verdict)| **verdict == Verdict::NotSame && !found.contains(*pair));
    let n_not_found = lost.count() as u64;
    let is_not_same =
        |member: &Member| is_removed(member) && marks.get(&pair_of(member)) == Some(&Verdict::NotSame);
    let n_before: usize = groups.iter().map(Vec::len).sum();
    let left =
        groups.into_iter().map(|group| group.into_iter().filter(|member| !is_not_same(member)).collect());
    let left: Vec<Vec<Member>> = left.collect();
    let n_overruled = n_before - left.iter().map(Vec::len).sum::<usize>();
    let is_group = |group: &Vec<Member>| group.len() > 1 || group.iter().any(|member| member.elsewhere);
    let groups = left.into_iter().filter(is_group).collect();
    Ok(Overruled { groups, n_overruled: n_overruled as u64, n_not_found })
}

fn none_of_ours(path: &Path, n_found: usize, n_marks: usize) -> DedupError {
    let expected = format!("a mark on one of the {n_found} pairs that the rule found");
    DedupError::file(path, expected, format!("{n_marks} marks on others"))
}

impl Judged {
    /// Reads the marks in `path`, a CSV with the columns `first,second,verdict`, where a verdict is `same`, `not_same` or
    /// nothing, and counts those of the pairs that were found.
    ///
    /// # Errors
    /// [`DedupError::File`] naming the line where the file is not such a CSV or marks a pair twice, or where it marks no pair
    /// that was found.
    pub fn read(path: &Path, found: &[PairToJudge]) -> Result<Self> {
        let marks = read_marks(path, |first, second| ordered(first, second).map(str::to_owned))?;
        let known: HashSet<[&str; 2]> = found.iter().map(|pair| ordered(&pair.first, &pair.second)).collect();
        let is_found = |pair: &&[String; 2]| known.contains(&ordered(&pair[0], &pair[1]));
        let ours: Vec<Verdict> =
            marks.iter().filter(|(pair, _)| is_found(pair)).map(|(_, verdict)| *verdict).collect();
        if ours.is_empty() {
            return Err(none_of_ours(path, found.len(), marks.len()));
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

/// The marks by what `pair` makes of the first and the second key.
fn read_marks(
    path: &Path,
    pair: impl Fn(&str, &str) -> [String; 2],
) -> Result<BTreeMap<[String; 2], Verdict>> {
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
        if marks.insert(pair(first, second), verdict).is_some() {
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
        let found = overrule(&path, groups()).unwrap();
        let keys: Vec<Vec<&str>> = found
            .groups
            .iter()
            .map(|group| group.iter().map(|member| member.key.as_str()).collect())
            .collect();
        assert_eq!((keys, found.n_overruled, found.n_not_found), (vec![vec!["a", "c, \"d\""]], 2, 0));
        std::fs::write(&path, "first,second,verdict\nb,a,not_same\nb,x,not_same\nold,y,same\n").unwrap();
        let found = overrule(&path, groups()).unwrap();
        assert_eq!((found.n_overruled, found.n_not_found), (1, 1), "a mark on no pair is told");
        std::fs::write(&path, "first,second,verdict\na,b,\n").unwrap();
        let found = overrule(&path, groups()).unwrap();
        assert_eq!((found.groups.len(), found.n_overruled), (2, 0), "nothing was marked, nothing changes");
        std::fs::write(&path, "first,second,verdict\nold,older,not_same\n").unwrap();
        assert!(overrule(&path, groups()).is_err(), "the file of another set");
    }

    #[test]
    fn two_sets_may_have_the_same_keys() {
        let member = |key: &str, representative: &str| Member {
            key: key.to_owned(),
            representative: representative.to_owned(),
            distance: 0,
            pixel_distance: 0.0,
            blake3: None,
            elsewhere: true,
        };
        let groups = || vec![vec![member("a", "b")], vec![member("b", "a")]];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.csv");
        std::fs::write(&path, "first,second,verdict\nb,a,not_same\na,b,same\n").unwrap();
        let found = overrule(&path, groups()).unwrap();
        assert_eq!((found.groups, found.n_overruled), (vec![vec![member("b", "a")]], 1));
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
