//! From a hashed set to groups of near-duplicates.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::config::{GroupConfig, Keep, Rule};
use super::distances::DistanceCounts;
use super::groups_file::{self, Member};
use super::near::{Pair, SearchReport, near_pairs};
use super::second_look::{ComparedPair, pixel_distance};
use super::{UnionFind, equal_codes};
use crate::hash::{self, Codes, Pictures, check_keys, read_contents, read_keys};
use crate::preprocess::PICTURE_BYTES;
use crate::{DedupError, Result};

/// Pairs that are compared together.
const PAIRS_AT_ONCE: usize = 1 << 12;
/// Pairs nearest to the threshold, on either side, that are kept for people to judge.
const N_BORDERLINE: usize = 200;

/// What one rule finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleCounts {
    /// Groups of two or more images.
    pub n_groups: u64,
    /// Images in them.
    pub n_grouped: u64,
    /// Images that would be removed: all of each group but one.
    pub n_removed: u64,
    /// Images in the largest group.
    pub largest_group: u64,
}

/// What [`group_images`] found, both rules side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// Images in the set.
    pub n_images: u64,
    /// Equal codes.
    pub exact: RuleCounts,
    /// Near codes, and alike in the second look.
    pub near: RuleCounts,
    /// Pairs of codes within the radius.
    pub n_candidates: u64,
    /// Of those, pairs that the second look found alike.
    pub n_alike: u64,
    /// What the search within the radius met; hot buckets among it.
    pub search: SearchReport,
    /// In how many bits the codes of alike, unlike and random pairs differ.
    pub distances: DistanceCounts,
    /// Pairs nearest to the threshold of the second look, nearest first.
    #[serde(skip)]
    pub borderline: Vec<ComparedPair>,
}

/// Groups the images that [`hash`](hash::hash) hashed into `hashed`, by both rules, and writes `groups.parquet` of the rule that
/// `config` names into `dir`.
///
/// # Errors
/// Where a setting is out of range, a key is not one line of its own, or a file cannot be read or written; [`DedupError::Interrupted`] where `observe` (which receives the
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
    let found = near_groups(&set, &pictures, config, observe)?;
    let groups = match config.rule {
        Rule::Exact => &exact,
        Rule::Near => &found.groups,
    };
    let is_grouped: HashMap<u32, ()> = groups.iter().flatten().map(|&image| (image, ())).collect();
    let keys = read_keys(&codes_path, |image| is_grouped.contains_key(&image))?.into_iter().collect();
    let contents = read_contents(&codes_path, |image| is_grouped.contains_key(&image))?;
    let names = Names { keys, contents };
    let mut members = Vec::with_capacity(groups.len());
    for group in groups {
        members.push(members_of(group, &set, &pictures, &names, config.keep)?);
    }
    groups_file::write(&dir.join(groups_file::GROUPS), &members)?;
    Ok(GroupSummary {
        n_images: set.codes.len() as u64,
        exact: counts(&exact),
        near: counts(&found.groups),
        n_candidates: found.n_candidates,
        n_alike: found.n_alike,
        search: found.search,
        distances: found.distances,
        borderline: found.borderline,
    })
}

struct NearGroups {
    groups: Vec<Vec<u32>>,
    n_candidates: u64,
    n_alike: u64,
    search: SearchReport,
    distances: DistanceCounts,
    borderline: Vec<ComparedPair>,
}

