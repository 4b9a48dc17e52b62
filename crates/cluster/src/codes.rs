//! The codes of a hashed set, numbered.

use std::path::{Path, PathBuf};

use dcgan_dedup::hash::files::{AUTOENCODER, CODES, PICTURES};
use dcgan_dedup::hash::n_codes;
use dcgan_engine::fingerprint;
use dcgan_files::columns::{Column, Kind, Writer, read};
use dcgan_files::key;
use dcgan_files::walk::Stop;
use dcgan_images::Source;
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

/// What tells whether a file, or all under a folder, is still what the job began with; nothing where nothing is.
pub(crate) fn stamp(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let stamp = fingerprint::stamp(path, &Stop::default());
    let stamp = stamp.map_err(|error| std::io::Error::other(format!("{error:#}")))?;
    Ok(Some(stamp.digest))
}

/// The same of all that a set is made of.
pub(crate) fn stamps(source: &Source) -> Result<Vec<Option<String>>> {
    source.paths().into_iter().map(stamp).collect()
}

/// What says which codes they are.
pub(crate) fn identity(hashed: &Path) -> Result<Value> {
    let path = there(&hashed.join(CODES), "codes, by `dcgan-cluster hash` or the stage hash_images")?;
    let beside = [PICTURES, AUTOENCODER].map(|name| stamp(&hashed.join(name)));
    let [pictures, autoencoder] = beside;
    Ok(json!({"codes": path, "stamp": stamp(&path)?, "pictures": pictures?, "autoencoder": autoencoder?}))
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

/// Refuses keys by which pictures could be taken for each other, as one machine does: two equal ones, an empty one, and one of several lines.
pub(crate) fn check_keys(session: &Session, codes: &Path) -> Result<()> {
    let (mut row, mut wrong) = (0u64, None);
    read(codes, &[("key", Kind::Strings)], |columns| {
        for column in columns {
            let Column::Strings(keys) = column else { continue };
            for key in keys {
                if wrong.is_none() && (key.is_empty() || !key::is_one_line(&key)) {
                    wrong = Some(format!("{key:?} in row {row}"));
                }
                row += 1;
            }
        }
    })?;
    if let Some(wrong) = wrong {
        return Err(ClusterError::file(codes, "keys of one line", wrong));
    }
    session.table("keys_of_codes", &[codes.to_path_buf()])?;
    let query = "SELECT key FROM keys_of_codes GROUP BY key HAVING count(*) > 1 LIMIT 1";
    let mut doubled = None;
    session.each_text("keys", query, &mut |key| {
        doubled = Some(format!("{key:?}"));
        Ok(())
    })?;
    match doubled {
        None => Ok(()),
        Some(key) => Err(ClusterError::file(codes, "a key of its own for each image", key)),
    }
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
    if n as u64 != n_codes {
        return Err(ClusterError::file(codes, format!("{n_codes} codes"), n.to_string()));
    }
    Ok(writers.into_iter().try_for_each(Writer::finish)?)
}
