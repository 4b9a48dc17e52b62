//! One pass over the features for many weight vectors at once.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayView2, s};
use rayon::prelude::*;

/// Rows are divided into this many parts whatever the number of threads, so that sums are always taken in one order.
const N_PARTS: usize = 16;
/// Rows multiplied at a time: both products of a block find it in the cache.
const BLOCK: usize = 64;
/// Columns multiplied in f32 before the sums go on in f64.
const PANEL: usize = 1024;

/// What a pass gives for each weight vector.
pub(crate) struct Swept {
    /// uᵢ = xᵢ·w + b, one value a row.
    pub(crate) values: Vec<f64>,
    /// Σᵢ rᵢ (xᵢ, 1), the last entry being the bias's.
    pub(crate) combination: Vec<f64>,
}

/// For each weight vector (n_columns + 1 entries, bias last): u = X·w + b, and Σᵢ rᵢ (xᵢ, 1) with r given by
/// `multiplier(vector, row, u)`.
///
/// That one shape serves the gradient (r the slack) and the product with the Hessian (r = u inside the margin): each row
/// is fetched once for both. Products are taken in f32 over short stretches, which are summed in f64; so weights count
/// as rounded to f32.
pub(crate) fn sweep(
    features: ArrayView2<'_, f32>,
    weights: &[&[f64]],
    multiplier: &(dyn Fn(usize, usize, f64) -> f64 + Sync),
) -> Vec<Swept> {
    let (n_rows, n_columns) = features.dim();
    let narrow: Vec<f32> =
        weights.iter().flat_map(|weights| weights[..n_columns].iter().map(|&weight| weight as f32)).collect();
    let bias: Vec<f64> = weights.iter().map(|weights| f64::from(weights[n_columns] as f32)).collect();
    let part_len = n_rows.div_ceil(N_PARTS).max(1);
    let starts: Vec<usize> = (0..n_rows).step_by(part_len).collect();
    let parts: Vec<Part> = starts
        .into_par_iter()
        .map(|start| {
            let rows = features.slice(s![start..(start + part_len).min(n_rows), ..]);
            sweep_part(rows, &narrow, &bias, &|vector, row, value| multiplier(vector, start + row, value))
        })
        .collect();
    (0..weights.len()).map(|vector| merge(&parts, vector, weights.len(), n_columns)).collect()
}

/// The sums over one part of the rows.
struct Part {
    /// u, row by row, each with one value for every weight vector.
    values: Vec<f64>,
    /// The combinations without bias, one after the other.
    combination: Vec<f64>,
    /// Their bias entries.
    bias: Vec<f64>,
}

fn sweep_part(
    rows: ArrayView2<'_, f32>,
    weights: &[f32],
    bias: &[f64],
    multiplier: &dyn Fn(usize, usize, f64) -> f64,
) -> Part {
    let n_columns = rows.ncols();
    let n_out = bias.len();
    let weights = MatRef::from_row_major_slice(weights, n_out, n_columns);
    let mut part =
        Part { values: Vec::new(), combination: vec![0.0; n_out * n_columns], bias: vec![0.0; n_out] };
    for start in (0..rows.nrows()).step_by(BLOCK) {
        let block = rows.slice(s![start..(start + BLOCK).min(rows.nrows()), ..]);
        let contiguous = block.as_standard_layout();
        let Some(slice) = contiguous.as_slice() else { continue };
        let block = MatRef::from_row_major_slice(slice, contiguous.nrows(), n_columns);
        let values = products(block, weights, bias);
        let mut factors = vec![0.0_f32; values.len()];
        for (idx, (factor, &value)) in factors.iter_mut().zip(&values).enumerate() {
            let (row, vector) = (idx / n_out, idx % n_out);
            let r = multiplier(vector, start + row, value);
            *factor = r as f32;
            part.bias[vector] += r;
        }
        add_combination(block, &factors, &mut part.combination);
        part.values.extend(values);
    }
    part
}

