//! Rows of features, as the measures take them.

use rayon::prelude::*;

use crate::error::{MetricsError, Result};

/// The features of a set of pictures: f32, a row each, one after another; all of them finite.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    values: &'a [f32],
    n_columns: usize,
}

impl<'a> Features<'a> {
    /// Checks rows of `n_columns` numbers; `side` names the set in errors, such as "real".
    ///
    /// # Errors
    /// [`MetricsError::Rows`] where there is no row or the last one is cut off; [`MetricsError::NotFinite`], naming row and column.
    pub fn new(side: &'static str, values: &'a [f32], n_columns: usize) -> Result<Self> {
        if n_columns == 0 || values.is_empty() || !values.len().is_multiple_of(n_columns) {
            return Err(MetricsError::Rows {
                side,
                expected: "whole rows, at least one".to_owned(),
                found: format!("{} numbers for rows of {n_columns}", values.len()),
            });
        }
        // To the end of each row, so that it goes on in vectors.
        let is_bad = |row: &[f32]| !row.iter().fold(true, |all, value| all & value.is_finite());
        if let Some(row) = values.par_chunks(n_columns).position_first(is_bad) {
            let of_row = &values[row * n_columns..][..n_columns];
            let column = of_row.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(MetricsError::NotFinite { side, row, column, found: of_row[column] });
        }
        Ok(Self { values, n_columns })
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Numbers in a row.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Pictures.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.n_columns
    }

    /// Copies the rows of these numbers, each below [`Self::n_rows`].
    pub fn gather(&self, rows: &[u32]) -> Vec<f32> {
        let row = |row: &u32| &self.values[*row as usize * self.n_columns..][..self.n_columns];
        rows.iter().flat_map(row).copied().collect()
    }

    #[cfg(test)]
    pub(crate) fn first(&self, n_rows: usize) -> Self {
        Self { values: &self.values[..n_rows * self.n_columns], n_columns: self.n_columns }
    }
}

/// Refuses sets of rows of different length, and such as have fewer than `least` rows.
pub(crate) fn check_pair(real: &Features<'_>, generated: &Features<'_>, least: usize) -> Result<()> {
    if real.n_columns != generated.n_columns {
        return Err(MetricsError::Rows {
            side: "generated",
            expected: format!("rows of {} numbers, as the real ones are", real.n_columns),
            found: generated.n_columns.to_string(),
        });
    }
    for (side, set) in [("real", real), ("generated", generated)] {
        if set.n_rows() < least {
            let expected = format!("at least {least} rows");
            return Err(MetricsError::Rows { side, expected, found: set.n_rows().to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_cut_or_not_finite_are_refused_by_place() {
        let message = |values: &[f32], n| Features::new("real", values, n).unwrap_err().to_string();
        assert_eq!(
            message(&[], 2),
            "real features: expected whole rows, at least one, found 0 numbers for rows of 2"
        );
        assert!(message(&[1.0; 3], 2).contains("3 numbers for rows of 2"));
        assert_eq!(
            message(&[0.0, 1.0, 2.0, f32::NAN], 2),
            "real features, row 1, column 1: expected a finite number, found NaN"
        );
        let (three, two) = ([0.0; 3], [0.0; 2]);
        let (real, other) =
            (Features::new("real", &three, 3).unwrap(), Features::new("generated", &two, 2).unwrap());
        let found = check_pair(&real, &other, 1).unwrap_err().to_string();
        assert_eq!(found, "generated features: expected rows of 3 numbers, as the real ones are, found 2");
        assert!(check_pair(&real, &real, 2).unwrap_err().to_string().contains("at least 2 rows, found 1"));
    }
}
