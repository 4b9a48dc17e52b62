//! Moving about in the space of z: walks (section 6.1), arithmetic and the turn vector (section 6.3.2).
//!
//! ```
//! use dcgan_gan::latent::{Interpolation, mean_of, walk};
//! use ndarray::array;
//! # fn main() -> dcgan_gan::Result<()> {
//! let z = array![[0.0_f32, 2.0], [4.0, 0.0], [0.0, 0.0]];
//! assert_eq!(mean_of(&z, "a", &[0, 1])?, array![2.0, 1.0]);
//! let points = walk(&z, 5, Interpolation::Linear)?;
//! assert_eq!(points.nrows(), 2 * 5);
//! assert_eq!(points.row(1), array![1.0, 1.5]);
//! # Ok(()) }
//! ```

use dcgan_nn::rng;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GanError, Result, sample::shape_error};

/// How a walk goes from one z to the next (unstated in the paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Along the straight line.
    #[default]
    Linear,
    /// Along the great circle (White 2016): lengths between those of the two ends. For z ~ N(0, 1), whose lengths are all
    /// nearly √nz, the straight line leads through z that are never drawn.
    Spherical,
}

/// The z a share `t` of the way from `a` to `b`.
///
/// Linear: (1 − t)·a + t·b. Spherical: (sin((1 − t)·ω)·a + sin(t·ω)·b) / sin ω with ω the angle between a and b; linear where
/// they have (nearly) one direction, opposite directions or no length.
pub fn interpolate(
    a: ArrayView1<'_, f32>,
    b: ArrayView1<'_, f32>,
    t: f64,
    interpolation: Interpolation,
) -> Array1<f32> {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let omega = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).clamp(-1.0, 1.0).acos();
    let (from, to) = match interpolation {
        // NaN, of a z without length, is not above anything.
        Interpolation::Spherical if omega.sin() > 1e-4 => {
            (((1.0 - t) * omega).sin() / omega.sin(), (t * omega).sin() / omega.sin())
        }
        _ => (1.0 - t, t),
    };
    a.iter().zip(b).map(|(&a, &b)| (from * f64::from(a) + to * f64::from(b)) as f32).collect()
}

/// `n_steps` z from each row of `points` to the next, both ends among them: ((n − 1)·`n_steps`, nz), pair after pair.
///
/// # Errors
/// [`GanError::Setting`] for fewer than 2 points or steps.
pub fn walk(points: &Array2<f32>, n_steps: usize, interpolation: Interpolation) -> Result<Array2<f32>> {
    for (key, found) in [("points", points.nrows()), ("n_steps", n_steps)] {
        if found < 2 {
            return Err(GanError::Setting { key, expected: "at least 2".into(), found: found.to_string() });
        }
    }
    let mut z = Array2::zeros((0, points.ncols()));
    for pair in 1..points.nrows() {
        for step in 0..n_steps {
            let t = step as f64 / (n_steps - 1) as f64;
            let point = interpolate(points.row(pair - 1), points.row(pair), t, interpolation);
            z.push_row(point.view()).map_err(shape_error)?;
        }
    }
    Ok(z)
}

/// The rows `picks` of `z`; `key` is what errors call the list.
///
/// # Errors
/// [`GanError::Setting`] for a row that is not there.
pub fn rows_of(z: &Array2<f32>, key: &'static str, picks: &[usize]) -> Result<Array2<f32>> {
    if let Some(found) = picks.iter().find(|&&pick| pick >= z.nrows()) {
        let expected = format!("below {}, the number of samples", z.nrows());
        return Err(GanError::Setting { key, expected, found: found.to_string() });
    }
    Ok(z.select(Axis(0), picks))
}

/// The mean of the rows `picks` of `z`; `key` is what errors call the list.
///
/// # Errors
/// [`GanError::Setting`] where there are none, or one is not there.
pub fn mean_of(z: &Array2<f32>, key: &'static str, picks: &[usize]) -> Result<Array1<f32>> {
    let none = || GanError::Setting { key, expected: "at least one".into(), found: "none".into() };
    rows_of(z, key, picks)?.mean_axis(Axis(0)).ok_or_else(none)
}

/// 8 neighbours of `centre`, (8, nz): U(−`noise`, `noise`) added to each of its numbers.
pub fn neighbours(centre: &Array1<f32>, noise: f32, seed: u64) -> Array2<f32> {
    let mut rng = rng::stream(seed, rng::Purpose::Figures, 0);
    Array2::from_shape_fn((8, centre.len()), |(_, i)| centre[i] + noise * rng.random_range(-1.0_f32..=1.0))
}

