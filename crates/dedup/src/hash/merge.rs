//! The codes of parts of a set as those of the whole.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_files::columns::{Column, Kind, Reader};
use dcgan_images::{BadWriter, read_bad};

use super::journal::{Journal, Row};
use super::{CHUNK, HashSummary, Pictures, files};
use crate::{Code, DedupError, Result};

const WANTED: [(&str, Kind); 7] = [
    ("key", Kind::Strings),
    ("word0", Kind::U64),
    ("word1", Kind::U64),
    ("width", Kind::U32),
    ("height", Kind::U32),
    ("blake3", Kind::U64),
    ("n_bytes", Kind::U64),
];

/// A part: its folder, and how many of its bad pictures were tried (others were passed over by their names).
#[derive(Clone, Debug)]
pub struct HashedPart {
    /// What [`hash`](super::hash()) filled.
    pub dir: PathBuf,
    /// [`HashSummary::n_bad`].
    pub n_bad: u64,
}

/// Puts the parts of a set, in their order, together in `dir`, which must exist and be empty: the bytes that [`hash`](super::hash()) writes
/// of the whole set. That they are the parts of one set, hashed alike, is for the caller to see. `observe` receives how many images are
/// done.
///
/// # Errors
/// Where a part cannot be read; [`DedupError::File`] where none has a code; [`DedupError::Interrupted`] where `observe` breaks.
pub fn merge(
    parts: &[HashedPart],
    dir: &Path,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<HashSummary> {
    let mut journal = Journal::resume(dir, CHUNK)?;
    let mut passed_over = Vec::new();
    for part in parts {
        let path = part.dir.join(files::CODES);
        let reader = Reader::open(&path)?;
        let pictures = Pictures::open(&part.dir.join(files::PICTURES), reader.n_rows()?)?;
        let (mut first, mut failed) = (0, Ok(()));
        reader.read_in_parts(&WANTED, CHUNK, |columns| {
            failed = append(&mut journal, &pictures, &columns, &mut first);
            match failed {
                Ok(()) if observe(journal.n_rows()).is_break() => {
                    failed = Err(DedupError::Interrupted);
                    ControlFlow::Break(())
                }
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        failed?;
        let mut bad = read_bad(&part.dir.join(files::BAD))?;
        let by_name = bad.split_off(bad.len().min(part.n_bad as usize));
        let rows: Vec<Row> = bad.into_iter().map(|(key, reason)| Row::bad(key, reason)).collect();
        journal.append(&rows, &[])?;
        passed_over.extend(by_name);
    }
    if let Some(part) = parts.first() {
        fs_err::copy(part.dir.join(files::AUTOENCODER), dir.join(files::AUTOENCODER))?;
    }
    let summary = journal.finish()?;
    if summary.n_images == 0 {
        let found = format!("{} that cannot, the first in {}", summary.n_bad, files::BAD);
        return Err(DedupError::file(dir, "at least one image in the parts that can be hashed", found));
    }
    let mut writer = BadWriter::append_to(&dir.join(files::BAD))?;
    passed_over.iter().try_for_each(|(key, reason)| writer.append(key, reason))?;
    writer.finish()?;
    Ok(summary)
}

fn append(journal: &mut Journal, pictures: &Pictures, columns: &[Column], first: &mut u32) -> Result<()> {
    let [
        Column::Strings(keys),
        Column::U64(low),
        Column::U64(high),
        Column::U32(widths),
        Column::U32(heights),
        Column::U64(contents),
        Column::U64(n_bytes),
    ] = columns
    else {
        return Ok(());
    };
    let row = |i: usize| {
        let mut row =
            Row::good(keys[i].clone(), (contents[i], n_bytes[i]), [widths[i] as usize, heights[i] as usize]);
        row.set_code(Code([low[i], high[i]]));
        row
    };
    let rows: Vec<Row> = (0..keys.len()).map(row).collect();
    let images: Vec<u32> = (*first..*first + rows.len() as u32).collect();
    *first += rows.len() as u32;
    journal.append(&rows, &pictures.read(&images)?)
}
