//! One class on its way through the values of C.

use crate::line_search::Line;
use crate::newton::dot;
use crate::preconditioner::Request;
use crate::{Certificate, LinearSvcValidParams, Result};

/// Steps without a smaller gap after which a class will not get there.
const PATIENCE: usize = 100;
/// A thousand times what some hundred steps leave of rounding in the relative gap.
const ROUNDING: f64 = 1e-3;

/// One class against the rest: its weights (bias last) and what is known at them.
pub(crate) struct Path<'a> {
    class: usize,
    grid: &'a [f64],
    params: &'a LinearSvcValidParams,
    /// +1 or −1 for each row; 0 for rows that are held out.
    targets: Vec<f64>,
    weights: Vec<f64>,
    /// Decision values of the rows.
    values: Vec<f64>,
    /// Whether the decision values were multiplied out at the weights as they are, rather than followed along steps.
    is_fresh: bool,
    /// Whether a solution's have to be.
    wants_fresh: bool,
    gradient: Vec<f64>,
    /// Where to go next; `None` for staying, to multiply out the decision values.
    direction: Option<Vec<f64>>,
    /// Gradient and preconditioned gradient one step before.
    previous: Option<(Vec<f64>, Vec<f64>)>,
    /// Weights and decision values of the last solution; zero before the first.
    before: (Vec<f64>, Vec<f64>),
    /// Whether it went on along the last two solutions, and the gradient is that of another place.
    has_moved: bool,
    n_steps: usize,
    gaps: Gaps,
    solved: Vec<Solution>,
}

/// The optimum of one class at one C.
pub(crate) struct Solution {
    /// Bias last.
    pub(crate) weights: Vec<f32>,
    pub(crate) certificate: Certificate,
    /// Decision values of the rows that were held out, in their order.
    pub(crate) held_out: Vec<f64>,
}

/// Relative gaps at one C.
#[derive(Clone, Copy)]
struct Gaps {
    first: f64,
    latest: f64,
    smallest: f64,
    /// The steps taken when it was found.
    found_at: usize,
}

impl<'a> Path<'a> {
    /// At zero weights, before the first C of `grid`, which ascends. Rows whose target is 0 are held out.
    pub(crate) fn new(
        class: usize,
        targets: Vec<f64>,
        n_columns: usize,
        grid: &'a [f64],
        params: &'a LinearSvcValidParams,
    ) -> Self {
        let n_rows = targets.len();
        Self {
            class,
            grid,
            params,
            values: vec![0.0; targets.len()],
            targets,
            weights: vec![0.0; n_columns + 1],
            is_fresh: true,
            wants_fresh: true,
            gradient: Vec::new(),
            direction: None,
            previous: None,
            before: (vec![0.0; n_columns + 1], vec![0.0; n_rows]),
            has_moved: false,
            n_steps: 0,
            gaps: Gaps { first: 1.0, latest: 1.0, smallest: 1.0, found_at: 0 },
            solved: Vec::new(),
        }
    }

    /// The same, but the decision values of solutions may be those followed along the steps, where the gap asked for is so
    /// wide that rounding does not show in it.
    pub(crate) fn following(self) -> Self {
        Self { wants_fresh: self.params.relative_gap < ROUNDING, ..self }
    }

    /// Whether it is to have a gradient before a direction.
    pub(crate) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// The C it is at; `None` at the end.
    pub(crate) fn c(&self) -> Option<f64> {
        self.grid.get(self.solved.len()).copied()
    }

    pub(crate) fn class(&self) -> usize {
        self.class
    }

    pub(crate) fn solutions(self) -> Vec<Solution> {
        self.solved
    }

    /// Those so far.
    pub(crate) fn solved(&self) -> &[Solution] {
        &self.solved
    }

    /// The smallest relative gap at the present C.
    pub(crate) fn smallest_gap(&self) -> f64 {
        self.gaps.smallest
    }

    /// How much is done, 0..=1 for each C: the gap falls about as fast in each step.
    pub(crate) fn progress(&self) -> f64 {
        let wanted = self.params.relative_gap;
        let share = (self.gaps.first / self.gaps.smallest).ln() / (self.gaps.first / wanted).ln();
        self.solved.len() as f64 + if share.is_finite() { share.clamp(0.0, 0.99) } else { 0.0 }
    }

    /// αᵢyᵢ with αᵢ = 2C max(0, 1 − yᵢ f(xᵢ)), whose combination with the rows is w − ∇P.
    pub(crate) fn factor(&self, row: usize) -> f64 {
        2.0 * self.c().unwrap_or(0.0) * self.slack(row) * self.targets[row]
    }

    fn slack(&self, row: usize) -> f64 {
        // 1 − yf for y = ±1, and nothing for y = 0.
        (self.targets[row] * (self.targets[row] - self.values[row])).max(0.0)
    }

