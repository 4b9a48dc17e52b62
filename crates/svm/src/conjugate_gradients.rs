//! Newton steps of several classes by conjugate gradients in step.
//!
//! Without a preconditioner: the diagonal of the Hessian, in full or mixed with the identity as LIBLINEAR does, was tried on
//! features of a convolutional net, as they come and with columns scaled over four orders of magnitude, and took as many
//! products or more.

use ndarray::ArrayView2;

use crate::Result;
use crate::newton::dot;
use crate::rows::{Passes, State};
use crate::sweep::sweep;

/// A Newton step is found to this share of the gradient: far from the optimum a better one would be wasted.
const FORCING: f64 = 0.1;
/// Products with the Hessian after which a step is taken as it is.
const MAX_PRODUCTS: usize = 100;

/// The Newton step d of one class, H d = −∇P, on its way.
pub(crate) struct Direction {
    /// d so far.
    pub(crate) step: Vec<f64>,
    /// Change of the decision values along d.
    pub(crate) changes: Vec<f64>,
    residual: Vec<f64>,
    search: Vec<f64>,
    /// residual · residual.
    product: f64,
    /// Norm of the residual at which to stop.
    enough: f64,
}

impl Direction {
    /// At d = 0. Stops where the residual's norm is under `enough`, or a tenth of the gradient's.
    pub(crate) fn new(gradient: &[f64], enough: f64) -> Self {
        let residual: Vec<f64> = gradient.iter().map(|value| -value).collect();
        let product = dot(&residual, &residual);
        let enough = enough.max(FORCING * product.sqrt());
        let (step, search) = (vec![0.0; gradient.len()], residual.clone());
        Self { step, changes: Vec::new(), residual, search, product, enough }
    }

    fn is_done(&self) -> bool {
        self.product.sqrt() <= self.enough
    }

    /// Takes in H·search, and X·search.
    fn update(&mut self, hessian_product: &[f64], values: &[f64]) {
        let length = self.product / dot(&self.search, hessian_product);
        if self.changes.is_empty() {
            self.changes = vec![0.0; values.len()];
        }
        add(&mut self.step, length, &self.search);
        add(&mut self.changes, length, values);
        add(&mut self.residual, -length, hessian_product);
        let product = dot(&self.residual, &self.residual);
        let ratio = product / self.product;
        self.product = product;
        self.search
            .iter_mut()
            .zip(&self.residual)
            .for_each(|(search, residual)| *search = residual + ratio * *search);
    }
}

fn add(sum: &mut [f64], factor: f64, values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// Improves every direction until it is done, a pass over the features giving each its product with the Hessian.
pub(crate) fn solve(
    features: ArrayView2<'_, f32>,
    states: &[&mut State],
    directions: &mut [Direction],
    c: f64,
    passes: &mut Passes<'_>,
) -> Result<()> {
    for n_products in 0..MAX_PRODUCTS {
        let pending: Vec<usize> =
            (0..directions.len()).filter(|&idx| n_products == 0 || !directions[idx].is_done()).collect();
        if pending.is_empty() {
            break;
        }
        passes.next()?;
        for &idx in &pending {
            // The pass multiplies by weights rounded to f32, so the rest of the step has to see the same ones.
            directions[idx].search.iter_mut().for_each(|value| *value = f64::from(*value as f32));
        }
        let weights: Vec<&[f64]> = pending.iter().map(|&idx| directions[idx].search.as_slice()).collect();
        let swept = sweep(features, &weights, &|vector, row, value| {
            if states[pending[vector]].inside(row) { 2.0 * c * value } else { 0.0 }
        });
        for (&idx, swept) in pending.iter().zip(swept) {
            let direction = &mut directions[idx];
            let product: Vec<f64> =
                direction.search.iter().zip(&swept.combination).map(|(w, v)| w + v).collect();
            direction.update(&product, &swept.values);
        }
    }
    Ok(())
}
