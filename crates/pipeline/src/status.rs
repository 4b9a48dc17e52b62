//! How the stages of a manifest stand.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::graph::Graph;
use crate::plan::{Planner, State};
use crate::staleness::Reason;

/// How one stage stands.
#[derive(Debug, Clone, Serialize)]
pub struct StageStatus {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: &'static str,
    /// How it stands.
    pub state: State,
    /// True if a plain run would run it.
    pub will_run: bool,
    /// Why it would run, as data.
    pub reasons: Vec<Reason>,
    /// Why it would run, in words.
    pub why: Vec<String>,
    /// Its folder.
    pub folder: std::path::PathBuf,
}

/// The stages of a manifest in the order in which they run; nothing is changed.
///
/// `selected` are those that are asked for, `forced` those to be run in any case.
///
/// # Errors
/// If a stage's output cannot be read, or the run was interrupted.
pub fn status(
    planner: &Planner<'_>,
    selected: &BTreeSet<usize>,
    forced: &BTreeSet<usize>,
) -> anyhow::Result<Vec<StageStatus>> {
    let assessed = planner.assess_all(selected, forced)?;
    planner.memo.save(planner.progress());
    let manifest = planner.manifest;
    Ok(assessed
        .into_iter()
        .map(|(idx, assessment)| StageStatus {
            id: manifest.stages[idx].id.clone(),
            kind: manifest.stages[idx].config.info().name,
            state: assessment.state,
            will_run: selected.contains(&idx) && assessment.state != State::Fresh,
            why: assessment.reasons.iter().map(ToString::to_string).collect(),
            reasons: assessment.reasons,
            folder: planner.target(idx),
        })
        .collect())
}

/// The stages a plain run would look at.
pub fn wanted(planner: &Planner<'_>) -> BTreeSet<usize> {
    Graph::new(planner.manifest).wanted(planner.manifest)
}

/// A line for each stage, with the reasons beneath those that would run.
pub fn text(stages: &[StageStatus]) -> String {
    let width = stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for stage in stages {
        let state = match stage.state {
            State::Fresh => "fresh  ",
            State::Stale => "stale  ",
            State::Missing => "missing",
        };
        let not_asked = if stage.will_run || stage.state == State::Fresh { "" } else { "  (not asked for)" };
        let _ = writeln!(text, "{state}  {:<width$}  {}{not_asked}", stage.id, stage.kind);
        for why in &stage.why {
            let _ = writeln!(text, "           {why}");
        }
    }
    text
}
