//! Choosing C by what was measured on validation rows.

use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Result};
use crate::statistics::{mean, std_dev};

/// What one value of C reached on validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchPoint {
    /// The value of C.
    pub c: f64,
    /// Validation error of each draw or fold, in 0..=1.
    pub errors: Vec<f64>,
    /// Their mean.
    pub mean_error: f64,
    /// Their sample standard deviation.
    pub std: f64,
}

impl SearchPoint {
    pub(crate) fn new(c: f64, errors: Vec<f64>) -> Self {
        let (mean_error, std) = (mean(&errors), std_dev(&errors));
        Self { c, errors, mean_error, std }
    }
}

/// A value of C that was chosen on validation rows.
///
/// Only a search over training data makes one, and nothing is measured on test data without one: this is how the
/// compiler keeps test data from choosing anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    c: f64,
    points: Vec<SearchPoint>,
}

impl Chosen {
    /// The point of lowest mean error; of equal ones the smallest C, which regularises most.
    ///
    /// # Errors
    /// [`EvalError::Setting`] where there is no point.
    pub(crate) fn lowest(points: Vec<SearchPoint>) -> Result<Self> {
        let best =
            points.iter().min_by(|a, b| a.mean_error.total_cmp(&b.mean_error).then(a.c.total_cmp(&b.c)));
        let c = best.map(|point| point.c).ok_or_else(|| no_cs("none"))?;
        Ok(Self { c, points })
    }

    pub(crate) fn c(&self) -> f64 {
        self.c
    }

    /// Whether a value beyond the grid might do better: C is its smallest or largest of several.
    pub(crate) fn at_edge(&self) -> bool {
        let cs = || self.points.iter().map(|point| point.c);
        self.points.len() > 1 && (cs().all(|c| self.c <= c) || cs().all(|c| self.c >= c))
    }

    pub(crate) fn into_points(self) -> Vec<SearchPoint> {
        self.points
    }
}

/// Checks a grid of C: at least one value, each from 1e-30 to 1e30, none twice.
pub(crate) fn check_cs(cs: &[f64]) -> Result<()> {
    if cs.is_empty() {
        return Err(no_cs("none"));
    }
    for (idx, c) in cs.iter().enumerate() {
        if !(1e-30..=1e30).contains(c) || cs[..idx].contains(c) {
            return Err(no_cs(&c.to_string()));
        }
    }
    Ok(())
}

fn no_cs(found: &str) -> EvalError {
    EvalError::Setting {
        setting: "cs",
        expected: "one or more different positive numbers".into(),
        found: found.into(),
    }
}

/// Checks that a count is at least `least`.
pub(crate) fn check_count(setting: &'static str, found: usize, least: usize) -> Result<()> {
    if found >= least {
        return Ok(());
    }
    Err(EvalError::Setting { setting, expected: format!("at least {least}"), found: found.to_string() })
}

/// Checks that a relative duality gap lies in (0, 1).
pub(crate) fn check_gap(found: f64) -> Result<()> {
    if found > 0.0 && found < 1.0 {
        return Ok(());
    }
    Err(EvalError::Setting {
        setting: "relative_gap",
        expected: "a number above 0 and below 1".into(),
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_error_wins_and_ties_go_to_the_smallest_c() {
        let points = |errors: [f64; 3]| {
            [1e-3, 1e-4, 1e-2]
                .iter()
                .zip(errors)
                .map(|(&c, error)| SearchPoint::new(c, vec![error]))
                .collect()
        };
        assert_eq!(Chosen::lowest(points([0.1, 0.2, 0.3])).unwrap().c(), 1e-3);
        let tied = Chosen::lowest(points([0.2, 0.2, 0.3])).unwrap();
        assert_eq!(tied.c(), 1e-4);
        assert!(tied.at_edge());
        assert!(!Chosen::lowest(points([0.1, 0.2, 0.3])).unwrap().at_edge());
        assert!(Chosen::lowest(Vec::new()).is_err());
    }

    #[test]
    fn bad_grids_are_refused() {
        for cs in [&[][..], &[0.0], &[-1.0], &[f64::NAN], &[1.0, 1.0]] {
            assert!(check_cs(cs).is_err());
        }
        assert!(check_cs(&[1.0, 1e-4]).is_ok());
    }
}
