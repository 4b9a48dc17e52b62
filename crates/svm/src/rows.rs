//! All classes together over the rows, for more rows than a Gram matrix can hold.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, ArrayView2, aview1};

use crate::conjugate_gradients::Direction;
use crate::dual::ascending;
use crate::labels::OneVsRest;
use crate::line_search::Line;
use crate::newton::dot;
use crate::params::LinearSvcValidParams;
use crate::sweep::{Swept, sweep};
use crate::{Certificate, LinearSvc, Result, SvmError, features};

/// Steps without a smaller gap after which a class will not get there.
const PATIENCE: usize = 20;

/// Tells the observer of one more pass over the features; their total is not known.
pub(crate) struct Passes<'a> {
    n_done: u64,
    observe: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
}

impl Passes<'_> {
    pub(crate) fn next(&mut self) -> Result<()> {
        let verdict = (self.observe)(self.n_done, 0);
        self.n_done += 1;
        if verdict.is_break() { Err(SvmError::Interrupted) } else { Ok(()) }
    }
}

/// One class against the rest: its weights (bias last) and what is known at them.
pub(crate) struct State {
    pub(crate) targets: Vec<f64>,
    pub(crate) weights: Vec<f64>,
    /// Decision values of the rows.
    pub(crate) values: Vec<f64>,
    /// ∇P = w − Σ αᵢyᵢ(xᵢ, 1).
    pub(crate) gradient: Vec<f64>,
    certificate: Option<Certificate>,
    /// The smallest gap at this C, and the steps taken when it was found.
    best: (f64, usize),
}

impl State {
    fn slack(&self, row: usize, value: f64) -> f64 {
        (1.0 - self.targets[row] * value).max(0.0)
    }

    /// Whether a row pulls at the weights.
    pub(crate) fn inside(&self, row: usize) -> bool {
        self.targets[row] * self.values[row] < 1.0
    }

    /// Takes in the pass made at the present weights.
    fn update(&mut self, swept: Swept, c: f64, n_steps: usize) {
        self.values = swept.values;
        self.gradient = self.weights.iter().zip(&swept.combination).map(|(w, v)| w - v).collect();
        let slacks: Vec<f64> =
            self.values.iter().enumerate().map(|(row, &value)| self.slack(row, value)).collect();
        let squares = dot(&slacks, &slacks);
        let objective = 0.5 * dot(&self.weights, &self.weights) + c * squares;
        let gap = 0.5 * dot(&self.gradient, &self.gradient);
        let sum = 2.0 * c * slacks.iter().sum::<f64>();
        let quadratic = dot(&swept.combination, &swept.combination) + 2.0 * c * squares;
        let certificate = Certificate::new(objective, gap, sum, quadratic, n_steps);
        if n_steps == 0 || certificate.relative_gap < 0.9 * self.best.0 {
            self.best = (certificate.relative_gap, n_steps);
        }
        self.certificate = Some(certificate);
    }

    /// Goes to the lowest point along a direction.
    fn advance(&mut self, direction: &Direction, c: f64) {
        let line = Line {
            targets: &self.targets,
            values: &self.values,
            changes: &direction.changes,
            slope: dot(&self.weights, &direction.step),
            curvature: dot(&direction.step, &direction.step),
            c,
        };
        let t = line.minimum();
        for (weight, step) in self.weights.iter_mut().zip(&direction.step) {
            // Rounded at once, so that what is certified is what is stored.
            *weight = f64::from((*weight + t * step) as f32);
        }
    }
}

