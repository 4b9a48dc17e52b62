//! From a hashed set to groups of near-duplicates.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{GroupConfig, Keep, Rule};
use super::distances::DistanceCounts;
use super::equal_codes;
use super::groups_file::{self, Member};
use super::map_file::{self, Row};
use super::near::SearchReport;
use super::near_groups::near_groups;
use super::phash::phash_groups;
use super::second_look::{ComparedPair, pixel_distance};
use crate::hash::{self, Codes, Pictures, check_keys, read_codes, read_contents, read_keys, read_n_bytes};
use crate::preprocess::PICTURE_BYTES;
use crate::{Code, DedupError, Result};

/// What one rule finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let (ordered, mut doubts) = write_named(hashed, Some(&pictures), groups, config, dir)?;
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

/// Writes `groups.parquet`, `map.csv` and `map.parquet` of groups of images of a hashed set, found by whatever means, into `dir`. Where
/// the set has no `pictures.npy` the pictures' distances are not numbers.
///
/// # Errors
/// Where a file cannot be read or written, or `config` keeps by what the codes do not tell.
pub fn write_groups(
    hashed: &Path,
    groups: &[Vec<u32>],
    config: &GroupConfig,
    dir: &Path,
) -> Result<RuleCounts> {
    let pictures = hashed.join(hash::files::PICTURES);
    let pictures = match pictures.exists() {
        true => Some(Pictures::open(&pictures, hash::n_codes(&hashed.join(hash::files::CODES))?)?),
        false => None,
    };
    write_named(hashed, pictures.as_ref(), groups, config, dir)?;
    Ok(counts(groups))
}

/// Looks up what the table of codes says of the images in groups, and writes the files. Returns the groups, of each the image that stays first, and of each how
/// far its images are from that one at most.
fn write_named(
    hashed: &Path,
    pictures: Option<&Pictures>,
    groups: &[Vec<u32>],
    config: &GroupConfig,
    dir: &Path,
) -> Result<(Vec<Vec<u32>>, Vec<f32>)> {
    let codes_path = hashed.join(hash::files::CODES);
    let grouped: HashSet<u32> = groups.iter().flatten().copied().collect();
    let is_grouped = |image: u32| grouped.contains(&image);
    let codes = read_codes(&codes_path, is_grouped)?;
    if codes.len() != grouped.len() {
        let expected = format!("the {} images that are in groups", grouped.len());
        return Err(DedupError::file(&codes_path, expected, format!("{} of them", codes.len())));
    }
    let keys = read_keys(&codes_path, is_grouped)?.into_iter().collect();
    let contents = read_contents(&codes_path, is_grouped)?;
    let n_bytes = read_n_bytes(&codes_path, is_grouped)?;
    if config.keep == Keep::Bytes && n_bytes.is_empty() && !groups.is_empty() {
        let expected = "codes with the files' sizes (n_bytes), for keep = bytes";
        return Err(DedupError::file(&codes_path, expected, "codes of an earlier version"));
    }
    let names = Names { codes, keys, contents, n_bytes };
    let (mut members, mut ordered) = (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len()));
    let mut map = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let (order, of_group) = members_of(group, pictures, &names, config.keep)?;
        let size = |image: &u32| names.size(*image);
        map.extend(
            of_group.iter().zip(&order).map(|(member, image)| Row::new(number, member, size(image), config)),
        );
        members.push(of_group);
        ordered.push(order);
    }
    let distances = |members: &Vec<Member>| largest(members.iter().map(|member| member.pixel_distance));
    let doubts = members.iter().map(distances).collect();
    groups_file::write(&dir.join(groups_file::GROUPS), &members)?;
    map_file::write(dir, &map)?;
    Ok((ordered, doubts))
}

fn largest(distances: impl Iterator<Item = f32>) -> f32 {
    distances.fold(0.0, f32::max)
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
    codes: HashMap<u32, (Code, [u32; 2])>,
    keys: HashMap<u32, String>,
    contents: HashMap<u32, u64>,
    n_bytes: HashMap<u32, u64>,
}

impl Names {
    fn code(&self, image: u32) -> Code {
        self.codes.get(&image).map_or(Code([0; 2]), |&(code, _)| code)
    }

    fn size(&self, image: u32) -> [u32; 2] {
        self.codes.get(&image).map_or([0; 2], |&(_, size)| size)
    }
}

/// The members of a group and their numbers, the one that stays first, the others by their keys.
fn members_of(
    group: &[u32],
    pictures: Option<&Pictures>,
    names: &Names,
    keep: Keep,
) -> Result<(Vec<u32>, Vec<Member>)> {
    let key = |image: u32| names.keys.get(&image).map_or("", String::as_str);
    let n_pixels = |image: u32| names.size(image).iter().map(|&side| u64::from(side)).product::<u64>();
    let rank = |image: u32| match keep {
        Keep::Largest => (u64::MAX - n_pixels(image), key(image)),
        Keep::Bytes => (u64::MAX - names.n_bytes.get(&image).copied().unwrap_or(0), key(image)),
        Keep::LowestKey => (0, key(image)),
        Keep::First => (u64::from(image), ""),
    };
    let kept = group.iter().copied().min_by_key(|&image| rank(image)).unwrap_or_default();
    let mut order = vec![kept];
    let mut others: Vec<u32> = group.iter().copied().filter(|&image| image != kept).collect();
    others.sort_by_key(|&image| key(image));
    order.extend(others);
    let pixels = pictures.map(|pictures| pictures.read(&order)).transpose()?;
    let distance = |place: usize| {
        let picture = |place: usize| pixels.as_ref()?.chunks_exact(PICTURE_BYTES).nth(place);
        picture(0).zip(picture(place)).map_or(f32::NAN, |(kept, picture)| pixel_distance(kept, picture))
    };
    let member = |(place, &image): (usize, &u32)| Member {
        key: key(image).to_owned(),
        representative: key(kept).to_owned(),
        distance: names.code(image).distance(names.code(kept)),
        pixel_distance: distance(place),
        blake3: names.contents.get(&image).copied(),
        elsewhere: false,
    };
    let members = order.iter().enumerate().map(member).collect();
    Ok((order, members))
}

#[cfg(test)]
mod tests;
