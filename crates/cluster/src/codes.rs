//! The codes of a hashed set, numbered.

use std::path::Path;
use std::time::UNIX_EPOCH;

use dcgan_dedup::hash::files::CODES;
use dcgan_files::columns::{Column, Kind, Writer, read};
use serde_json::{Value, json};

use crate::Result;
use crate::work::Work;

const SCHEMA: &str = "message numbered {
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED INT64 word0 (INTEGER(64, false));
    REQUIRED INT64 word1 (INTEGER(64, false));
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
}";

/// What says which codes they are.
pub(crate) fn identity(hashed: &Path) -> Result<Value> {
    let path = fs_err::canonicalize(hashed.join(CODES))?;
    let about = fs_err::metadata(&path)?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(json!({"codes": path, "n_bytes": about.len(), "changed_ns": changed.as_nanos() as u64}))
}

/// The table `codes`: image, word0, word1, width, height. Returns how many there are.
pub(crate) fn number(work: &mut Work<'_>, hashed: &Path) -> Result<u64> {
    let codes = hashed.join(CODES);
    work.make("codes", &mut |path| write(&codes, path))?;
    work.count("SELECT count(*) FROM codes")
}

fn write(codes: &Path, path: &Path) -> Result<()> {
    let wanted = [("word0", Kind::U64), ("word1", Kind::U64), ("width", Kind::U32), ("height", Kind::U32)];
    let mut writer = Writer::create(path, SCHEMA)?;
    let (mut n, mut written) = (0, Ok(()));
    read(codes, &wanted, |columns| {
        let n_rows = match columns.first() {
            Some(Column::U64(words)) => words.len() as u32,
            _ => 0,
        };
        let images = Column::U32((n..n + n_rows).collect());
        n += n_rows;
        if written.is_ok() {
            let all: Vec<Column> = std::iter::once(images).chain(columns).collect();
            written = writer.write(&all);
        }
    })?;
    written?;
    Ok(writer.finish()?)
}
