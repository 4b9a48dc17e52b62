//! What lies in hidden folders: complete versions of stages that others have replaced, and what interrupted runs have half done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::{Serialize, Serializer};

use crate::clock::rfc3339;
use crate::disk::size;
use crate::fingerprint::{files_under, path_of};
use crate::folder::Target;
use crate::hidden::Hidden;
use crate::record::Record;
use crate::space;

/// One version of a stage that is not in its place.
#[derive(Debug, Clone, Serialize)]
pub struct KeptVersion {
    /// Its folder.
    pub path: PathBuf,
    /// The stage's id.
    pub stage: String,
    /// False for what is half done.
    pub is_complete: bool,
    /// When a complete one ran, RFC 3339; none where its record cannot be read.
    pub started: Option<String>,
    /// When it was set aside; of what is half done, when it was last written.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: SystemTime,
    /// How much room it takes.
    pub bytes: u64,
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// The versions of one stage that are not in its place, the newest first.
pub fn of_stage(target: &Target) -> Vec<KeptVersion> {
    let stage = target.name().to_string_lossy().into_owned();
    let complete = target.kept().into_iter().map(|path| (path, true));
    let half_done = target.half_done().into_iter().map(|path| (path, false));
    let mut found: Vec<KeptVersion> =
        complete.chain(half_done).filter_map(|(path, is_complete)| look(path, &stage, is_complete)).collect();
    found.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.path.cmp(&b.path)));
    found
}

/// The versions of all stages in a folder.
pub fn in_folder(folder: &Path) -> Vec<KeptVersion> {
    targets_in(folder).iter().flat_map(of_stage).collect()
}

/// The stages of a folder that have versions which are not in their place.
pub fn targets_in(folder: &Path) -> Vec<Target> {
    let Some(hidden) = Hidden::found(folder) else { return Vec::new() };
    let names = |place: PathBuf| std::fs::read_dir(place).into_iter().flatten().flatten();
    let all = [hidden.kept(OsStr::new("")), hidden.partial(OsStr::new(""))].map(names).into_iter().flatten();
    let stages: BTreeSet<OsString> = all.map(|entry| entry.file_name()).collect();
    stages.iter().map(|stage| Target::inside(folder, stage)).collect()
}

/// None for what is gone by now.
fn look(path: PathBuf, stage: &str, is_complete: bool) -> Option<KeptVersion> {
    let record = if is_complete { Record::read(&path).ok().flatten() } else { None };
    let since = if is_complete { moved(&path)? } else { last_written(&path)? };
    let bytes = size(&path).ok()?;
    let started = record.map(|record| record.started);
    Some(KeptVersion { path, stage: stage.to_owned(), is_complete, started, since, bytes })
}

/// When a folder was renamed: that changes its inode.
#[cfg(unix)]
fn moved(folder: &Path) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = folder.metadata().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::new(metadata.ctime().try_into().ok()?, 0))
}

#[cfg(not(unix))]
fn moved(folder: &Path) -> Option<SystemTime> {
    folder.metadata().ok()?.modified().ok()
}

fn last_written(folder: &Path) -> Option<SystemTime> {
    let files = files_under(folder).ok()?.into_iter().map(|file| path_of(folder, &file));
    let times = files.chain([folder.to_owned()]).filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    times.max()
}

/// Which versions to free; without any of these, none.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Those set aside, or last written, longer ago than this.
    pub older_than: Option<Duration>,
    /// Of each stage all but so many of the newest.
    pub keep: Option<usize>,
    /// The oldest, until those that stay take no more than so many bytes.
    pub max_bytes: Option<u64>,
}

