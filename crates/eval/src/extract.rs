//! From an image store to features on disk, through whatever turns pictures into numbers.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use dcgan_images::ImageStore;

use crate::classes;
use crate::error::{EvalError, Result};
use crate::features::FeatureSet;
use crate::progress::{Observe, Progress};
use crate::standard::{Moments, Standard};
use crate::writer::FeatureWriter;

/// Turns `n` pictures, uint8 NCHW, into `n` rows of features, one after another.
///
/// This crate knows of no network: the caller's closure holds one.
pub type Extractor<'a> =
    &'a mut dyn FnMut(&[u8], usize) -> std::result::Result<Vec<f32>, Box<dyn Error + Send + Sync>>;

/// Which pictures of a store, and how many at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// The pictures.
    pub rows: Range<usize>,
    /// How many at a time.
    pub size: usize,
}

/// What was extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// Rows written, one a picture in the store's order.
    pub n_rows: usize,
    /// Features a row.
    pub n_columns: usize,
}

/// Passes `batches` of the pictures of `store` through `extract`, and writes their features of `n_columns`
/// numbers each, their labels and the names of their classes into the folder `out` as a [`FeatureSet`]. Where no picture has a label,
/// none are written. `observe` counts pictures.
///
/// # Errors
/// [`EvalError::Setting`] for rows that are not there; [`EvalError::Unlabelled`] where some pictures have a label and others have none; [`EvalError::Extract`] with the extractor's own error and
/// [`EvalError::ExtractLength`] where it gives the wrong number of features; [`EvalError::NotFinite`];
/// [`EvalError::Interrupted`]; reading and writing.
pub fn extract_features(
    store: &ImageStore,
    batches: Batches,
    n_columns: usize,
    extract: Extractor<'_>,
    out: &Path,
    observe: Observe<'_>,
) -> Result<Extracted> {
    let labels = labels(store)?;
    let mut writer = writer(store, labels.as_deref(), n_columns, out)?;
    each_batch(store, batches, n_columns, extract, observe, &mut |first, features| {
        append(
            &mut writer,
            features,
            labels.as_deref().map(|labels| &labels[first..][..features.len() / n_columns]),
        )
    })?;
    Ok(Extracted { n_rows: writer.finish()?, n_columns })
}

/// How features are brought to one scale.
pub enum Scaling<'a> {
    /// By the mean and √(variance + `epsilon`) of these very features, of those pictures that count. Each picture is passed
    /// through the extractor once; then the file is gone over again, before it takes its name.
    Own {
        /// Added to each variance.
        epsilon: f64,
        /// Whether each picture counts.
        is_counted: &'a [bool],
    },
    /// By those of others.
    Given(Standard),
}

/// [`extract_features`], brought to one scale; writes the scale beside the features, as [`Standard::FILE`].
///
/// # Errors
/// As [`extract_features`]; [`EvalError::Setting`] where fewer than two pictures count.
pub fn extract_scaled(
    store: &ImageStore,
    batches: Batches,
    n_columns: usize,
    extract: Extractor<'_>,
    scaling: Scaling<'_>,
    out: &Path,
    observe: Observe<'_>,
) -> Result<Extracted> {
    let labels = labels(store)?;
    let mut writer = writer(store, labels.as_deref(), n_columns, out)?;
    let mut moments = Moments::new(n_columns);
    each_batch(store, batches, n_columns, extract, observe, &mut |first, features| {
        if let Scaling::Own { is_counted, .. } = &scaling {
            moments.add(features, &is_counted[first..]);
        }
        let labels = labels.as_deref().map(|labels| &labels[first..][..features.len() / n_columns]);
        match &scaling {
            Scaling::Own { .. } => append(&mut writer, features, labels),
            Scaling::Given(standard) => {
                let mut features = features.to_vec();
                standard.apply(&mut features);
                append(&mut writer, &features, labels)
            }
        }
    })?;
    let (standard, n_rows) = match scaling {
        Scaling::Own { epsilon, .. } => {
            let standard = moments.standard(epsilon)?;
            let n_rows = writer.finish_changed(&mut |rows| standard.apply(rows))?;
            (standard, n_rows)
        }
        Scaling::Given(standard) => (standard, writer.finish()?),
    };
    standard.write(out)?;
    Ok(Extracted { n_rows, n_columns })
}

/// The mean and √(variance + `epsilon`) of the features of those pictures of `store` that `is_counted`; nothing is written.
///
/// # Errors
/// As [`extract_scaled`], but for labels, which are not read.
pub fn infer_standard(
    store: &ImageStore,
    batch_size: usize,
    n_columns: usize,
    extract: Extractor<'_>,
    (epsilon, is_counted): (f64, &[bool]),
    observe: Observe<'_>,
) -> Result<Standard> {
    let mut moments = Moments::new(n_columns);
    let batches = Batches { rows: 0..store.len(), size: batch_size };
    each_batch(store, batches, n_columns, extract, observe, &mut |first, features| {
        moments.add(features, &is_counted[first..]);
        Ok(())
    })?;
    moments.standard(epsilon)
}

fn append(writer: &mut FeatureWriter, features: &[f32], labels: Option<&[u32]>) -> Result<()> {
    match labels {
        Some(labels) => writer.append(features, labels),
        None => writer.append_unlabelled(features),
    }
}

