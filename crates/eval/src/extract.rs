//! From an image store to features on disk, through whatever turns pictures into numbers.

use std::error::Error;
use std::path::Path;

use dcgan_images::ImageStore;

use crate::classes;
use crate::error::{EvalError, Result};
use crate::progress::{Observe, Progress};
use crate::writer::FeatureWriter;

/// Turns `n` pictures, uint8 NCHW, into `n` rows of features, one after another.
///
/// This crate knows of no network: the caller's closure holds one.
pub type Extractor<'a> =
    &'a mut dyn FnMut(&[u8], usize) -> std::result::Result<Vec<f32>, Box<dyn Error + Send + Sync>>;

/// What was extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// Rows written, one a picture in the store's order.
    pub n_rows: usize,
    /// Features a row.
    pub n_columns: usize,
}

/// Passes all pictures of `store` through `extract`, `batch_size` at a time, and writes their features of `n_columns`
/// numbers each, their labels and the names of their classes into the folder `out` as a [`FeatureSet`](crate::FeatureSet). `observe` counts
/// pictures.
///
/// # Errors
/// [`EvalError::Unlabelled`] where a picture has no label; [`EvalError::Extract`] with the extractor's own error and
/// [`EvalError::ExtractLength`] where it gives the wrong number of features; [`EvalError::NotFinite`];
/// [`EvalError::Interrupted`]; reading and writing.
pub fn extract_features(
    store: &ImageStore,
    batch_size: usize,
    n_columns: usize,
    extract: Extractor<'_>,
    out: &Path,
    observe: Observe<'_>,
) -> Result<Extracted> {
    let labels = labels(store)?;
    let class_names = store.meta().class_names.clone();
    if let Some(names) = &class_names {
        let n_classes = labels.iter().max().map_or(0, |largest| *largest as usize + 1);
        classes::check(names, n_classes, Path::new(&store.meta().source))?;
    }
    let mut writer = FeatureWriter::create(out, n_columns)?.named(class_names);
    let mut progress = Progress::new(observe, labels.len() as u64);
    let mut pixels = Vec::new();
    let mut first = 0;
    for labels in labels.chunks(batch_size.max(1)) {
        let (n, end) = (labels.len(), first + labels.len());
        let indices: Vec<u32> = (first as u32..end as u32).collect();
        store.gather(&indices, &mut pixels);
        let features = extract(&pixels, n).map_err(|source| EvalError::Extract { first, end, source })?;
        if features.len() != n * n_columns {
            return Err(EvalError::ExtractLength {
                first,
                end,
                expected: n * n_columns,
                found: features.len(),
            });
        }
        writer.append(&features, labels)?;
        progress.advance(n as u64)?;
        first = end;
    }
    Ok(Extracted { n_rows: writer.finish()?, n_columns })
}

/// Writes raw pixels as features, x/127.5 − 1 in NCHW order: the baseline that features have to beat.
///
/// # Errors
/// As [`extract_features`].
pub fn pixel_features(store: &ImageStore, out: &Path, observe: Observe<'_>) -> Result<Extracted> {
    let n_columns = store.channels() * store.height() * store.width();
    let mut scale =
        |pixels: &[u8], _n: usize| Ok(pixels.iter().map(|&x| f32::from(x) / 127.5 - 1.0).collect());
    extract_features(store, 1024, n_columns, &mut scale, out, observe)
}

fn labels(store: &ImageStore) -> Result<Vec<u32>> {
    let known = |(image_idx, label): (usize, Option<u32>)| label.ok_or(EvalError::Unlabelled { image_idx });
    store.labels()?.into_iter().enumerate().map(known).collect()
}
