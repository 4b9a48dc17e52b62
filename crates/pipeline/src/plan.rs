//! Which stages will run, and why.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::device::DeviceChoice;
use crate::execute::making;
use crate::folder;
use crate::graph::Graph;
use crate::inputs::{Location, gather};
use crate::manifest::Manifest;
use crate::memo::Memo;
use crate::progress::Progress;
use crate::record::{InputRecord, Record};
use crate::staleness::{self, Current, Reason};

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Complete, and made from what the manifest says now.
    Fresh,
    /// Complete, but made from something else.
    Stale,
    /// Not complete.
    Missing,
}

/// How one stage stands, and why it would run.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// How it stands.
    pub state: State,
    /// Empty if and only if it is fresh.
    pub reasons: Vec<Reason>,
    /// Its inputs, where they could all be read.
    pub inputs: Option<Vec<InputRecord>>,
}

/// A manifest and its folder of runs, looked at together.
#[derive(Debug)]
pub struct Planner<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The folder its stages' folders lie in.
    pub run_folder: PathBuf,
    /// What comes before what.
    pub graph: Graph,
    /// Fingerprints known.
    pub memo: Memo,
    progress: &'a Progress,
    /// The device, if one was asked for.
    device: Option<DeviceChoice>,
}

impl<'a> Planner<'a> {
    /// `runs` is the folder of all manifests' runs.
    pub fn new(
        manifest: &'a Manifest,
        runs: &std::path::Path,
        progress: &'a Progress,
        device: Option<DeviceChoice>,
    ) -> Self {
        let run_folder = runs.join(&manifest.name);
        let graph = Graph::new(manifest);
        Self { manifest, run_folder, graph, memo: Memo::open(runs), progress, device }
    }

    /// Where things are said.
    pub fn progress(&self) -> &'a Progress {
        self.progress
    }

    /// The folder of a stage.
    pub fn target(&self, idx: usize) -> PathBuf {
        self.run_folder.join(&self.manifest.stages[idx].id)
    }

    /// Looks at one stage. `will_run` are the stages known to run before it.
    ///
    /// # Errors
    /// If the run was interrupted.
    pub fn assess(&self, idx: usize, will_run: &BTreeSet<usize>) -> anyhow::Result<Assessment> {
        let stage = &self.manifest.stages[idx];
        let target = self.target(idx);
        let mut reasons: Vec<Reason> = self.graph.parents[idx]
            .iter()
            .filter(|parent| will_run.contains(parent))
            .map(|parent| Reason::Upstream { id: self.manifest.stages[*parent].id.clone() })
            .collect();
        let waits = !reasons.is_empty();
        let inputs = if waits { None } else { self.inputs(idx, &mut reasons)? };

        let (state, record) = match Record::read(&target) {
            Ok(Some(record)) => (State::Stale, Some(record)),
            Ok(None) => (State::Missing, None),
            Err(error) => {
                reasons.push(Reason::of_record(&error));
                (State::Stale, None)
            }
        };
        if state == State::Missing {
            // That it waits for others goes without saying.
            reasons.retain(|reason| !matches!(reason, Reason::Upstream { .. }));
            reasons.insert(0, self.never_complete(idx, inputs.as_deref())?);
        }
        if let Some(record) = record {
            let now = Current {
                stage_version: stage.config.info().version,
                config: serde_json::to_value(&stage.config)?,
                inputs: inputs.clone().unwrap_or_default(),
                device: self.device.filter(|_| stage.config.info().uses_device).map(|d| d.to_string()),
            };
            reasons.extend(staleness::differences(&record, &now));
            reasons.extend(staleness::damage(&target, &record, &self.memo, self.progress)?);
        }
        let state = if reasons.is_empty() { State::Fresh } else { state };
        Ok(Assessment { state, reasons, inputs })
    }

    /// The stage's inputs; if one cannot be read, that becomes a reason.
    fn inputs(&self, idx: usize, reasons: &mut Vec<Reason>) -> anyhow::Result<Option<Vec<InputRecord>>> {
        let stage = &self.manifest.stages[idx];
        let location = Location::Run(&self.run_folder);
        match gather(&stage.config, location, &self.memo, self.progress) {
            Ok(inputs) => Ok(Some(inputs)),
            Err(error) if self.progress.interrupt().is_requested() => Err(error),
            Err(error) => {
                reasons.push(Reason::Unreadable { message: format!("{error:#}") });
                Ok(None)
            }
        }
    }

    fn never_complete(&self, idx: usize, inputs: Option<&[InputRecord]>) -> anyhow::Result<Reason> {
        let config = &self.manifest.stages[idx].config;
        let target = self.target(idx);
        if !folder::partial(&target).exists() {
            return Ok(Reason::NeverRan);
        }
        let resumes = match inputs {
            Some(inputs) if config.info().is_resumable => folder::is_of(&target, &making(config, inputs)?),
            _ => false,
        };
        Ok(Reason::Interrupted { resumes })
    }

    /// The stages in the order in which they run.
    ///
    /// # Errors
    /// If they wait for each other; a checked manifest's do not.
    pub fn order(&self) -> anyhow::Result<Vec<usize>> {
        self.graph.order().map_err(|_| anyhow::anyhow!("the manifest's stages form a cycle"))
    }

    /// Looks at all stages in the order in which they run. Stages that are not selected count as they stand.
    ///
    /// # Errors
    /// As [`Planner::assess`], and for a manifest with a cycle.
    pub fn assess_all(
        &self,
        selected: &BTreeSet<usize>,
        forced: &BTreeSet<usize>,
    ) -> anyhow::Result<Vec<(usize, Assessment)>> {
        let mut will_run = BTreeSet::new();
        let mut all = Vec::new();
        for idx in self.order()? {
            let mut assessment = self.assess(idx, &will_run)?;
            if forced.contains(&idx) {
                force(&mut assessment);
            }
            if selected.contains(&idx) && assessment.state != State::Fresh {
                will_run.insert(idx);
            }
            all.push((idx, assessment));
        }
        Ok(all)
    }
}

/// Makes a fresh stage run all the same.
pub fn force(assessment: &mut Assessment) {
    assessment.reasons.push(Reason::Forced);
    if assessment.state == State::Fresh {
        assessment.state = State::Stale;
    }
}
