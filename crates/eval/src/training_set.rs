//! Training features as a protocol holds them.

use dcgan_svm::{CrossValidation, LinearSvc, LinearSvcValidParams, ObserveFit};
use half::bf16;
use ndarray::{Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::features::FeatureSet;

/// The numbers that training features are held as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// As in the file, which is mapped.
    #[default]
    F32,
    /// Rounded to 8 significant bits, in memory.
    Bf16,
}

impl Storage {
    /// True of what is not among the settings that are written.
    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

/// The rows that machines are trained on.
pub(crate) struct TrainingSet<'a> {
    set: &'a FeatureSet,
    rounded: Option<Array2<bf16>>,
}

impl<'a> TrainingSet<'a> {
    /// # Errors
    /// Where the file cannot be read again, to be rounded.
    pub(crate) fn new(set: &'a FeatureSet, storage: Storage) -> Result<Self> {
        let rounded = match storage {
            Storage::F32 => None,
            Storage::Bf16 => Some(set.to_bf16()?),
        };
        Ok(Self { set, rounded })
    }

    /// The set as it is in its file.
    pub(crate) fn set(&self) -> &'a FeatureSet {
        self.set
    }

    /// Copies rows as they are held, (`rows.len()`, D).
    pub(crate) fn gather(&self, rows: &[u32]) -> Result<Array2<f32>> {
        let Some(rounded) = &self.rounded else { return self.set.gather(rows) };
        let mut values = self.set.room(rows.len())?;
        for &row in rows {
            values.extend(rounded.index_axis(Axis(0), row as usize).iter().map(|value| value.to_f32()));
        }
        Ok(Array2::from_shape_vec((rows.len(), self.set.n_columns()), values)?)
    }

    /// Fits on all rows.
    pub(crate) fn fit(
        &self,
        params: &LinearSvcValidParams,
        cs: &[f64],
        observe: ObserveFit<'_>,
    ) -> Result<Vec<LinearSvc>> {
        let labels = self.set.labels();
        Ok(match &self.rounded {
            Some(rounded) => params.fit_path(rounded.view(), labels, cs, observe)?,
            None => params.fit_path(self.set.features(), labels, cs, observe)?,
        })
    }

    /// Cross-validates on `rows`, which ascend.
    pub(crate) fn cross_validate(
        &self,
        params: &LinearSvcValidParams,
        (rows, labels, folds): (&[u32], &[usize], &[usize]),
        cs: &[f64],
        patience: usize,
        observe: ObserveFit<'_>,
    ) -> Result<CrossValidation> {
        if rows.len() < self.set.n_rows() {
            let part = self.gather(rows)?;
            return Ok(params.cross_validate(part.view(), labels, cs, folds, patience, observe)?);
        }
        Ok(match &self.rounded {
            Some(rounded) => params.cross_validate(rounded.view(), labels, cs, folds, patience, observe)?,
            None => params.cross_validate(self.set.features(), labels, cs, folds, patience, observe)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_held_as_they_are_or_rounded() {
        let features = Array2::from_shape_fn((5, 3), |(i, j)| 1.0 + (3 * i + j) as f32 / 1000.0);
        let set = FeatureSet::from_arrays(&features, vec![0, 1, 0, 1, 0]).unwrap();
        let (whole, rounded) = (
            TrainingSet::new(&set, Storage::F32).unwrap().gather(&[1, 4]).unwrap(),
            TrainingSet::new(&set, Storage::Bf16).unwrap().gather(&[1, 4]).unwrap(),
        );
        assert_eq!(whole, features.select(Axis(0), &[1, 4]));
        assert_ne!(rounded, whole);
        assert_eq!(rounded, whole.mapv(|value| bf16::from_f32(value).to_f32()));
    }
}
