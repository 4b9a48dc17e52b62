//! From a hashed set to groups of near-duplicates.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use super::config::{GroupConfig, Rule};
use super::counts::RuleCounts;
use super::distances::DistanceCounts;
use super::equal_codes;
use super::near::SearchReport;
use super::near_groups::near_groups;
use super::phash::phash_groups;
use super::second_look::ComparedPair;
use super::write::{GroupWriter, largest};
use crate::hash::{self, Codes, Pictures, check_keys, read_hashed};
use crate::{DedupError, Result};

/// What [`group_images`] found, both rules side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// Images in the set.
    pub n_images: u64,
    /// Equal codes.
    pub exact: RuleCounts,
    /// Near codes, and alike in the second look.
    pub near: RuleCounts,
    /// Near perceptual hashes, where that is the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phash: Option<RuleCounts>,
    /// Pairs of codes within the radius, of pictures or of views of them; a pair may be met several times.
    pub n_candidates: u64,
    /// Of those, as often as they were met, by whole pictures and by views, pairs that the second look found alike.
    pub n_alike: u64,
    /// Pairs that are within the threshold, but not within the third of it that pictures have to be which are half alike to many others.
    pub n_crowded: u64,
    /// What the search within the radius met; hot buckets among it.
    pub search: SearchReport,
    /// In how many bits the codes of alike, unlike and random pairs differ.
    pub distances: DistanceCounts,
    /// Of each group of the rule that is set, in the order of `groups.parquet`, the numbers of its images; the one that stays is first.
    #[serde(skip)]
    pub groups: Vec<Vec<u32>>,
    /// Of each of these groups how far its least alike image is from the nearest other one, by what grouped them.
    #[serde(skip)]
    pub doubts: Vec<f32>,
    /// Pairs nearest to the threshold of the second look, nearest first.
    #[serde(skip)]
    pub borderline: Vec<ComparedPair>,
    /// Pairs that are alike when one is mirrored, where they are asked for.
    #[serde(skip)]
    pub mirrored: Vec<ComparedPair>,
}

impl GroupSummary {
    /// What a rule found.
    pub fn of(&self, rule: Rule) -> &RuleCounts {
        match (rule, &self.phash) {
            (Rule::Near, _) => &self.near,
            (Rule::Phash, Some(phash)) => phash,
            _ => &self.exact,
        }
    }
}

/// Groups the images that [`hash`](hash::hash) hashed into `hashed`, by both rules, and writes `groups.parquet` of the rule that
/// `config` names into `dir`, and `map.csv` and `map.parquet`, which say who stays and why.
///
/// # Errors
/// Where a setting is out of range, a key is not one line of its own, or a file cannot be read or written; [`Interrupted`](crate::DedupError::Interrupted) where `observe` (which receives the
/// candidate pairs so far; their number is not known before) breaks.
pub fn group_images(
    hashed: &Path,
    config: &GroupConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<GroupSummary> {
    config.validate()?;
    let codes_path = hashed.join(hash::files::CODES);
    check_keys(&codes_path)?;
    let set = Codes::read(&codes_path)?;
    let pictures = Pictures::open(&hashed.join(hash::files::PICTURES), set.codes.len() as u64)?;
    let exact = equal_codes(&set.codes);
    let model_path = hashed.join(hash::files::AUTOENCODER);
    let found = near_groups(&set, &pictures, &model_path, None, config, observe)?;
    let phash = match config.rule {
        Rule::Phash => Some(phash_groups(&pictures, config, observe)?),
        Rule::Exact | Rule::Near => None,
    };
    let groups = match (config.rule, &phash) {
        (Rule::Near, _) => &found.groups,
        (_, Some(phash)) => phash,
        (_, None) => &exact,
    };
    let (ordered, mut doubts) = write_groups(hashed, groups, config, dir)?;
    if config.rule == Rule::Near {
        let nearest = |image: &u32| found.nearest.get(image).copied();
        doubts = ordered.iter().map(|images| largest(images.iter().filter_map(nearest))).collect();
    }
    Ok(GroupSummary {
        n_images: set.codes.len() as u64,
        exact: counts(&exact),
        near: counts(&found.groups),
        phash: phash.as_deref().map(counts),
        n_candidates: found.n_candidates,
        n_alike: found.n_alike,
        n_crowded: found.n_crowded,
        search: found.search,
        distances: found.distances,
        groups: ordered,
        doubts,
        borderline: found.borderline,
        mirrored: found.mirrored,
    })
}

/// Looks up what the table of codes says of the images in groups, and writes the files. Returns the groups, of each the image that stays
/// first, and of each how far its images are from that one at most.
fn write_groups(
    hashed: &Path,
    groups: &[Vec<u32>],
    config: &GroupConfig,
    dir: &Path,
) -> Result<(Vec<Vec<u32>>, Vec<f32>)> {
    let codes = hashed.join(hash::files::CODES);
    let grouped: HashSet<u32> = groups.iter().flatten().copied().collect();
    let mut images = read_hashed(&codes, |image| grouped.contains(&image))?;
    let (mut ordered, mut doubts) = (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len()));
    let mut writer = GroupWriter::create(hashed, config, dir)?;
    for group in groups {
        let missing = || DedupError::file(&codes, format!("the images {group:?}"), "not all of them");
        let group = group.iter().map(|image| images.remove(image)).collect::<Option<_>>();
        let written = writer.write_ordered(group.ok_or_else(missing)?)?;
        ordered.push(written.images);
        doubts.push(written.largest_distance);
    }
    writer.finish()?;
    Ok((ordered, doubts))
}

fn counts(groups: &[Vec<u32>]) -> RuleCounts {
    let mut counts = RuleCounts::default();
    groups.iter().for_each(|group| counts.add(group.len()));
    counts
}

#[cfg(test)]
mod tests;