    /// Takes in the combination of the rows with their factors. Where that certifies the weights, goes on to the next C.
    ///
    /// # Errors
    /// [`SvmError::NotConverged`](crate::SvmError::NotConverged) where it takes too long.
    pub(crate) fn receive(&mut self, mut combination: Vec<f64>) -> Result<()> {
        self.has_moved = false;
        while let Some(c) = self.c() {
            let certificate = self.certificate(&combination, c);
            let gap = certificate.relative_gap;
            if self.n_steps == 0 {
                self.gaps = Gaps { first: gap, latest: gap, smallest: gap, found_at: 0 };
            } else if gap < 0.9 * self.gaps.smallest {
                self.gaps = Gaps { smallest: gap, found_at: self.n_steps, ..self.gaps };
            }
            self.gaps.latest = gap;
            self.gradient = self.weights.iter().zip(&combination).map(|(w, v)| w - v).collect();
            let is_stuck = self.n_steps - self.gaps.found_at >= PATIENCE;
            if gap.is_nan() || is_stuck || self.n_steps >= self.params.max_steps {
                certificate.require(self.class, c, self.params.relative_gap)?;
            }
            if gap > self.params.relative_gap || (self.wants_fresh && !self.is_fresh) {
                return Ok(());
            }
            let weights = self.weights.iter().map(|&weight| weight as f32).collect();
            let held_out = self.values.iter().zip(&self.targets).filter(|(_, y)| **y == 0.0).map(|(f, _)| *f);
            self.solved.push(Solution { weights, certificate, held_out: held_out.collect() });
            (self.n_steps, self.previous) = (0, None);
            if self.extrapolate() {
                return Ok(());
            }
            // Decision values stay, and multipliers are proportional to C.
            let ratio = self.c().unwrap_or(c) / c;
            combination.iter_mut().for_each(|value| *value *= ratio);
        }
        Ok(())
    }

    /// Goes on along the way from the solution before the last to the last: the decision values follow without a pass.
    ///
    /// Whether that led anywhere.
    fn extrapolate(&mut self) -> bool {
        let Some(c) = self.c() else { return false };
        let last = (self.weights.clone(), self.values.clone());
        let (weights, values) = std::mem::replace(&mut self.before, last);
        let subtract = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let (direction, changes) = (subtract(&self.weights, &weights), subtract(&self.values, &values));
        if self.go(&direction, &changes, c) == 0.0 {
            return false;
        }
        (self.direction, self.has_moved) = (None, true);
        self.gaps = Gaps { first: 1.0, latest: 1.0, smallest: 1.0, found_at: 0 };
        true
    }

    fn certificate(&self, combination: &[f64], c: f64) -> Certificate {
        let (mut sum, mut squares) = (0.0, 0.0);
        for row in 0..self.values.len() {
            let slack = self.slack(row);
            sum += slack;
            squares += slack * slack;
        }
        let objective = 0.5 * dot(&self.weights, &self.weights) + c * squares;
        let gap: f64 = self.weights.iter().zip(combination).map(|(w, v)| 0.5 * (w - v) * (w - v)).sum();
        let quadratic = dot(combination, combination) + 2.0 * c * squares;
        Certificate::new(objective, gap, 2.0 * c * sum, quadratic, self.n_steps)
    }

    /// The gradient, to be preconditioned.
    pub(crate) fn request(&self) -> Request<'_> {
        let n_inside = (0..self.values.len()).filter(|&row| self.slack(row) > 0.0).count();
        Request { gradient: &self.gradient, weight: self.c().unwrap_or(0.0) * n_inside as f64 }
    }

    /// Chooses the direction: the preconditioned gradient, conjugate to the step before (Polak and Ribière).
    ///
    /// Weights that look good enough stay: they are rounded to f32, as they will be stored, to be certified as such.
    pub(crate) fn turn(&mut self, preconditioned: Vec<f64>) {
        if self.gap_is_met() {
            self.stay();
            return;
        }
        let mut direction: Vec<f64> = preconditioned.iter().map(|value| -value).collect();
        if let (Some((gradient, before)), Some(last)) = (&self.previous, &self.direction) {
            let change: f64 = preconditioned
                .iter()
                .zip(self.gradient.iter().zip(gradient))
                .map(|(z, (new, old))| z * (new - old))
                .sum();
            let ratio = (change / dot(gradient, before)).max(0.0);
            let conjugate: Vec<f64> = direction.iter().zip(last).map(|(d, last)| d + ratio * last).collect();
            if dot(&conjugate, &self.gradient) < 0.0 {
                direction = conjugate;
            }
        }
        // A pass multiplies by weights rounded to f32, so the step has to be along the same ones.
        direction.iter_mut().for_each(|value| *value = f64::from(*value as f32));
        self.previous = Some((self.gradient.clone(), preconditioned));
        self.direction = Some(direction);
    }

    fn gap_is_met(&self) -> bool {
        self.gaps.latest <= self.params.relative_gap
    }

    fn stay(&mut self) {
        self.weights.iter_mut().for_each(|weight| *weight = f64::from(*weight as f32));
        (self.direction, self.previous) = (None, None);
    }

    /// What the rows are to be multiplied with.
    pub(crate) fn vector(&self) -> &[f64] {
        self.direction.as_deref().unwrap_or(&self.weights)
    }

    /// Takes in the products of the rows with [`vector`](Self::vector): goes to the lowest point along the direction.
    pub(crate) fn advance(&mut self, products: Vec<f64>) {
        self.n_steps += 1;
        let Some(direction) = self.direction.take() else {
            (self.values, self.is_fresh) = (products, true);
            return;
        };
        let c = self.c().unwrap_or(0.0);
        self.go(&direction, &products, c);
        self.direction = Some(direction);
    }

    /// Goes to the lowest point along the direction, `changes` being its products with the rows: how far.
    fn go(&mut self, direction: &[f64], changes: &[f64], c: f64) -> f64 {
        let line = Line {
            targets: &self.targets,
            values: &self.values,
            changes,
            slope: dot(&self.weights, direction),
            curvature: dot(direction, direction),
            c,
        };
        let t = line.minimum();
        self.weights.iter_mut().zip(direction).for_each(|(weight, d)| *weight += t * d);
        self.values.iter_mut().zip(changes).for_each(|(value, change)| *value += t * change);
        self.is_fresh = false;
        t
    }
}
