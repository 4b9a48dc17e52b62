//! `groups.parquet`: a row an image that is in a group.

use std::collections::HashSet;
use std::path::Path;

use crate::{DedupError, Result};
use dcgan_images::columns::{self, Column, ROW_GROUP, Writer};

/// Its name.
pub const GROUPS: &str = "groups.parquet";

const SCHEMA: &str = "message groups {
    REQUIRED INT32 group (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED BYTE_ARRAY representative (STRING);
    REQUIRED INT32 distance (INTEGER(32, false));
    REQUIRED FLOAT pixel_distance;
}";

/// An image of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// The key of the image that stays; its own for that one.
    pub representative: String,
    /// Bits in which its code and that image's differ.
    pub distance: u32,
    /// [`pixel_distance`](super::pixel_distance) of the two.
    pub pixel_distance: f32,
}

/// Writes the groups, numbered from 0.
pub(super) fn write(path: &Path, groups: &[Vec<Member>]) -> Result<()> {
    let mut writer = Writer::create(path, SCHEMA)?;
    let rows: Vec<(u32, &Member)> =
        groups.iter().zip(0..).flat_map(|(members, group)| members.iter().map(move |m| (group, m))).collect();
    for rows in rows.chunks(ROW_GROUP) {
        writer.write(&[
            Column::U32(rows.iter().map(|(group, _)| *group).collect()),
            Column::Strings(rows.iter().map(|(_, member)| member.key.clone()).collect()),
            Column::Strings(rows.iter().map(|(_, member)| member.representative.clone()).collect()),
            Column::U32(rows.iter().map(|(_, member)| member.distance).collect()),
            Column::F32(rows.iter().map(|(_, member)| member.pixel_distance).collect()),
        ])?;
    }
    Ok(writer.finish()?)
}

/// Reads the groups, in the order of their numbers.
///
/// # Errors
/// Where the file cannot be read or a column is missing.
pub fn read_groups(path: &Path) -> Result<Vec<Vec<Member>>> {
    let mut groups: Vec<Vec<Member>> = Vec::new();
    let mut is_ordered = true;
    let names = ["group", "key", "representative", "distance", "pixel_distance"];
    columns::read(path, &names, |columns| {
        let Ok::<[Column; 5], _>(
            [
                Column::U32(numbers),
                Column::Strings(keys),
                Column::Strings(representatives),
                Column::U32(distances),
                Column::F32(pixel_distances),
            ],
        ) = columns.try_into()
        else {
            is_ordered = false;
            return;
        };
        let rows = numbers.into_iter().zip(keys).zip(representatives).zip(distances).zip(pixel_distances);
        for ((((number, key), representative), distance), pixel_distance) in rows {
            let number = number as usize;
            is_ordered &= number == groups.len() || number + 1 == groups.len();
            if number >= groups.len() {
                groups.push(Vec::new());
            }
            if let Some(group) = groups.last_mut() {
                group.push(Member { key, representative, distance, pixel_distance });
            }
        }
    })?;
    match is_ordered {
        true => Ok(groups),
        false => Err(DedupError::file(path, "groups numbered in order, with their columns' types", "others")),
    }
}

/// The keys of all images that do not stay.
pub fn removed_keys(groups: &[Vec<Member>]) -> HashSet<String> {
    let members = groups.iter().flatten().filter(|member| member.key != member.representative);
    members.map(|member| member.key.clone()).collect()
}
