//! Checks of a matrix of features, and its passage into f64.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::storage::Feature;
use crate::{Result, SvmError};

/// Rows checked by one task.
const BAND: usize = 64;

/// Fails if there is no row or column, or names the first value that is NaN or infinite.
pub(crate) fn check<T: Feature>(features: ArrayView2<'_, T>) -> Result<()> {
    let (n_rows, n_columns) = features.dim();
    if n_rows == 0 || n_columns == 0 {
        return Err(SvmError::Empty { n_rows, n_columns });
    }
    let bad = (0..n_rows).into_par_iter().with_min_len(BAND).find_map_first(|row| {
        let values = features.row(row);
        // Zero times anything finite is zero, so one sum without a branch finds the rows worth a closer look.
        if values.iter().map(|value| value.wide() * 0.0).sum::<f32>() == 0.0 {
            return None;
        }
        values
            .iter()
            .position(|value| !value.wide().is_finite())
            .map(|column| (row, column, values[column].wide()))
    });
    match bad {
        Some((row, column, value)) => Err(SvmError::NonFinite { row, column, value }),
        None => Ok(()),
    }
}

/// The columns `start..start + width` of all rows as f64, row-major in `panel` (`n_rows · width` values).
pub(crate) fn widen(features: ArrayView2<'_, f32>, start: usize, width: usize, panel: &mut [f64]) {
    panel.par_chunks_mut(BAND * width).enumerate().for_each(|(band, out)| {
        for (offset, out) in out.chunks_exact_mut(width).enumerate() {
            let row = features.slice(s![band * BAND + offset, start..start + width]);
            for (out, value) in out.iter_mut().zip(row) {
                *out = f64::from(*value);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn the_first_bad_value_is_named() {
        let mut features = Array2::<f32>::zeros((200, 9));
        features[[150, 3]] = f32::NAN;
        features[[97, 8]] = f32::NEG_INFINITY;
        features[[0, 0]] = f32::MAX;
        match check(features.view()) {
            Err(SvmError::NonFinite { row: 97, column: 8, value }) => assert_eq!(value, f32::NEG_INFINITY),
            other => panic!("{other:?}"),
        }
        assert!(matches!(check(Array2::<f32>::zeros((0, 4)).view()), Err(SvmError::Empty { .. })));
    }
}
