//! `groups.parquet`: a row an image that is in a group.

use std::collections::HashSet;
use std::path::Path;

use crate::{DedupError, Result};
use dcgan_files::columns::{Column, Kind, ROW_GROUP, Reader, Writer};

/// Its name.
pub const GROUPS: &str = "groups.parquet";

const SCHEMA: &str = "message groups {
    REQUIRED INT32 group (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED BYTE_ARRAY representative (STRING);
    REQUIRED INT32 distance (INTEGER(32, false));
    REQUIRED FLOAT pixel_distance;
    OPTIONAL INT64 blake3 (INTEGER(64, false));
    REQUIRED INT32 elsewhere (INTEGER(32, false));
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
    /// What `codes.parquet` says of its content, by which it is seen whether it has changed since; files of earlier versions say
    /// nothing.
    pub blake3: Option<u64>,
    /// Whether the image that stays is one of another set, against which this one was held.
    pub elsewhere: bool,
}

/// Writes groups one after the other, numbered from 0.
pub(super) struct GroupsWriter {
    file: Writer,
    n_groups: u32,
    /// Those that are not in the file yet.
    rows: Vec<(u32, Member)>,
}

impl GroupsWriter {
    pub(super) fn create(dir: &Path) -> Result<Self> {
        Ok(Self { file: Writer::create(&dir.join(GROUPS), SCHEMA)?, n_groups: 0, rows: Vec::new() })
    }

    pub(super) fn write(&mut self, group: Vec<Member>) -> Result<()> {
        for member in group {
            self.rows.push((self.n_groups, member));
            if self.rows.len() == ROW_GROUP {
                self.write_rows()?;
            }
        }
        self.n_groups += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if !self.rows.is_empty() {
            self.write_rows()?;
        }
        Ok(self.file.finish()?)
    }

    fn write_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        Ok(self.file.write(&[
            Column::U32(rows.iter().map(|(group, _)| *group).collect()),
            Column::Strings(rows.iter().map(|(_, member)| member.key.clone()).collect()),
            Column::Strings(rows.iter().map(|(_, member)| member.representative.clone()).collect()),
            Column::U32(rows.iter().map(|(_, member)| member.distance).collect()),
            Column::F32(rows.iter().map(|(_, member)| member.pixel_distance).collect()),
            Column::MaybeU64(rows.iter().map(|(_, member)| member.blake3).collect()),
            Column::U32(rows.iter().map(|(_, member)| u32::from(member.elsewhere)).collect()),
        ])?)
    }
}

/// Reads the groups, in the order of their numbers.
///
/// # Errors
/// Where the file cannot be read, a column is missing or of another type, or the groups are not in order.
pub fn read_groups(path: &Path) -> Result<Vec<Vec<Member>>> {
    let mut groups: Vec<Vec<Member>> = Vec::new();
    let (mut row, mut wrong) = (0_u64, None);
    let reader = Reader::open(path)?;
    let mut wanted = vec![
        ("group", Kind::U32),
        ("key", Kind::Strings),
        ("representative", Kind::Strings),
        ("distance", Kind::U32),
        ("pixel_distance", Kind::F32),
    ];
    // Files of earlier versions have no such columns.
    let newer = [("blake3", Kind::MaybeU64), ("elsewhere", Kind::U32)];
    wanted.extend(newer.into_iter().filter(|(name, _)| reader.has(name)));
    reader.read(&wanted, |mut columns| {
        let newer = columns.split_off(5);
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
            return;
        };
        let (mut contents, mut elsewhere) = (vec![None; numbers.len()], vec![0; numbers.len()]);
        for column in newer {
            match column {
                Column::MaybeU64(values) => contents = values,
                Column::U32(values) => elsewhere = values,
                _ => {}
            }
        }
        let rows = numbers.into_iter().zip(keys).zip(representatives).zip(distances).zip(pixel_distances);
        for ((((((number, key), representative), distance), pixel_distance), blake3), elsewhere) in
            rows.zip(contents).zip(elsewhere)
        {
            let elsewhere = elsewhere != 0;
            if number as usize == groups.len() {
                groups.push(Vec::new());
            } else if number as usize + 1 != groups.len() {
                wrong = wrong.or(Some((number, row)));
            }
            if let Some(group) = groups.last_mut() {
                group.push(Member { key, representative, distance, pixel_distance, blake3, elsewhere });
            }
            row += 1;
        }
    })?;
    match wrong {
        None => Ok(groups),
        Some((number, row)) => {
            let expected = "groups numbered from 0, row after row";
            Err(DedupError::file(path, expected, format!("group {number} in row {row}")))
        }
    }
}

/// The keys of all images that do not stay.
pub fn removed_keys(groups: &[Vec<Member>]) -> HashSet<String> {
    let is_removed = |member: &&Member| member.elsewhere || member.key != member.representative;
    let members = groups.iter().flatten().filter(is_removed);
    members.map(|member| member.key.clone()).collect()
}
