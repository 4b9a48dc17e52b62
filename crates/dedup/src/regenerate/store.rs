//! An image store of what stays. The store's own settings decide what it can take: where that is not the member of a group that
//! stays for the others, one that it can take stays in its place, and the store is written anew.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dcgan_files::walk::Stop;
use dcgan_images::{
    DecodeConfig, ImageStore, ImagesError, ImportConfig, ImportSummary, Payload, Record, Records, Source,
    import_records, read_bad,
};

use super::files;
use super::lists::{Fate, Lists};
use super::target::RegenerateSummary;
use crate::group::Member;
use crate::{DedupError, Result};

/// What is to be written.
pub(super) struct StoreJob<'a> {
    pub(super) source: &'a Source,
    pub(super) groups: &'a [Vec<Member>],
    /// Images in the source, where that is known.
    pub(super) n_images: Option<u64>,
    pub(super) config: ImportConfig,
    pub(super) dir: &'a Path,
}

/// Writes the store and its lists; `lists` begins them, without members of the groups that are rejected.
pub(super) fn write(
    job: &StoreJob<'_>,
    lists: &dyn Fn(&HashSet<String>) -> Result<Lists>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<RegenerateSummary> {
    let mut rejected = HashSet::new();
    loop {
        let lists = lists(&rejected)?;
        let stay: HashSet<String> = lists.keys_that_stay().cloned().collect();
        let written = write_once(job, lists, observe);
        let bad: HashSet<String> = match &written {
            Ok(_) => read_bad(&job.dir.join(files::BAD))?.into_iter().map(|(key, _)| key).collect(),
            Err(DedupError::Images(ImagesError::AllBad { .. })) => stay.clone(),
            Err(_) => HashSet::new(),
        };
        // With one that stays for others, all that are like it would be lost.
        let mut lost = stay.intersection(&bad).peekable();
        if lost.peek().is_none() {
            return written?.finish(job.dir);
        }
        rejected.extend(lost.cloned());
        rejected.extend(job.rejected_beside(&rejected, observe)?);
    }
}

impl StoreJob<'_> {
    /// Of groups with a member that the store rejects, the others that it rejects too.
    fn rejected_beside(
        &self,
        rejected: &HashSet<String>,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<HashSet<String>> {
        let is_hit = |group: &&Vec<Member>| group.iter().any(|member| rejected.contains(&member.key));
        let members: HashSet<&str> =
            self.groups.iter().filter(is_hit).flatten().map(|member| member.key.as_str()).collect();
        let ImportConfig { resize, filter, channels, max_pixels, damaged, .. } = self.config;
        let decode = DecodeConfig { max_pixels, damaged };
        let mut found = HashSet::new();
        self.source.for_each_record(&mut |n| observe(n, self.n_images.unwrap_or(0)), &mut |record| {
            let is_member = members.contains(record.key.as_str());
            if is_member && record.payload.into_picture(resize, filter, channels, decode).is_err() {
                found.insert(record.key);
            }
            Ok::<_, DedupError>(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

/// A store that is written, and its lists, which are not complete.
struct Written {
    lists: Arc<Mutex<Lists>>,
    summary: ImportSummary,
}

impl Written {
    fn finish(self, dir: &Path) -> Result<RegenerateSummary> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        // What the store could not take is not among what stays.
        for key in ImageStore::open(dir)?.keys()? {
            lists.keep(&key)?;
        }
        let ImportSummary { n_images: n_kept, n_bad, .. } = self.summary;
        Ok(RegenerateSummary { n_kept, n_removed: lists.finish()?, n_bad })
    }
}

fn write_once(
    job: &StoreJob<'_>,
    lists: Lists,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Written> {
    let StoreJob { source, config, dir, .. } = job;
    let mut set = source.survey(observe)?;
    let n_left = set.n_images().map(|n| n.saturating_sub(lists.n_to_remove()));
    let (lists, stop) = (Arc::new(Mutex::new(lists)), Stop::default());
    let left = Left { records: set.records(&stop)?, lists: lists.clone() };
    let imported = import_records(&set, Box::new(left), &stop, n_left, config, dir, observe);
    if let Some(failed) = lists.lock().unwrap_or_else(PoisonError::into_inner).failed.take() {
        return Err(failed);
    }
    Ok(Written { lists, summary: imported? })
}

/// The records that are not removed; of those that are known to be bad, that they are.
struct Left {
    records: Records,
    lists: Arc<Mutex<Lists>>,
}

impl Iterator for Left {
    type Item = std::result::Result<Record, ImagesError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = self.records.next();
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            let noted = match record {
                Some(Err(e)) => return Some(Err(e)),
                Some(Ok(record)) => lists.note(&record).map(|fate| Some((record, fate))),
                None => lists.check_all_came().map(|()| None),
            };
            match noted {
                Ok(None) => return None,
                Ok(Some((_, Fate::Removed))) => {}
                Ok(Some((record, Fate::Bad(reason)))) => {
                    return Some(Ok(Record { payload: Payload::Bad(reason), ..record }));
                }
                Ok(Some((record, Fate::Left))) => return Some(Ok(record)),
                Err(e) => {
                    // Whoever reads on here knows no such error: it stops, and the writer of the store gives this one.
                    lists.failed = Some(e);
                    return Some(Err(ImagesError::Interrupted));
                }
            }
        }
    }
}