/// Truncated Newton's method on the primal objective with an exact line search, all classes in step.
///
/// A pass over the features gives every class its gradient, with it the certificate, or one product with its Hessian for
/// the conjugate gradients that find the Newton step. Memory: the features' view, and 16 partial sums of
/// n_classes·n_columns f64. As products are f32, certificates are good to about 1e-7 of the objective, and a gap below what
/// that rounding leaves (it grows with C·‖X‖²) ends in [`SvmError::NotConverged`]. C ascends, each solution starting where the one before ended.
///
/// # Errors
/// As `LinearSvcValidParams::fit_path`.
pub(crate) fn fit(
    features: ArrayView2<'_, f32>,
    labels: &[usize],
    cs: &[f64],
    params: &LinearSvcValidParams,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Vec<LinearSvc>> {
    params.check_values()?;
    let order = ascending(cs)?;
    features::check(features)?;
    let targets = OneVsRest::new(labels, features.nrows())?;
    let mut passes = Passes { n_done: 0, observe };
    let mut states: Vec<State> = (0..targets.classes.len())
        .map(|class_idx| State {
            targets: targets.targets(class_idx),
            weights: vec![0.0; features.ncols() + 1],
            values: Vec::new(),
            gradient: Vec::new(),
            certificate: None,
            best: (f64::INFINITY, 0),
        })
        .collect();
    let mut models: Vec<Option<LinearSvc>> = vec![None; cs.len()];
    for position in order {
        let c = cs[position];
        descend(features, &mut states, c, params, &mut passes)?;
        models[position] = Some(model(&states, &targets.classes, c, params.relative_gap)?);
    }
    Ok(models.into_iter().flatten().collect())
}

/// Newton steps until every class is certified or the limit is reached.
fn descend(
    features: ArrayView2<'_, f32>,
    states: &mut [State],
    c: f64,
    params: &LinearSvcValidParams,
    passes: &mut Passes<'_>,
) -> Result<()> {
    let mut active: Vec<&mut State> = states.iter_mut().collect();
    for n_steps in 0..=params.max_steps {
        passes.next()?;
        let weights: Vec<&[f64]> = active.iter().map(|state| state.weights.as_slice()).collect();
        let swept = sweep(features, &weights, &|class, row, value| {
            let state = &active[class];
            2.0 * c * state.slack(row, value) * state.targets[row]
        });
        for (state, swept) in active.iter_mut().zip(swept) {
            state.update(swept, c, n_steps);
        }
        active
            .retain(|state| state.certificate.is_some_and(|found| found.relative_gap > params.relative_gap));
        // The products' rounding sets a floor to the gap, which a large C raises: no use in going on there.
        let is_stuck = active.iter().any(|state| n_steps - state.best.1 >= PATIENCE);
        if active.is_empty() || n_steps == params.max_steps || is_stuck {
            break;
        }
        let mut directions: Vec<Direction> =
            active.iter().map(|state| state.direction(params.relative_gap)).collect();
        crate::conjugate_gradients::solve(features, &active, &mut directions, c, passes)?;
        for (state, direction) in active.iter_mut().zip(&directions) {
            state.advance(direction, c);
        }
    }
    Ok(())
}

impl State {
    /// The start of a search for the Newton step, which stops where the gap that the rest of the gradient leaves is a
    /// tenth of what is asked for.
    fn direction(&self, relative_gap: f64) -> Direction {
        let objective = self.certificate.map_or(0.0, |certificate| certificate.objective);
        Direction::new(&self.gradient, (0.2 * relative_gap * objective).sqrt())
    }
}

fn model(states: &[State], classes: &[usize], c: f64, wanted: f64) -> Result<LinearSvc> {
    let n_columns = states.first().map_or(0, |state| state.weights.len() - 1);
    let mut weights = Array2::zeros((states.len(), n_columns));
    let mut bias = Array1::zeros(states.len());
    let mut certificates = Vec::with_capacity(states.len());
    for (class_idx, state) in states.iter().enumerate() {
        weights.row_mut(class_idx).assign(&aview1(&state.weights[..n_columns]).mapv(|weight| weight as f32));
        bias[class_idx] = state.weights[n_columns] as f32;
        if let Some(certificate) = state.certificate {
            certificate.require(classes[class_idx], c, wanted)?;
            certificates.push(certificate);
        }
    }
    Ok(LinearSvc::from_parts(weights, bias, classes.to_vec(), c, certificates))
}
