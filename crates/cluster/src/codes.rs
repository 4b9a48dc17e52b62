//! The codes of a hashed set, numbered.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use dcgan_dedup::hash::files::CODES;
use dcgan_dedup::hash::n_codes;
use dcgan_files::columns::{Column, Kind, Writer, read};
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

/// Files that codes are written in, which many tasks can read, unless they are of few rows then.
const N_FILES: u64 = 64;
const LEAST_ROWS: u64 = 16;

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
    let n = n_codes(&codes)?;
    work.make_parts("codes", (n / LEAST_ROWS).clamp(1, N_FILES) as usize, &mut |paths| {
        check_keys(session, &codes)?;
        write(&codes, n, paths)
    })?;
    Ok(n)
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

/// Writes the codes into files of as many rows each.
fn write(codes: &Path, n_codes: u64, paths: &[PathBuf]) -> Result<()> {
    let wanted = [("word0", Kind::U64), ("word1", Kind::U64), ("width", Kind::U32), ("height", Kind::U32)];
    let n_rows = (n_codes as usize).div_ceil(paths.len()).max(1);
    let mut writers: Vec<Writer> =
        paths.iter().map(|path| Writer::create(path, SCHEMA)).collect::<dcgan_files::Result<_>>()?;
    let (mut n, mut written) = (0, Ok(()));
    read(codes, &wanted, |columns| {
        let [Column::U64(low), Column::U64(high), Column::U32(widths), Column::U32(heights)] = &columns[..]
        else {
            return;
        };
        let mut start = 0;
        while start < low.len() {
            let file = n / n_rows;
            let end = low.len().min(start + (file + 1) * n_rows - n);
            let images = Column::U32((n as u32..(n + end - start) as u32).collect());
            let words = [low, high].map(|word| Column::U64(word[start..end].to_vec()));
            let sides = [widths, heights].map(|side| Column::U32(side[start..end].to_vec()));
            let all: Vec<Column> = std::iter::once(images).chain(words).chain(sides).collect();
            if let (Ok(()), Some(writer)) = (&written, writers.get_mut(file)) {
                written = writer.write(&all);
            }
            (n, start) = (n + end - start, end);
        }
    })?;
    written?;
    Ok(writers.into_iter().try_for_each(Writer::finish)?)
}
