//! The codes of a hashed set, numbered.

use std::path::Path;
use std::time::UNIX_EPOCH;

use dcgan_dedup::hash::files::CODES;
use dcgan_dedup::hash::n_codes;
use dcgan_files::columns::{Column, Kind, ROW_GROUP, Writer, read};
use serde_json::{Value, json};

use crate::error::there;
use crate::session::Session;
use crate::work::Work;
use crate::{ClusterError, Result};

const SCHEMA: &str = "message numbered {
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED INT64 word0 (INTEGER(64, false));
    REQUIRED INT64 word1 (INTEGER(64, false));
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
}";

/// Row groups that codes are written in at least, unless they are of few rows then.
const N_GROUPS: usize = 64;
const LEAST_ROWS: usize = 16;

/// What says which codes they are.
pub(crate) fn identity(hashed: &Path) -> Result<Value> {
    let path = there(&hashed.join(CODES), "codes, by `dcgan-cluster hash` or the stage hash_images")?;
    let about = fs_err::metadata(&path)?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(json!({"codes": path, "n_bytes": about.len(), "changed_ns": changed.as_nanos() as u64}))
}

/// The table `codes`: image, word0, word1, width, height. Returns how many there are.
pub(crate) fn number(work: &mut Work<'_>, hashed: &Path) -> Result<u64> {
    let codes = hashed.join(CODES);
    let session = work.session();
    work.make("codes", &mut |path| {
        check_keys(session, &codes)?;
        write(&codes, path)
    })?;
    work.count("SELECT count(*) FROM codes")
}

/// Refuses keys by which pictures could be taken for each other: two equal ones, an empty one, and one of several lines.
fn check_keys(session: &Session, codes: &Path) -> Result<()> {
    session.table("keys_of_codes", &[codes.to_path_buf()])?;
    let looks = [
        (
            "a key of its own for each image",
            "SELECT key FROM keys_of_codes GROUP BY key HAVING count(*) > 1 LIMIT 1",
        ),
        (
            "keys of one line",
            "SELECT key FROM keys_of_codes WHERE key = '' OR strpos(key, chr(10)) > 0 OR strpos(key, chr(13)) > 0 LIMIT 1",
        ),
    ];
    for (expected, query) in looks {
        let mut found = None;
        session.each_text("keys", query, &mut |key| {
            found = Some(format!("{key:?}"));
            Ok(())
        })?;
        if let Some(found) = found {
            return Err(ClusterError::file(codes, expected, found));
        }
    }
    Ok(())
}

/// Row groups are what is divided among executors: of small sets they are small.
fn write(codes: &Path, path: &Path) -> Result<()> {
    let wanted = [("word0", Kind::U64), ("word1", Kind::U64), ("width", Kind::U32), ("height", Kind::U32)];
    let n_rows = (n_codes(codes)? as usize / N_GROUPS).clamp(LEAST_ROWS, ROW_GROUP);
    let mut writer = Writer::create(path, SCHEMA)?;
    let (mut first, mut written) = (0, Ok(()));
    read(codes, &wanted, |columns| {
        let [Column::U64(low), Column::U64(high), Column::U32(widths), Column::U32(heights)] = &columns[..]
        else {
            return;
        };
        for start in (0..low.len()).step_by(n_rows) {
            let rows = start..low.len().min(start + n_rows);
            let images = Column::U32((first..first + rows.len() as u32).collect());
            first += rows.len() as u32;
            let words = [low, high].map(|word| Column::U64(word[rows.clone()].to_vec()));
            let sides = [widths, heights].map(|side| Column::U32(side[rows.clone()].to_vec()));
            let all: Vec<Column> = std::iter::once(images).chain(words).chain(sides).collect();
            if written.is_ok() {
                written = writer.write(&all);
            }
        }
    })?;
    written?;
    Ok(writer.finish()?)
}
