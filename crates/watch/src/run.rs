//! What is known of a run, as the page shows it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use dcgan_engine::folder::Target;
use dcgan_engine::journal::{self, AtWork, End};
use dcgan_engine::plan::State;
use dcgan_engine::pulse::{self, Beat};
use dcgan_engine::record::{self, Record};
use dcgan_engine::status::StageStatus;
use serde::Serialize;

use crate::stage::{Served, Shown, shown};

/// A run that is looked at again and again.
#[derive(Debug)]
pub(crate) struct Run {
    folder: PathBuf,
    /// How the stages stood when they were last compared with the manifest.
    compared: Mutex<Option<Vec<StageStatus>>>,
    /// The complete stages by their records' paths, with the times of these.
    complete: Mutex<BTreeMap<PathBuf, (SystemTime, Option<Complete>)>>,
}

/// A complete stage.
#[derive(Debug, Clone)]
struct Complete {
    kind: String,
    started: String,
    seconds: f64,
    /// The stages that it read.
    reads: Vec<String>,
}

/// All that the page shows.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    name: String,
    folder: String,
    /// In one word, and in a sentence.
    is: &'static str,
    words: String,
    stages: Vec<StageView>,
}

/// A stage.
#[derive(Debug, Serialize)]
struct StageView {
    id: String,
    kind: Option<String>,
    state: &'static str,
    /// Why it stands so, or what follows from it.
    notes: Vec<String>,
    progress: Option<Beat>,
    started: Option<String>,
    seconds: Option<f64>,
    #[serde(flatten)]
    shown: Shown,
}

/// What is on the disk at one moment.
struct Moment {
    work: Option<AtWork>,
    left: Option<(AtWork, End)>,
    beats: BTreeMap<String, Beat>,
    compared: Option<Vec<StageStatus>>,
}

impl Run {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, compared: Mutex::default(), complete: Mutex::default() }
    }

    /// How the stages stand beside the manifest.
    pub(crate) fn set_compared(&self, found: Vec<StageStatus>) {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// Another text whenever a stage has begun or ended.
    pub(crate) fn mark(&self) -> String {
        let records = self.complete().into_iter().map(|(id, complete)| (id, complete.started));
        let records: Vec<(String, String)> = records.collect();
        format!("{records:?} {:?} {:?}", journal::at_work(&self.folder), journal::left(&self.folder))
    }

    /// All that is shown, and what is served by its address.
    pub(crate) fn look(&self) -> (View, BTreeMap<String, Served>) {
        let moment = Moment {
            work: journal::at_work(&self.folder),
            left: journal::left(&self.folder),
            beats: pulse::read(&self.folder),
            compared: self.compared.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let complete = self.complete();
        let mut served = BTreeMap::new();
        let mut stages = Vec::new();
        for id in moment.ids(&complete) {
            let (stage, files) = self.stage(&id, &moment, complete.get(&id));
            stages.push(stage);
            served.extend(files);
        }
        let (is, words) = summary(&moment, &stages);
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (View { name, folder: self.folder.display().to_string(), is, words, stages }, served)
    }

    fn stage(
        &self,
        id: &str,
        moment: &Moment,
        complete: Option<&Complete>,
    ) -> (StageView, Vec<(String, Served)>) {
        let target = Target::inside(&self.folder, OsStr::new(id));
        let half_done = half_done(&target, id, moment);
        let (state, notes) = moment.state(id, complete.is_some(), half_done.is_some());
        let is_in_work = ["running", "failed", "killed", "interrupted"].contains(&state);
        let folder = half_done.filter(|_| is_in_work).unwrap_or_else(|| target.folder().to_owned());
        let (shown, served) = shown(id, &folder);
        let running = moment.work.as_ref().and_then(|work| work.running.get(id));
        let status = moment.status(id);
        let complete_kind = complete.map(|complete| complete.kind.clone());
        // The times of a version that is being replaced would be taken for the new one's.
        let complete = complete.filter(|_| !is_in_work);
        let view = StageView {
            id: id.to_owned(),
            kind: status.map(|status| status.kind.to_owned()).or(complete_kind),
            state,
            notes,
            progress: running.and_then(|_| moment.beats.get(id).cloned()),
            started: running
                .map(|running| running.since.clone())
                .or(complete.map(|complete| complete.started.clone())),
            seconds: complete.map(|complete| complete.seconds),
            shown,
        };
        (view, served)
    }

    /// The complete stages in the folder, by their ids. A record is read again where its time has changed.
    fn complete(&self) -> BTreeMap<String, Complete> {
        let mut known = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let (folder, Ok(id)) = (entry.path(), entry.file_name().into_string()) else { continue };
            let path = folder.join(record::FILE);
            let Some(time) = path.metadata().ok().and_then(|metadata| metadata.modified().ok()) else {
                continue;
            };
            let complete = match before.get(&path) {
                Some((of, complete)) if *of == time => complete.clone(),
                _ => Record::read(&folder).ok().flatten().map(|record| Complete {
                    kind: record.kind,
                    started: record.started,
                    seconds: record.seconds,
                    reads: record
                        .inputs
                        .into_iter()
                        .filter(|input| input.is_stage)
                        .map(|input| input.name)
                        .collect(),
                }),
            };
            found.extend(complete.clone().map(|complete| (id, complete)));
            known.insert(path, (time, complete));
        }
        found
    }
}

