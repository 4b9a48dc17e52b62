//! Which stages will run, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Serialize;

use crate::cache::FingerprintCache;
use crate::folder::Target;
use crate::graph::Graph;
use crate::inputs::{Location, gather};
use crate::kept;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::record::{InputRecord, Record};
use crate::staleness::{self, Current, Reason};
use crate::version::Version;

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Complete, and made from what the manifest says now.
    Fresh,
    /// Made from something else, or not complete; a version made from what the manifest says now is kept and will be put in
    /// its place, and nothing runs.
    Kept,
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
    /// The folder of a version that was kept and is what would come out now; looked for where the stage is not fresh.
    pub kept: Option<PathBuf>,
}

/// What is known to happen before a stage's turn comes.
#[derive(Debug, Clone, Default)]
pub struct Ahead {
    /// The stages that will run.
    pub will_run: BTreeSet<usize>,
    /// The versions that will be put in the place of stages, by their ids.
    pub restored: BTreeMap<String, PathBuf>,
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
    pub cache: FingerprintCache,
    progress: &'a Progress,
    /// The device, if one was asked for.
    device: Option<&'a str>,
    /// The folders of complete stages by what they were made from, once they were looked for.
    contents: OnceLock<BTreeMap<String, Vec<PathBuf>>>,
}

impl<'a> Planner<'a> {
    /// `runs` is the folder of all manifests' runs.
    pub fn new(
        manifest: &'a Manifest,
        runs: &std::path::Path,
        progress: &'a Progress,
        device: Option<&'a str>,
    ) -> Self {
        let run_folder = runs.join(&manifest.name);
        Self {
            manifest,
            run_folder,
            graph: manifest.graph(),
            cache: FingerprintCache::open(runs),
            progress,
            device,
            contents: OnceLock::new(),
        }
    }

