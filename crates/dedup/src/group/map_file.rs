//! `map.csv` and `map.parquet`: the groups for people and other programs, with who stays and why.
//!
//! | column | says |
//! | --- | --- |
//! | `group` | its number, from 0 |
//! | `key` | the picture |
//! | `stays` | yes or no |
//! | `representative` | the key of the picture of the group that stays |
//! | `why` | it stays, or goes |
//! | `width`, `height` | in pixels |
//! | `distance` | bits in which the codes of the two whole pictures differ |
//! | `pixel_distance` | that of the second look at the two whole pictures |
//!
//! A `distance` beyond `grouping.radius`, or a `pixel_distance` beyond `grouping.pixel_distance`, is no mistake: such a picture was found by
//! the code of a part of it, squeezed, grey, blurred, turned or mirrored, or it is like another picture of the group that is like the one
//! that stays. Both numbers are of the whole pictures nevertheless, by whatever rule they were found.

use std::path::{Path, PathBuf};

use dcgan_files::columns::{Column, ROW_GROUP, Writer};
use dcgan_files::csv::field;

use super::config::{GroupConfig, Keep, Rule};
use super::groups_file::Member;
use crate::{DedupError, Result};

/// Its name as a table in text.
pub const MAP_CSV: &str = "map.csv";
/// Its name as Parquet.
pub const MAP_PARQUET: &str = "map.parquet";

const SCHEMA: &str = "message map {
    REQUIRED INT32 group (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED BYTE_ARRAY stays (STRING);
    REQUIRED BYTE_ARRAY representative (STRING);
    REQUIRED BYTE_ARRAY why (STRING);
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
    REQUIRED INT32 distance (INTEGER(32, false));
    REQUIRED FLOAT pixel_distance;
}";

/// A picture of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    group: u32,
    key: String,
    stays: &'static str,
    representative: String,
    why: &'static str,
    size: [u32; 2],
    distance: u32,
    pixel_distance: f32,
}

impl Row {
    pub(super) fn new(group: u64, member: &Member, size: [u32; 2], config: &GroupConfig) -> Self {
        let stays = member.key == member.representative;
        Self {
            group: group as u32,
            key: member.key.clone(),
            stays: if stays { "yes" } else { "no" },
            representative: member.representative.clone(),
            why: if stays { why_it_stays(config.keep) } else { why_it_goes(member, config) },
            size,
            distance: member.distance,
            pixel_distance: member.pixel_distance,
        }
    }
}

fn why_it_stays(keep: Keep) -> &'static str {
    match keep {
        Keep::Largest => "most pixels, then lowest key",
        Keep::Bytes => "largest file, then lowest key",
        Keep::LowestKey => "lowest key",
        Keep::First => "first in the set",
    }
}

fn why_it_goes(member: &Member, config: &GroupConfig) -> &'static str {
    match config.rule {
        Rule::Exact => "equal codes",
        Rule::Phash => "near perceptual hashes, if need be by way of others of the group",
        Rule::Near if f64::from(member.pixel_distance) <= config.pixel_distance => "alike",
        Rule::Near => "a part, a mirror image, or alike by way of others of the group",
    }
}

/// Writes both files, a picture after the other.
pub(super) struct MapWriter {
    path: PathBuf,
    table: csv::Writer<fs_err::File>,
    file: Writer,
    /// Those that are not in the Parquet file yet.
    rows: Vec<Row>,
}

impl MapWriter {
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let path = dir.join(MAP_CSV);
        let table = csv::Writer::from_writer(fs_err::File::create(&path)?);
        let file = Writer::create(&dir.join(MAP_PARQUET), SCHEMA)?;
        let mut map = Self { path, table, file, rows: Vec::new() };
        let names = ["group", "key", "stays", "representative", "why", "width", "height", "distance"];
        map.record(names.into_iter().chain(["pixel_distance"]).map(str::to_owned))?;
        Ok(map)
    }

    pub(super) fn write(&mut self, row: Row) -> Result<()> {
        let [width, height] = row.size.map(|side| side.to_string());
        let numbers = [row.distance.to_string(), row.pixel_distance.to_string()];
        let texts = [&field(&row.key), row.stays, &field(&row.representative), row.why].map(str::to_owned);
        let number = std::iter::once(row.group.to_string());
        self.record(number.chain(texts).chain([width, height]).chain(numbers))?;
        self.rows.push(row);
        if self.rows.len() == ROW_GROUP {
            self.write_rows()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.table.flush()?;
        if !self.rows.is_empty() {
            self.write_rows()?;
        }
        Ok(self.file.finish()?)
    }

    fn record(&mut self, record: impl Iterator<Item = String>) -> Result<()> {
        let wrong = |error: csv::Error| DedupError::file(&self.path, "a table to write", error.to_string());
        self.table.write_record(record).map_err(wrong)
    }

    fn write_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let texts =
            |of: &dyn Fn(&Row) -> &str| Column::Strings(rows.iter().map(|row| of(row).to_owned()).collect());
        let numbers = |of: &dyn Fn(&Row) -> u32| Column::U32(rows.iter().map(of).collect());
        Ok(self.file.write(&[
            numbers(&|row| row.group),
            texts(&|row| &row.key),
            texts(&|row| row.stays),
            texts(&|row| &row.representative),
            texts(&|row| row.why),
            numbers(&|row| row.size[0]),
            numbers(&|row| row.size[1]),
            numbers(&|row| row.distance),
            Column::F32(rows.iter().map(|row| row.pixel_distance).collect()),
        ])?)
    }
}

#[cfg(test)]
mod tests {
    use dcgan_files::columns::{self, Kind};

    use super::*;

    #[test]
    fn who_stays_and_why_is_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        let member = |key: &str, pixel_distance| Member {
            key: key.to_owned(),
            representative: "a,b".to_owned(),
            distance: 3,
            pixel_distance,
            blake3: None,
            elsewhere: false,
        };
        let config = GroupConfig { rule: Rule::Near, ..GroupConfig::default() };
        let row = |key, off| Row::new(7, &member(key, off), [64, 48], &config);
        let mut map = MapWriter::create(dir.path()).unwrap();
        for (key, off) in [("a,b", 0.0), ("=c", 0.125), ("d", 0.5)] {
            map.write(row(key, off)).unwrap();
        }
        map.finish().unwrap();
        let text = std::fs::read_to_string(dir.path().join(MAP_CSV)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "7,\"a,b\",yes,\"a,b\",\"most pixels, then lowest key\",64,48,3,0");
        assert_eq!(lines[2], "7,'=c,no,\"a,b\",alike,64,48,3,0.125");
        assert!(lines[3].contains("by way of others") && lines.len() == 4);
        let wanted = [("key", Kind::Strings), ("stays", Kind::Strings), ("width", Kind::U32)];
        columns::read(&dir.path().join(MAP_PARQUET), &wanted, |columns| {
            assert_eq!(columns[0], Column::Strings(["a,b", "=c", "d"].map(str::to_owned).to_vec()));
            assert_eq!(columns[1], Column::Strings(["yes", "no", "no"].map(str::to_owned).to_vec()));
            assert_eq!(columns[2], Column::U32(vec![64; 3]));
        })
        .unwrap();
    }
}