/// `n_steps` z along `direction` through each row of `z`: row + t·direction for t from `reach` down to −`reach`,
/// (n·`n_steps`, nz), row after row: a row begins where the direction points.
///
/// # Errors
/// [`GanError::Setting`] for fewer than 2 steps.
pub fn along(z: &Array2<f32>, direction: &Array1<f32>, n_steps: usize, reach: f32) -> Result<Array2<f32>> {
    if n_steps < 2 {
        let expected = "at least 2".to_owned();
        return Err(GanError::Setting { key: "n_steps", expected, found: n_steps.to_string() });
    }
    let last = (n_steps - 1) as f32;
    Ok(Array2::from_shape_fn((z.nrows() * n_steps, z.ncols()), |(row, i)| {
        let t = reach * (1.0 - 2.0 * (row % n_steps) as f32 / last);
        z[[row / n_steps, i]] + t * direction[i]
    }))
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    // scipy.spatial.geometric_slerp([3/5, 4/5], [1, 0], [0, .25, .5, 1]) times the length, 5
    #[test]
    fn spherical_interpolation_agrees_with_scipy() {
        let (a, b) = (array![3.0_f32, 4.0], array![5.0, 0.0]);
        let expected = [
            (0.0, [3.0, 4.0]),
            (0.25, [3.838_759, 3.203_737]),
            (0.5, [4.472_136, 2.236_068]),
            (1.0, [5.0, 0.0]),
        ];
        for (t, expected) in expected {
            let ours = interpolate(a.view(), b.view(), t, Interpolation::Spherical);
            assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{t}: {ours} {expected:?}");
        }
    }

    #[test]
    fn where_there_is_no_great_circle_the_line_is_taken() {
        let a = array![1.0_f32, 2.0];
        for b in [array![2.0_f32, 4.0], array![-1.0, -2.0], array![0.0, 0.0]] {
            let linear = interpolate(a.view(), b.view(), 0.5, Interpolation::Linear);
            assert_eq!(interpolate(a.view(), b.view(), 0.5, Interpolation::Spherical), linear);
            assert_eq!(linear, (&a + &b) / 2.0);
        }
    }

    #[test]
    fn walks_hold_their_points() {
        let points = array![[0.0_f32, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]];
        for interpolation in [Interpolation::Linear, Interpolation::Spherical] {
            let z = walk(&points, 4, interpolation).unwrap();
            assert_eq!(z.dim(), (8, 3));
            for (row, point) in [(0, 0), (3, 1), (4, 1), (7, 2)] {
                let difference = &z.row(row) - &points.row(point);
                assert!(difference.iter().all(|d| d.abs() < 1e-6), "{interpolation:?}, row {row}");
            }
        }
        assert!(walk(&points.slice(s![..1, ..]).to_owned(), 4, Interpolation::Linear).is_err());
        assert!(walk(&points, 1, Interpolation::Linear).is_err());
    }

    #[test]
    fn neighbours_stay_within_the_noise() {
        let centre = Array1::from_elem(500, 3.0);
        let z = neighbours(&centre, 0.25, 7);
        assert_eq!(z, neighbours(&centre, 0.25, 7));
        assert_ne!(z, neighbours(&centre, 0.25, 8));
        let offsets: Vec<f32> = z.iter().map(|v| (v - 3.0) / 0.25).collect();
        assert!(offsets.iter().all(|o| o.abs() <= 1.0 + 1e-5));
        // Uniform: mean 0, variance 1/3, within 5 standard errors of 4,000 draws.
        let n = offsets.len() as f32;
        assert!((offsets.iter().sum::<f32>() / n).abs() < 5.0 * (1.0 / 3.0 / n).sqrt());
        assert!(
            (offsets.iter().map(|o| o * o).sum::<f32>() / n - 1.0 / 3.0).abs()
                < 5.0 * (4.0 / 45.0 / n).sqrt()
        );
    }

    #[test]
    fn along_a_direction() {
        let z = array![[1.0_f32, 0.0], [0.0, 5.0]];
        let moved = along(&z, &array![2.0, -1.0], 3, 1.0).unwrap();
        assert_eq!(moved, array![[3.0, -1.0], [1.0, 0.0], [-1.0, 1.0], [2.0, 4.0], [0.0, 5.0], [-2.0, 6.0]]);
        assert!(along(&z, &array![2.0, -1.0], 1, 1.0).is_err());
        let message = rows_of(&z, "left", &[0, 2]).unwrap_err().to_string();
        assert_eq!(message, "`left`: expected below 2, the number of samples, found 2");
        let message = mean_of(&z, "b", &[]).unwrap_err().to_string();
        assert_eq!(message, "`b`: expected at least one, found none");
    }
}