fn near_groups(
    set: &Codes,
    pictures: &Pictures,
    config: &GroupConfig,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<NearGroups> {
    let mut sets = UnionFind::new(set.codes.len() as u32);
    let (mut n_candidates, mut n_alike, mut borderline) = (0, 0, Vec::new());
    let mut distances = DistanceCounts::new(&set.codes, config.radius);
    let mut failed = None;
    let search = near_pairs(&set.codes, config.radius, config.bucket_cap, &mut |pairs| {
        for pairs in pairs.chunks(PAIRS_AT_ONCE) {
            if failed.is_some() {
                return;
            }
            if observe(n_candidates, 0).is_break() {
                failed = Some(DedupError::Interrupted);
                return;
            }
            match compare(pairs, pictures) {
                Ok(compared) => {
                    n_candidates += pairs.len() as u64;
                    for pair in &compared {
                        let is_alike = f64::from(pair.pixel_distance) <= config.pixel_distance;
                        distances.add(pair, is_alike);
                        if is_alike {
                            n_alike += 1;
                            sets.join(pair.first, pair.second);
                        }
                    }
                    borderline.extend(compared);
                    keep_borderline(&mut borderline, config.pixel_distance);
                }
                Err(e) => failed = Some(e),
            }
        }
    });
    match failed {
        Some(e) => Err(e),
        None => {
            Ok(NearGroups { groups: sets.groups(), n_candidates, n_alike, search, distances, borderline })
        }
    }
}

fn compare(pairs: &[Pair], pictures: &Pictures) -> Result<Vec<ComparedPair>> {
    let images: Vec<u32> = pairs.iter().flat_map(|pair| [pair.first, pair.second]).collect();
    let pixels = pictures.read(&images)?;
    let compared = pairs.par_iter().zip(pixels.par_chunks_exact(2 * PICTURE_BYTES)).map(|(pair, pixels)| {
        let (a, b) = pixels.split_at(PICTURE_BYTES);
        let Pair { first, second, distance } = *pair;
        ComparedPair { first, second, distance, pixel_distance: pixel_distance(a, b) }
    });
    Ok(compared.collect())
}

fn keep_borderline(pairs: &mut Vec<ComparedPair>, threshold: f64) {
    let off = |pair: &ComparedPair| (f64::from(pair.pixel_distance) - threshold).abs();
    pairs.sort_by(|a, b| off(a).total_cmp(&off(b)).then(a.first.cmp(&b.first)).then(a.second.cmp(&b.second)));
    pairs.truncate(N_BORDERLINE);
}

fn counts(groups: &[Vec<u32>]) -> RuleCounts {
    let n_grouped = groups.iter().map(|group| group.len() as u64).sum();
    RuleCounts {
        n_groups: groups.len() as u64,
        n_grouped,
        n_removed: n_grouped - groups.len() as u64,
        largest_group: groups.iter().map(|group| group.len() as u64).max().unwrap_or(0),
    }
}

/// What stands in the table of the images that are in groups.
struct Names {
    keys: HashMap<u32, String>,
    contents: HashMap<u32, u64>,
}

/// The members of a group, the one that stays first, the others by their keys.
fn members_of(
    group: &[u32],
    set: &Codes,
    pictures: &Pictures,
    names: &Names,
    keep: Keep,
) -> Result<Vec<Member>> {
    let key = |image: u32| names.keys.get(&image).map_or("", String::as_str);
    let n_pixels =
        |image: u32| set.sizes[image as usize].iter().map(|&side| u64::from(side)).product::<u64>();
    let rank = |image: u32| match keep {
        Keep::Largest => (u64::MAX - n_pixels(image), key(image)),
        Keep::LowestKey => (0, key(image)),
    };
    let kept = group.iter().copied().min_by_key(|&image| rank(image)).unwrap_or_default();
    let mut order = vec![kept];
    let mut others: Vec<u32> = group.iter().copied().filter(|&image| image != kept).collect();
    others.sort_by_key(|&image| key(image));
    order.extend(others);
    let pixels = pictures.read(&order)?;
    let kept_pixels = &pixels[..PICTURE_BYTES];
    let member = |(&image, picture): (&u32, &[u8])| Member {
        key: key(image).to_owned(),
        representative: key(kept).to_owned(),
        distance: set.codes[image as usize].distance(set.codes[kept as usize]),
        pixel_distance: pixel_distance(kept_pixels, picture),
        blake3: names.contents.get(&image).copied(),
    };
    Ok(order.iter().zip(pixels.chunks_exact(PICTURE_BYTES)).map(member).collect())
}
