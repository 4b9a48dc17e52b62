//! What of one set is in another: training pictures among test pictures, or a set held against a reference.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use super::config::{GroupConfig, Rule};
use super::groups_file::{GroupsWriter, Member};
use super::near_groups::near_groups;
use super::second_look::ComparedPair;
use crate::hash::{self, Codes, Pictures, check_keys, read_hashed, read_keys};
use crate::{Code, DedupError, Result};

/// Keys that a summary names, at most.
const N_NAMED: usize = 50;

/// What [`group_against`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgainstSummary {
    /// Images of the set.
    pub n_images: u64,
    /// Images of the other set.
    pub n_against: u64,
    /// Images of the set that are in the other one.
    pub n_found: u64,
    /// Some of them: the key, and the key in the other set.
    pub found: Vec<[String; 2]>,
    /// Of each the number of its counterpart, which counts on behind those of the set, and its own.
    #[serde(skip)]
    pub groups: Vec<Vec<u32>>,
    /// Of each the distance of the two.
    #[serde(skip)]
    pub doubts: Vec<f32>,
}

/// Finds the images of the set hashed into `hashed` that are, by the rule, in the one hashed into `against` by the same autoencoder, and
/// writes `groups.parquet` of them into `dir`: a group each, whose representative is elsewhere. The set without them is what is in it and
/// not in the other.
///
/// # Errors
/// As [`group_images`](super::group_images); where the two were not hashed by one autoencoder, and for the rule `phash`.
pub fn group_against(
    hashed: &Path,
    against: &Path,
    config: &GroupConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<AgainstSummary> {
    config.validate()?;
    let model = hashed.join(hash::files::AUTOENCODER);
    if fs_err::read(&model)? != fs_err::read(against.join(hash::files::AUTOENCODER))? {
        let expected = format!("codes by {}", model.display());
        return Err(DedupError::file(against, expected, "codes by another autoencoder"));
    }
    let [ours, theirs] = [hashed, against].map(|folder| folder.join(hash::files::CODES));
    check_keys(&ours)?;
    let (mut set, other) = (Codes::read(&ours)?, Codes::read(&theirs)?);
    let border = set.codes.len() as u32;
    let open = |folder: &Path, n: usize| Pictures::open(&folder.join(hash::files::PICTURES), n as u64);
    let pictures = open(hashed, set.codes.len())?.and(open(against, other.codes.len())?);
    let n_against = other.codes.len() as u64;
    if set.codes.len() + other.codes.len() > u32::MAX as usize {
        return Err(DedupError::file(against, "2³² − 1 codes in all", "more"));
    }
    set.codes.extend(other.codes);
    set.sizes.extend(other.sizes);
    let pairs: Vec<ComparedPair> = match config.rule {
        Rule::Near => near_groups(&set, &pictures, &model, Some(border), config, observe)?
            .across
            .into_values()
            .collect(),
        Rule::Exact => equal_across(&set.codes, border),
        Rule::Phash => {
            let (expected, found) =
                ("exact or near, where there is `against`".to_owned(), "phash".to_owned());
            return Err(DedupError::Setting { key: "rule", expected, found });
        }
    };
    let members = members(&pairs, border, [&ours, &theirs])?;
    let named = members.iter().take(N_NAMED);
    let found = named.map(|member| [member.key.clone(), member.representative.clone()]).collect();
    let n_found = members.len() as u64;
    let mut file = GroupsWriter::create(dir)?;
    members.into_iter().try_for_each(|member| file.write(vec![member]))?;
    file.finish()?;
    let groups = pairs.iter().map(|pair| vec![pair.second, pair.first]).collect();
    Ok(AgainstSummary {
        n_images: u64::from(border),
        n_against,
        n_found,
        found,
        groups,
        doubts: pairs.iter().map(|pair| pair.pixel_distance).collect(),
    })
}

/// Of each image before the border the first one behind it with an equal code.
fn equal_across(codes: &[Code], border: u32) -> Vec<ComparedPair> {
    let (ours, theirs) = codes.split_at(border as usize);
    let mut firsts: HashMap<Code, u32> = HashMap::new();
    for (code, image) in theirs.iter().zip(border..) {
        firsts.entry(*code).or_insert(image);
    }
    let pair = |(code, first): (&Code, u32)| {
        let second = *firsts.get(code)?;
        Some(ComparedPair { first, second, distance: 0, pixel_distance: 0.0 })
    };
    ours.iter().zip(0..).filter_map(pair).collect()
}

/// Of each pair the image of the set; the one that stays is elsewhere.
fn members(pairs: &[ComparedPair], border: u32, [ours, theirs]: [&Path; 2]) -> Result<Vec<Member>> {
    let firsts: HashSet<u32> = pairs.iter().map(|pair| pair.first).collect();
    let seconds: HashSet<u32> = pairs.iter().map(|pair| pair.second - border).collect();
    let images = read_hashed(ours, |image| firsts.contains(&image))?;
    let others: HashMap<u32, String> =
        read_keys(theirs, |image| seconds.contains(&image))?.into_iter().collect();
    let member = |pair: &ComparedPair| Member {
        key: images.get(&pair.first).map(|image| image.key.clone()).unwrap_or_default(),
        representative: others.get(&(pair.second - border)).cloned().unwrap_or_default(),
        distance: pair.distance,
        pixel_distance: pair.pixel_distance,
        blake3: images.get(&pair.first).and_then(|image| image.blake3),
        elsewhere: true,
    };
    Ok(pairs.iter().map(member).collect())
}
