//! The stores of parts of a set as one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{BAD, ImageStore, META, StoreDescription, StoreMeta, StoreWriter};
use crate::{BadWriter, ImagesError, Picture, Result, read_bad};

/// Puts the stores of the parts of a set, in their order, together in `out`: the bytes that [`import`](crate::import()) writes of the whole
/// set. `observe` receives how many images are done.
///
/// # Errors
/// Where a part cannot be read; [`ImagesError::Layout`] where one is of another size, resize, filter, source or of other classes than the
/// first; [`ImagesError::AllBad`] where none has an image; [`ImagesError::Interrupted`] where `observe` breaks.
pub fn merge_stores(
    parts: &[PathBuf],
    out: &Path,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<u64> {
    let mut writer = StoreWriter::create(out)?;
    let (mut description, mut passed_over, mut n_done) = (None, Vec::new(), 0);
    let (mut n_bad, mut first_bad) = (0, None);
    for part in parts {
        let meta = StoreMeta::read_of_part(&part.join(META))?;
        let own = StoreDescription {
            source: meta.source.clone(),
            resize: meta.resize.clone(),
            filter: meta.filter,
            class_names: meta.class_names.clone(),
        };
        let first = description.get_or_insert_with(|| own.clone());
        if *first != own {
            let expected = format!("what the first part has, {first:?}");
            return Err(ImagesError::layout(&part.join(META), expected, format!("{own:?}")));
        }
        if meta.n_images > 0 {
            append_all(part, &mut writer, &mut n_done, observe)?;
        }
        let mut bad = read_bad(&part.join(BAD))?;
        passed_over.extend(bad.split_off(bad.len().min(meta.n_bad as usize)));
        bad.iter().try_for_each(|(key, reason)| writer.append_bad(key, reason))?;
        n_bad += bad.len() as u64;
        first_bad = first_bad.or_else(|| bad.first().cloned().map(|bad| (part.clone(), bad)));
    }
    if let (0, Some((path, (key, reason)))) = (n_done, first_bad) {
        return Err(ImagesError::AllBad { path, n_bad, key, reason });
    }
    writer.finish(description.unwrap_or_default())?;
    let mut writer = BadWriter::append_to(&out.join(BAD))?;
    passed_over.iter().try_for_each(|(key, reason)| writer.append(key, reason))?;
    writer.finish()?;
    Ok(n_done)
}

/// Appends the images of a part.
fn append_all(
    part: &Path,
    writer: &mut StoreWriter,
    n_done: &mut u64,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let store = ImageStore::open(part)?;
    let (keys, labels, sources) = (store.keys()?, store.labels()?, store.sources()?);
    let [channels, height, width] = [store.channels(), store.height(), store.width()];
    for (row, key) in keys.iter().enumerate() {
        if row.is_multiple_of(1024) && observe(*n_done).is_break() {
            return Err(ImagesError::Interrupted);
        }
        let picture = Picture { channels, height, width, pixels: store.image(row).to_vec() };
        let appended = writer.append(key, labels[row], &sources[row], &picture);
        appended.map_err(|error| match error {
            // Not a bad picture: another part.
            ImagesError::BadPicture { reason } => {
                ImagesError::layout(part, "pictures of the first part's shape", reason)
            }
            error => error,
        })?;
        *n_done += 1;
    }
    Ok(())
}
