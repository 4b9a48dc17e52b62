//! Made-up features that a script can make up too.

use dcgan_eval::FeatureSet;
use half::bf16;
use ndarray::Array2;

/// Number of classes of [`made_up`].
pub(crate) const N_CLASSES: usize = 4;

/// Class of a row; every class is a quarter of the rows.
pub(crate) fn label(row: usize) -> usize {
    (row * 7 + row / 10) % N_CLASSES
}

/// Rows `first..first + n_rows` of an endless set of noise in −1..=1 with a weak signal: 0.25 is added to every fourth
/// column, beginning with the column of the row's class.
pub(crate) fn made_up(first: usize, n_rows: usize, n_columns: usize) -> FeatureSet {
    let features = Array2::from_shape_fn((n_rows, n_columns), |(row, column)| {
        let row = row + first;
        let mut hash = (row as u32).wrapping_mul(2_654_435_761).wrapping_add((column as u32 + 1) * 40_503);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(2_246_822_519);
        hash ^= hash >> 13;
        let noise = (hash % 2001) as f32 / 1000.0 - 1.0;
        if column % N_CLASSES == label(row) { noise + 0.25 } else { noise }
    });
    FeatureSet::from_arrays(&features, (first..first + n_rows).map(label).collect()).unwrap()
}

/// The same with features that bf16 holds exactly.
pub(crate) fn rounded(set: &FeatureSet) -> FeatureSet {
    let features = set.features().mapv(|value| bf16::from_f32(value).to_f32());
    FeatureSet::from_arrays(&features, set.labels().to_vec()).unwrap()
}