/// The folder of what a stage that runs, or ran last, has half done.
fn half_done(target: &Target, id: &str, moment: &Moment) -> Option<PathBuf> {
    let works = moment.work.iter().chain(moment.left.iter().map(|(work, _)| work));
    let version = works.filter_map(|work| work.running.get(id)?.version.as_deref()).next();
    let all = target.half_done();
    let is_at_work = |path: &&PathBuf| version.is_some() && path.file_name() == version.map(OsStr::new);
    let written = |path: &&PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    all.iter().find(is_at_work).or_else(|| all.iter().max_by_key(written)).cloned()
}

impl Moment {
    fn status(&self, id: &str) -> Option<&StageStatus> {
        self.compared.iter().flatten().find(|status| status.id == id)
    }

    /// The stages in the order in which they come, as far as that is known.
    fn ids(&self, complete: &BTreeMap<String, Complete>) -> Vec<String> {
        let mut ids: Vec<String> = match &self.compared {
            Some(compared) => compared.iter().map(|status| status.id.clone()).collect(),
            None => in_order(complete),
        };
        let works = self.work.iter().chain(self.left.iter().map(|(work, _)| work));
        for id in works.flat_map(|work| &work.stages) {
            // It is the name of a folder.
            let mut parts = Path::new(id).components();
            let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
            if is_name && !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        ids
    }

    /// How a stage stands, and why.
    fn state(&self, id: &str, is_complete: bool, is_half_done: bool) -> (&'static str, Vec<String>) {
        let status = self.status(id);
        let is_fresh = status.is_some_and(|status| status.state == State::Fresh);
        if let Some(work) = &self.work {
            if work.running.contains_key(id) {
                return ("running", Vec::new());
            }
            if let Some(why) = work.failed.get(id) {
                return ("failed", vec![why.clone()]);
            }
            if work.waiting.contains(id) && !is_fresh {
                return ("waiting", Vec::new());
            }
        }
        if let Some((left, end)) = &self.left {
            let was_running = left.running.contains_key(id);
            match (left.failed.get(id), end) {
                // A run that was asked to stop reports its stage as one that failed.
                (Some(why), End::Interrupted) => return ("interrupted", vec![why.clone()]),
                (Some(why), _) => return ("failed", vec![why.clone()]),
                (None, End::Killed) if was_running => {
                    return ("killed", vec!["the same command goes on, or does it again".to_owned()]);
                }
                _ => {}
            }
        }
        match (status, is_complete) {
            (Some(status), _) if self.work.is_none() || is_complete => {
                let state = match status.state {
                    State::Fresh => "fresh",
                    State::Kept => "kept",
                    State::Stale => "stale",
                    State::Missing if is_complete => "complete",
                    State::Missing if is_half_done => "interrupted",
                    State::Missing => "missing",
                };
                let is_plain = ["fresh", "complete", "missing"].contains(&state);
                (state, if is_plain { Vec::new() } else { status.why.clone() })
            }
            (_, true) => ("complete", Vec::new()),
            (_, false) if is_half_done => ("interrupted", Vec::new()),
            (_, false) => ("missing", Vec::new()),
        }
    }
}

/// Complete stages as they were made, each behind those that it reads: several may have started in one second.
fn in_order(complete: &BTreeMap<String, Complete>) -> Vec<String> {
    let mut left: Vec<(&String, &Complete)> = complete.iter().collect();
    left.sort_by_key(|(_, stage)| &stage.started);
    let mut ids: Vec<String> = Vec::new();
    while !left.is_empty() {
        let is_left = |id: &String| left.iter().any(|(other, _)| *other == id);
        let next = left.iter().position(|(_, stage)| !stage.reads.iter().any(is_left));
        // Where stages of several runs lie together there may be a circle of names.
        ids.push(left.remove(next.unwrap_or(0)).0.clone());
    }
    ids
}

/// How the run stands, in one word and in a sentence.
fn summary(moment: &Moment, stages: &[StageView]) -> (&'static str, String) {
    let is_done = |stage: &&StageView| ["fresh", "complete"].contains(&stage.state);
    let (n_done, n) = (stages.iter().filter(is_done).count(), stages.len());
    let counted = format!("{n_done} of {n} stages are complete");
    let again = "the same command goes on";
    match (&moment.work, &moment.left) {
        (Some(work), _) => ("running", format!("A run goes on, in {}; {counted}.", work.by)),
        (None, Some((_, End::Killed))) => {
            ("killed", format!("The last run was killed, or the machine went down; {counted}, and {again}."))
        }
        (None, Some((_, End::Interrupted))) => {
            ("interrupted", format!("The last run was interrupted; {counted}, and {again}."))
        }
        (None, Some((_, End::Failed))) => ("failed", format!("The last run failed; {counted}.")),
        (None, None) if n > 0 && n_done == n => {
            let of = if moment.compared.is_some() { "" } else { " in the folder" };
            ("finished", format!("No run goes on; all {n} stages{of} are complete."))
        }
        (None, None) => ("unfinished", format!("No run goes on; {counted}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_behind_those_that_they_read() {
        let stage = |id: &str, started: &str, reads: &[&str]| {
            let reads = reads.iter().map(|id| (*id).to_owned()).collect();
            let (kind, started, seconds) = (String::new(), started.to_owned(), 0.0);
            (id.to_owned(), Complete { kind, started, seconds, reads })
        };
        let all = [
            stage("a", "12:00:01", &["z"]),
            stage("b", "12:00:00", &[]),
            stage("m", "12:00:01", &["a", "elsewhere"]),
            stage("z", "12:00:01", &["b"]),
        ];
        assert_eq!(in_order(&all.into_iter().collect()), ["b", "z", "a", "m"]);
        let circle = [stage("a", "1", &["b"]), stage("b", "1", &["a"])];
        assert_eq!(in_order(&circle.into_iter().collect()).len(), 2);
    }
}