impl Limits {
    /// Takes those to be freed out of `versions`.
    pub fn take(&self, versions: &mut Vec<KeptVersion>, now: SystemTime) -> Vec<KeptVersion> {
        versions.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.path.cmp(&b.path)));
        let (mut n_of_stage, mut bytes) = (BTreeMap::<PathBuf, usize>::new(), 0_u64);
        let mut goes = |version: &KeptVersion| {
            let n = n_of_stage.entry(version.target().folder().to_owned()).or_default();
            let is_old = |limit: Duration| now.duration_since(version.since).is_ok_and(|age| age > limit);
            // Without a record it is not known which files are ours.
            let is_readable = version.started.is_some() || !version.is_complete;
            let goes = is_readable
                && (self.older_than.is_some_and(is_old)
                    || self.keep.is_some_and(|keep| *n >= keep)
                    || self.max_bytes.is_some_and(|max| bytes + version.bytes > max));
            if !goes {
                *n += 1;
                bytes += version.bytes;
            }
            goes
        };
        let (free, stay) = versions.drain(..).partition(|version| goes(version));
        *versions = stay;
        free
    }
}

impl KeptVersion {
    /// The stage that it is a version of.
    pub fn target(&self) -> Target {
        // FOLDER/.dcgan/kept/STAGE/VERSION
        let mut above = self.path.ancestors().skip(1);
        let stage = above.next().and_then(Path::file_name).unwrap_or_default();
        Target::inside(above.nth(2).unwrap_or(Path::new(".")), stage)
    }

    /// What it is, for people.
    pub fn what(&self) -> String {
        match (&self.started, self.is_complete) {
            (Some(started), _) => format!("kept version of `{}`, which ran at {started}", self.stage),
            (None, true) => format!("kept version of `{}`, whose record cannot be read", self.stage),
            (None, false) => {
                format!("half done of `{}`, last written at {}", self.stage, rfc3339(self.since))
            }
        }
    }
}

/// One line on a stage's versions; none without any.
pub fn line(versions: &[KeptVersion]) -> Option<String> {
    let newest = versions.first()?;
    let n_complete = versions.iter().filter(|version| version.is_complete).count();
    let n_half = versions.len() - n_complete;
    let counted = [(n_complete, "kept"), (n_half, "half done")];
    let counted = counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let bytes = space::bytes(versions.iter().map(|version| version.bytes).sum());
    Some(format!(
        "other versions: {} ({bytes}), the newest {}",
        counted.collect::<Vec<_>>().join(", "),
        newest.path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(stage: &str, age: u64, bytes: u64) -> KeptVersion {
        KeptVersion {
            path: format!("runs/m/.dcgan/kept/{stage}/{age}").into(),
            stage: stage.to_owned(),
            is_complete: true,
            started: Some(String::new()),
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age),
            bytes,
        }
    }

    #[test]
    fn the_oldest_go_by_age_number_and_size() {
        let all = || vec![version("a", 30, 5), version("a", 10, 5), version("b", 20, 7), version("a", 40, 5)];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let freed = |limits: Limits| {
            let mut stay = all();
            let gone = limits.take(&mut stay, now);
            assert_eq!(gone.len() + stay.len(), 4);
            let mut gone: Vec<String> =
                gone.iter().map(|version| version.path.display().to_string()[19..].to_owned()).collect();
            gone.sort();
            gone
        };
        assert_eq!(freed(Limits::default()), [""; 0]);
        let older_than = Some(Duration::from_secs(25));
        assert_eq!(freed(Limits { older_than, ..Limits::default() }), ["a/30", "a/40"]);
        assert_eq!(freed(Limits { keep: Some(1), ..Limits::default() }), ["a/30", "a/40"]);
        assert_eq!(freed(Limits { keep: Some(0), ..Limits::default() }).len(), 4);
        assert_eq!(freed(Limits { max_bytes: Some(12), ..Limits::default() }), ["a/30", "a/40"]);
        assert_eq!(freed(Limits { max_bytes: Some(17), ..Limits::default() }), ["a/40"]);
        let keep_two = Limits { keep: Some(2), max_bytes: Some(11), older_than: None };
        assert_eq!(freed(keep_two), ["a/40", "b/20"]);
    }
}