/// X·Wᵀ + b for a block of rows, row-major.
fn products(block: MatRef<'_, f32>, weights: MatRef<'_, f32>, bias: &[f64]) -> Vec<f64> {
    let (height, n_out) = (block.nrows(), bias.len());
    let mut sums: Vec<f64> = bias.iter().copied().cycle().take(height * n_out).collect();
    let mut product = vec![0.0_f32; height * n_out];
    for start in (0..block.ncols()).step_by(PANEL) {
        let width = PANEL.min(block.ncols() - start);
        let out = MatMut::from_row_major_slice_mut(&mut product, height, n_out);
        let rhs = weights.subcols(start, width).transpose();
        matmul(out, Accum::Replace, block.subcols(start, width), rhs, 1.0, Par::Seq);
        sums.iter_mut().zip(&product).for_each(|(sum, product)| *sum += f64::from(*product));
    }
    sums
}

/// Adds Rᵀ·X to `sums`, R being row-major with one row of factors for each row of the block.
fn add_combination(block: MatRef<'_, f32>, factors: &[f32], sums: &mut [f64]) {
    let (height, n_columns) = (block.nrows(), block.ncols());
    let n_out = factors.len() / height;
    let factors = MatRef::from_row_major_slice(factors, height, n_out).transpose();
    let mut product = vec![0.0_f32; n_out * PANEL.min(n_columns)];
    for start in (0..n_columns).step_by(PANEL) {
        let width = PANEL.min(n_columns - start);
        let out = MatMut::from_row_major_slice_mut(&mut product[..n_out * width], n_out, width);
        matmul(out, Accum::Replace, factors, block.subcols(start, width), 1.0, Par::Seq);
        for (vector, product) in product[..n_out * width].chunks_exact(width).enumerate() {
            let sums = &mut sums[vector * n_columns + start..][..width];
            sums.iter_mut().zip(product).for_each(|(sum, product)| *sum += f64::from(*product));
        }
    }
}

/// One weight vector's results out of all parts, added in the order of the rows.
fn merge(parts: &[Part], vector: usize, n_out: usize, n_columns: usize) -> Swept {
    let values =
        parts.iter().flat_map(|part| part.values.iter().skip(vector).step_by(n_out).copied()).collect();
    let mut combination = vec![0.0; n_columns + 1];
    for part in parts {
        let own = &part.combination[vector * n_columns..][..n_columns];
        combination.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
        combination[n_columns] += part.bias[vector];
    }
    Swept { values, combination }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// The same pass by ndarray in f64.
    #[test]
    fn a_pass_is_two_products() {
        let features =
            Array2::from_shape_fn((333, 1500), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 16.0 - 1.0);
        let weights: Vec<Vec<f64>> =
            (0..3).map(|k| (0..1501).map(|j| ((j * (k + 3)) % 13) as f64 / 8.0 - 0.75).collect()).collect();
        let views: Vec<&[f64]> = weights.iter().map(Vec::as_slice).collect();
        let swept = sweep(features.view(), &views, &|vector, row, value| {
            if (row + vector) % 2 == 0 { value } else { 0.0 }
        });
        let mut wide = Array2::ones((333, 1501));
        wide.slice_mut(s![.., ..1500]).assign(&features.mapv(f64::from));
        for (vector, swept) in swept.iter().enumerate() {
            let values = wide.dot(&ndarray::aview1(&weights[vector]));
            let r =
                ndarray::Array1::from_shape_fn(
                    333,
                    |row| if (row + vector) % 2 == 0 { values[row] } else { 0.0 },
                );
            let combination = wide.t().dot(&r);
            let scale = combination.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
            assert!(swept.values.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-3));
            assert!(swept.combination.iter().zip(&combination).all(|(a, b)| (a - b).abs() < 1e-6 * scale));
        }
    }
}