fn writer(store: &ImageStore, labels: Option<&[u32]>, n_columns: usize, out: &Path) -> Result<FeatureWriter> {
    let class_names = store.meta().class_names.clone().filter(|_| labels.is_some());
    if let (Some(names), Some(labels)) = (&class_names, labels) {
        let n_classes = labels.iter().max().map_or(0, |largest| *largest as usize + 1);
        classes::check(names, n_classes, Path::new(&store.meta().source))?;
    }
    Ok(FeatureWriter::create(out, n_columns)?.named(class_names))
}

/// Gives the features of each batch and the number of its first picture to `take`.
fn each_batch(
    store: &ImageStore,
    batches: Batches,
    n_columns: usize,
    extract: Extractor<'_>,
    observe: Observe<'_>,
    take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let Batches { rows, size } = batches;
    if rows.is_empty() || rows.end > store.len() {
        return Err(EvalError::Setting {
            setting: "rows",
            expected: format!("some of {} pictures", store.len()),
            found: format!("{rows:?}"),
        });
    }
    let mut progress = Progress::new(observe, rows.len() as u64);
    let mut pixels = Vec::new();
    let all: Vec<u32> = (rows.start as u32..rows.end as u32).collect();
    for indices in all.chunks(size.max(1)) {
        let (n, first) = (indices.len(), indices[0] as usize);
        let end = first + n;
        store.gather(indices, &mut pixels);
        let features = extract(&pixels, n).map_err(|source| EvalError::Extract { first, end, source })?;
        if features.len() != n * n_columns {
            return Err(EvalError::ExtractLength {
                first,
                end,
                expected: n * n_columns,
                found: features.len(),
            });
        }
        take(first, &features)?;
        progress.advance(n as u64)?;
    }
    Ok(())
}

/// Writes raw pixels as features, x/127.5 − 1 in NCHW order: the baseline that features have to beat.
///
/// # Errors
/// As [`extract_features`].
pub fn pixel_features(
    store: &ImageStore,
    rows: Range<usize>,
    out: &Path,
    observe: Observe<'_>,
) -> Result<Extracted> {
    let n_columns = store.channels() * store.height() * store.width();
    let mut scale =
        |pixels: &[u8], _n: usize| Ok(pixels.iter().map(|&x| f32::from(x) / 127.5 - 1.0).collect());
    extract_features(store, Batches { rows, size: 1024 }, n_columns, &mut scale, out, observe)
}

/// Rows that are copied at once.
const COPIED_AT_ONCE: usize = 1024;

/// Puts the features of parts of a set, in their order, together in `out`: the bytes that [`extract_features`] writes of the whole.
/// `observe` counts rows.
///
/// # Errors
/// [`EvalError::Rows`] where a part is of other columns than the first, or one has labels and another has none; [`EvalError::Classes`]
/// where they name other classes; [`EvalError::Interrupted`]; reading and writing.
pub fn merge_features(parts: &[PathBuf], out: &Path, observe: Observe<'_>) -> Result<Extracted> {
    let sets: Vec<FeatureSet> =
        parts.iter().map(|part| FeatureSet::open_labelled_or_not(part)).collect::<Result<_>>()?;
    let n_columns = sets.first().map_or(0, FeatureSet::n_columns);
    let names = sets.first().and_then(|set| set.class_names().map(<[String]>::to_vec));
    let mut progress = Progress::new(observe, sets.iter().map(|set| set.n_rows() as u64).sum());
    let mut writer = FeatureWriter::create(out, n_columns)?.named(names.clone());
    for (set, part) in sets.iter().zip(parts) {
        let own = (set.n_columns(), set.class_names());
        if own != (n_columns, names.as_deref()) {
            return Err(EvalError::Rows {
                path: part.clone(),
                expected: format!("{n_columns} columns and the classes {names:?}, as the first part has"),
                found: format!("{own:?}"),
            });
        }
        for start in (0..set.n_rows()).step_by(COPIED_AT_ONCE) {
            let end = (start + COPIED_AT_ONCE).min(set.n_rows());
            let values = &set.values()[start * n_columns..end * n_columns];
            let labels: Option<Vec<u32>> = (!set.labels().is_empty())
                .then(|| set.labels()[start..end].iter().map(|label| *label as u32).collect());
            append(&mut writer, values, labels.as_deref())?;
            progress.advance((end - start) as u64)?;
        }
    }
    Ok(Extracted { n_rows: writer.finish()?, n_columns })
}

/// The labels of an image store in `folder` and the names of its classes as a set without columns: all that drawing rows and
/// matching the classes of a test set look at.
///
/// # Errors
/// [`EvalError::Unlabelled`] where a picture has no label; [`EvalError::Classes`] for names that are not the labels'.
pub fn labels_of(store: &ImageStore, folder: &Path) -> Result<FeatureSet> {
    let labels = labels(store)?.ok_or(EvalError::Unlabelled { image_idx: 0 })?;
    let labels = labels.into_iter().map(|label| label as usize).collect();
    let set = FeatureSet::without_columns(labels, folder)?;
    match &store.meta().class_names {
        Some(names) => set.named(names.clone()),
        None => Ok(set),
    }
}

/// The labels of all pictures; none where no picture has one.
fn labels(store: &ImageStore) -> Result<Option<Vec<u32>>> {
    let labels = store.labels()?;
    if labels.iter().all(Option::is_none) {
        return Ok(None);
    }
    let source = Path::new(&store.meta().source);
    let known = |(image_idx, label): (usize, Option<u32>)| {
        let label = label.ok_or(EvalError::Unlabelled { image_idx })?;
        classes::label(source, image_idx, i128::from(label)).map(|_| label)
    };
    labels.into_iter().enumerate().map(known).collect::<Result<_>>().map(Some)
}
