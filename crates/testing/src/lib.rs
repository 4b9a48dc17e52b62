//! Tests that need more than the sources: real data, a browser, root.
//!
//! Where what they need is not there they pass without a check, so that anybody can run the tests. That must not look like a
//! check: each says so, and writes a line into the file that [`LOG`] names. The test `summary` of this crate, run last, counts
//! and names them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// The environment variable that names the file of lines; where it is not set, none are written.
pub const LOG: &str = "DCGAN_TEST_LOG";

/// What tests need that read real data sets.
const REAL_DATA: &str = "real data";

/// The folder of real data sets that `DCGAN_REAL_DATA` names; none where it names none, and the test is to be skipped.
#[track_caller]
pub fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("DCGAN_REAL_DATA").map(PathBuf::from);
    needs(REAL_DATA, folder, "DCGAN_REAL_DATA is not set")
}

/// Passes on what a test needs and notes whether it was there; `why` says of what is missing how it is given.
#[track_caller]
pub fn needs<T>(what: &str, found: Option<T>, why: &str) -> Option<T> {
    if found.is_none() {
        eprintln!("skipped: {why}");
    }
    let line =
        Line { test: test_name(), needs: what.to_owned(), why: found.is_none().then(|| why.to_owned()) };
    if let Some(path) = std::env::var_os(LOG) {
        // One write, so that lines of tests that run at once stay whole.
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.text().as_bytes())) {
            eprintln!("{LOG}: {error}");
        }
    }
    found
}

/// The package and the test that is running: its thread has its name; without a thread of its own, the place of the call.
#[track_caller]
fn test_name() -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let thread = std::thread::current();
    match thread.name().filter(|name| *name != "main") {
        Some(name) => format!("{package} {name}"),
        None => format!("{package} {}", std::panic::Location::caller()),
    }
}

/// What one test said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    test: String,
    needs: String,
    /// Why it was skipped; none if it ran.
    why: Option<String>,
}

impl Line {
    fn text(&self) -> String {
        let fields = [self.test.as_str(), &self.needs, self.why.as_deref().unwrap_or_default()];
        format!("{}\n", fields.map(|field| field.replace(['\t', '\n'], " ")).join("\t"))
    }

    fn parse(line: &str) -> Option<Self> {
        let [test, needs, why] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let why = (!why.is_empty()).then(|| why.to_owned());
        Some(Self { test: test.to_owned(), needs: needs.to_owned(), why })
    }
}

/// Counts and names the tests of which a file's lines tell.
pub fn summary(lines: &str) -> String {
    let mut lines: Vec<Line> = lines.lines().filter_map(Line::parse).collect();
    lines.sort_by(|a, b| a.test.cmp(&b.test));
    lines.dedup();
    let (real, other): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.needs == REAL_DATA);
    let mut text = String::new();
    for (name, lines) in [("real-data tests", real), ("tests that need something else", other)] {
        let n_skipped = lines.iter().filter(|line| line.why.is_some()).count();
        let _ = writeln!(text, "{} {name} ran, {n_skipped} skipped", lines.len() - n_skipped);
        for line in lines {
            let _ = match &line.why {
                None => writeln!(text, "  ran      {} ({})", line.test, line.needs),
                Some(why) => writeln!(text, "  skipped  {} ({}: {why})", line.test, line.needs),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_and_named() {
        let line = |test: &str, needs: &str, why: Option<&str>| {
            Line { test: test.to_owned(), needs: needs.to_owned(), why: why.map(str::to_owned) }.text()
        };
        let lines = [
            line("images mnist", REAL_DATA, None),
            line("gan features", REAL_DATA, Some("not set")),
            line("cli page", "Chromium", None),
            // A test may ask twice.
            line("images mnist", REAL_DATA, None),
        ];
        assert_eq!(
            summary(&lines.concat()),
            "1 real-data tests ran, 1 skipped\n  skipped  gan features (real data: not set)\n  \
             ran      images mnist (real data)\n1 tests that need something else ran, 0 skipped\n  \
             ran      cli page (Chromium)\n"
        );
        assert!(summary("").starts_with("0 real-data tests ran, 0 skipped\n"));
    }

    #[test]
    fn a_test_has_its_name() {
        assert!(
            test_name().ends_with("a_test_has_its_name") || test_name().contains("lib.rs"),
            "{}",
            test_name()
        );
    }
}
