//! Groups as they are written: one after the other, so that only the one at hand is in memory.

use std::path::Path;

use super::config::{GroupConfig, Keep};
use super::counts::RuleCounts;
use super::groups_file::{GroupsWriter, Member};
use super::map_file::{MapWriter, Row};
use super::second_look::pixel_distance;
use crate::hash::{self, HashedImage, Pictures};
use crate::preprocess::PICTURE_BYTES;
use crate::{DedupError, Result};

/// Writes `groups.parquet`, `map.csv` and `map.parquet` of groups of images of a hashed set, found by whatever means.
pub struct GroupWriter<'a> {
    hashed: &'a Path,
    config: &'a GroupConfig,
    /// Without them the pictures' distances are not numbers.
    pictures: Option<Pictures>,
    groups: GroupsWriter,
    map: MapWriter,
    counts: RuleCounts,
}

/// A group that was written.
pub(super) struct Written {
    /// The one that stays first, the others by their keys.
    pub(super) images: Vec<u32>,
    /// How far they are from the one that stays, at most.
    pub(super) largest_distance: f32,
}

impl<'a> GroupWriter<'a> {
    /// Begins the files in `dir`, of a set that was hashed into `hashed`.
    ///
    /// # Errors
    /// Where `pictures.npy` is there and cannot be read, or a file cannot be written.
    pub fn create(hashed: &'a Path, config: &'a GroupConfig, dir: &Path) -> Result<Self> {
        let pictures = hashed.join(hash::files::PICTURES);
        let pictures = match pictures.exists() {
            true => Some(Pictures::open(&pictures, hash::n_codes(&hashed.join(hash::files::CODES))?)?),
            false => None,
        };
        let (groups, map) = (GroupsWriter::create(dir)?, MapWriter::create(dir)?);
        Ok(Self { hashed, config, pictures, groups, map, counts: RuleCounts::default() })
    }

    /// Writes a group of two or more images.
    ///
    /// # Errors
    /// Where a file cannot be read or written, or the setting `keep` decides by what the codes do not tell.
    pub fn write(&mut self, group: Vec<HashedImage>) -> Result<()> {
        self.write_ordered(group).map(|_| ())
    }

    pub(super) fn write_ordered(&mut self, group: Vec<HashedImage>) -> Result<Written> {
        if self.config.keep == Keep::Bytes && group.iter().any(|image| image.n_bytes.is_none()) {
            let expected = "codes with the files' sizes (n_bytes), for keep = bytes";
            let codes = self.hashed.join(hash::files::CODES);
            return Err(DedupError::file(&codes, expected, "codes of an earlier version"));
        }
        let group = in_order(group, self.config.keep);
        let members = members(&group, self.pictures.as_ref())?;
        let number = self.counts.n_groups;
        for (member, image) in members.iter().zip(&group) {
            self.map.write(Row::new(number, member, image.size, self.config))?;
        }
        let written = Written {
            images: group.iter().map(|image| image.image).collect(),
            largest_distance: largest(members.iter().map(|member| member.pixel_distance)),
        };
        self.counts.add(group.len());
        self.groups.write(members)?;
        Ok(written)
    }

    /// Completes the files.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn finish(self) -> Result<RuleCounts> {
        self.groups.finish()?;
        self.map.finish()?;
        Ok(self.counts)
    }
}

pub(super) fn largest(distances: impl Iterator<Item = f32>) -> f32 {
    distances.fold(0.0, f32::max)
}

/// The one that stays first, the others by their keys.
fn in_order(mut group: Vec<HashedImage>, keep: Keep) -> Vec<HashedImage> {
    fn n_pixels(image: &HashedImage) -> u64 {
        image.size.iter().map(|&side| u64::from(side)).product()
    }
    fn rank(image: &HashedImage, keep: Keep) -> (u64, &str) {
        match keep {
            Keep::Largest => (u64::MAX - n_pixels(image), &image.key),
            Keep::Bytes => (u64::MAX - image.n_bytes.unwrap_or(0), &image.key),
            Keep::LowestKey => (0, &image.key),
            Keep::First => (u64::from(image.image), ""),
        }
    }
    group.sort_by(|a, b| a.key.cmp(&b.key));
    if let Some(stays) = (0..group.len()).min_by_key(|&place| rank(&group[place], keep)) {
        group[..=stays].rotate_right(1);
    }
    group
}

/// The members of a group, the first of which stays.
fn members(group: &[HashedImage], pictures: Option<&Pictures>) -> Result<Vec<Member>> {
    let images: Vec<u32> = group.iter().map(|image| image.image).collect();
    let pixels = pictures.map(|pictures| pictures.read(&images)).transpose()?;
    let distance = |place: usize| {
        let picture = |place: usize| pixels.as_ref()?.chunks_exact(PICTURE_BYTES).nth(place);
        picture(0).zip(picture(place)).map_or(f32::NAN, |(kept, picture)| pixel_distance(kept, picture))
    };
    let member = |(place, image): (usize, &HashedImage)| Member {
        key: image.key.clone(),
        representative: group[0].key.clone(),
        distance: image.code.distance(group[0].code),
        pixel_distance: distance(place),
        blake3: image.blake3,
        elsewhere: false,
    };
    Ok(group.iter().enumerate().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn the_first_in_the_set_is_not_the_one_with_the_lowest_key() {
        let image = |image: u32, key: &str, side: u32| HashedImage {
            image,
            key: key.to_owned(),
            code: Code([u64::from(image), 0]),
            size: [side; 2],
            blake3: None,
            n_bytes: Some(u64::from(100 - side)),
        };
        let group = vec![image(0, "z", 8), image(1, "y", 9), image(2, "x", 9)];
        for (keep, order) in [
            (Keep::First, [0, 2, 1]),
            (Keep::LowestKey, [2, 1, 0]),
            (Keep::Largest, [2, 1, 0]),
            (Keep::Bytes, [0, 2, 1]),
        ] {
            let found = in_order(group.clone(), keep);
            let images: Vec<u32> = found.iter().map(|image| image.image).collect();
            assert_eq!(images, order, "{keep:?}");
            let members = members(&found, None).unwrap();
            assert!(members.iter().all(|member| member.representative == found[0].key));
            assert!(members.iter().zip(&found).all(|(member, image)| member.key == image.key));
            assert_eq!(members[1].distance, found[1].code.distance(found[0].code));
            assert!(members[1].pixel_distance.is_nan());
        }
    }
}