    /// Where things are said.
    pub fn progress(&self) -> &'a Progress {
        self.progress
    }

    /// The folder of a stage.
    pub fn target(&self, idx: usize) -> PathBuf {
        self.run_folder.join(&self.manifest.stages[idx].id)
    }

    /// Makes sure, before the first stage runs, that nothing of somebody else's is where the folder of a chosen stage is to be.
    pub(crate) fn check_way(&self, chosen: &BTreeSet<usize>) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        for idx in chosen {
            let shares = self.manifest.stages[*idx].config.stage().shares_folder();
            let path = self.target(*idx);
            let checked =
                Target::at(&path).and_then(|target| if shares { Ok(()) } else { target.check_way() });
            wrong.extend(checked.err().map(|error| format!("{error:#}")));
        }
        anyhow::ensure!(wrong.is_empty(), wrong.join("\n"));
        Ok(())
    }

    /// Looks at one stage.
    ///
    /// # Errors
    /// If the run was interrupted.
    pub fn assess(&self, idx: usize, ahead: &Ahead) -> anyhow::Result<Assessment> {
        let target = self.target(idx);
        let mut reasons: Vec<Reason> = self.graph.parents[idx]
            .iter()
            .filter(|parent| ahead.will_run.contains(parent))
            .map(|parent| Reason::Upstream { id: self.manifest.stages[*parent].id.clone() })
            .collect();
        let waits = !reasons.is_empty();
        let inputs = if waits { None } else { self.inputs(idx, ahead, &mut reasons)? };

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
        let now = self.current(idx, inputs.as_deref())?;
        if let Some(record) = record {
            reasons.extend(staleness::differences(&record, &now));
            reasons.extend(staleness::damage(&target, &record, &self.cache, self.progress)?);
        }
        let state = if reasons.is_empty() { State::Fresh } else { state };
        let kept = match &inputs {
            Some(inputs) if state != State::Fresh => self.find_kept(idx, inputs, &now)?,
            _ => None,
        };
        Ok(Assessment { state, reasons, inputs, kept })
    }

    /// What a stage would be made from now.
    fn current(&self, idx: usize, inputs: Option<&[InputRecord]>) -> anyhow::Result<Current> {
        let config = &self.manifest.stages[idx].config;
        Ok(Current {
            stage_version: config.kind().version,
            config: serde_json::to_value(config)?,
            inputs: inputs.unwrap_or_default().to_vec(),
            device: self.device.filter(|_| config.kind().traits.uses_device).map(str::to_owned),
        })
    }

    /// The newest version that is kept, is what the stage would come to now, and that nobody has changed.
    fn find_kept(
        &self,
        idx: usize,
        inputs: &[InputRecord],
        now: &Current,
    ) -> anyhow::Result<Option<PathBuf>> {
        // A link that leads nowhere is in the way of a run, which says so.
        let Ok(target) = Target::at(&self.target(idx)) else { return Ok(None) };
        let config = &self.manifest.stages[idx].config;
        let version = Version::of(config, inputs)?;
        let mut found: Option<(String, PathBuf)> = None;
        for folder in target.complete(&version) {
            let Ok(Some(record)) = Record::read(&folder) else { continue };
            if staleness::differences(&record, now).is_empty()
                && staleness::damage(&folder, &record, &self.cache, self.progress)?.is_empty()
                && found.as_ref().is_none_or(|(started, _)| *started < record.started)
            {
                found = Some((record.started, folder));
            }
        }
        // What reads records tells of stages by their ids.
        let may_be_anothers = !config.stage().shares_folder() && !config.kind().traits.reads_records;
        for folder in self.made_alike(&version).iter().filter(|_| found.is_none() && may_be_anothers) {
            let Ok(Some(record)) = Record::read(folder) else { continue };
            let is_same_device =
                now.device.as_ref().is_none_or(|device| record.environment.device == *device);
            if is_same_device
                && Version::of_record(&record, self.manifest.registry).content == version.content
                && staleness::damage(folder, &record, &self.cache, self.progress)?.is_empty()
            {
                return Ok(Some(folder.clone()));
            }
        }
        Ok(found.map(|(_, folder)| folder))
    }

    /// Folders of this run's complete stages, kept ones too, that were made from the same when this was first asked.
    fn made_alike(&self, version: &Version) -> &[PathBuf] {
        let all = self.contents.get_or_init(|| {
            let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            let entries = std::fs::read_dir(&self.run_folder).into_iter().flatten().flatten();
            let kept = kept::targets_in(&self.run_folder).into_iter().flat_map(|target| target.kept());
            for folder in entries.map(|entry| entry.path()).chain(kept) {
                if let Ok(Some(record)) = Record::read(&folder) {
                    all.entry(Version::of_record(&record, self.manifest.registry).content)
                        .or_default()
                        .push(folder);
                }
            }
            all
        });
        all.get(&version.content).map_or(&[], Vec::as_slice)
    }

    /// What a stage asks a person for before it can run.
    pub fn asks(&self, idx: usize) -> Option<String> {
        let stage = &self.manifest.stages[idx];
        let picks = stage.config.stage().waits_for()?;
        let page = self.run_folder.join(picks.from.as_str()).join(picks.page);
        let command = format!("dcgan run {}", self.manifest.path.display());
        Some(picks.ask(&page, &command, &format!("--set '{}.", stage.written)))
    }

    /// The stage's inputs; if one cannot be read, that becomes a reason.
    fn inputs(
        &self,
        idx: usize,
        ahead: &Ahead,
        reasons: &mut Vec<Reason>,
    ) -> anyhow::Result<Option<Vec<InputRecord>>> {
        let stage = &self.manifest.stages[idx];
        let location = match ahead.restored.is_empty() {
            true => Location::Run(&self.run_folder),
            false => Location::Planned(&self.run_folder, &ahead.restored),
        };
        match gather(&stage.config, location, &self.cache, self.progress) {
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
        let Ok(target) = Target::at(&self.target(idx)) else { return Ok(Reason::NeverRan) };
        let half_done = target.half_done();
        if half_done.is_empty() {
            return Ok(Reason::NeverRan);
        }
        let resumes = match inputs {
            Some(inputs) if config.kind().traits.is_resumable => {
                let version = Version::of(config, inputs)?;
                half_done.iter().any(|folder| version.has_making_of(folder))
            }
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
        let mut ahead = Ahead::default();
        let mut all = Vec::new();
        for idx in self.order()? {
            let mut assessment = self.assess(idx, &ahead)?;
            if forced.contains(&idx) {
                force(&mut assessment);
            }
            let is_to_run = selected.contains(&idx) && assessment.state != State::Fresh;
            match &assessment.kept {
                Some(kept) if is_to_run => {
                    ahead.restored.insert(self.manifest.stages[idx].id.clone(), kept.clone());
                    assessment.state = State::Kept;
                }
                _ if is_to_run => _ = ahead.will_run.insert(idx),
                _ => {}
            }
            all.push((idx, assessment));
        }
        Ok(all)
    }
}

/// Makes a fresh stage run all the same.
pub fn force(assessment: &mut Assessment) {
    assessment.reasons.push(Reason::Forced);
    assessment.kept = None;
    if assessment.state == State::Fresh {
        assessment.state = State::Stale;
    }
}
