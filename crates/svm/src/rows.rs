//! All classes together over the rows, for more rows than a Gram matrix should hold.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, ArrayView2, aview1};
use rayon::prelude::*;

use crate::dual::ascending;
use crate::labels::{OneVsRest, argmax};
use crate::panels::Panels;
use crate::params::{FitProgress, LinearSvcValidParams, ObserveFit};
use crate::path::{Path, Solution};
use crate::preconditioner::{Preconditioner, Request};
use crate::storage::Feature;
use crate::{LinearSvc, Result, SvmError, features, sweep};

/// Conjugate gradients on the primal objective with exact line search, preconditioned, all classes and several C in step.
///
/// A step takes two passes over the features, one for the products with every class's direction, one for its gradient, and
/// with that its certificate. Each class goes through the values of C, ascending, at its own pace, each solution starting on the
/// line through the two before: a pass serves classes at several values of C.
///
/// Tried on 10,000 × 12,288 features of CIFAR-10 and left: Newton's method with conjugate gradients, preconditioned alike,
/// took 2 to 3 times the products, as it begins each step afresh. Dual coordinate descent over blocks of 500 rows, in 3 to 10
/// sweeps each, was left with gaps of 13 to 82 % after 20 to 40 passes: features that are mostly positive make all rows alike.
///
/// Memory: the features' view, for a cross-validation a copy of it as f32 ([`Panels`]), up to 2000 sampled rows for the preconditioner while it is made, a quarter of that later, and
/// some tens of vectors a class. As products are f32, a gap below what their rounding leaves (it grows with C·‖X‖²) ends in
/// [`SvmError::NotConverged`].
///
/// # Errors
/// As `LinearSvcValidParams::fit_path`.
pub(crate) fn fit<T: Feature>(
    features: ArrayView2<'_, T>,
    labels: &[usize],
    cs: &[f64],
    params: &LinearSvcValidParams,
    observe: ObserveFit<'_>,
) -> Result<Vec<LinearSvc>> {
    let order = ascending(cs)?;
    let grid: Vec<f64> = order.iter().map(|&position| cs[position]).collect();
    let targets = OneVsRest::new(labels, features.nrows())?;
    let paths = (0..targets.classes.len())
        .map(|class_idx| {
            let class = targets.classes[class_idx];
            Path::new(class, targets.targets(class_idx), features.ncols(), &grid, params)
        })
        .collect();
    let mut solver = Solver { features, panels: None, paths, n_wanted: usize::MAX };
    solver.solve(params, observe, grid.len(), &mut |_| usize::MAX)?;
    let solutions = solver.paths.into_iter().map(Path::solutions).collect();
    Ok(models(solutions, &order, &targets.classes, &grid))
}

/// How machines that were trained without a fold label the rows of that fold.
pub(crate) struct HeldOut {
    /// Share labelled wrongly for each C that was tried, ascending: one vector a C, a number a fold.
    pub(crate) error_rates: Vec<Vec<f64>>,
    /// The largest relative gap left.
    pub(crate) largest_gap: f64,
}

/// Cross-validates each C of `grid`, which ascends, until `n_wanted`, given the error rates so far, is 0.
///
/// All folds, classes and values of C go together: a fold is a class's path with some of the rows left out. `n_wanted` says how
/// many more values will be wanted whatever their errors are, and no path goes on to one beyond. Passes are over a copy of the
/// features, and those for gradients pass over the rows that are outside a class's margin in all folds.
///
/// # Errors
/// As [`fit`].
pub(crate) fn held_out<T: Feature>(
    features: ArrayView2<'_, T>,
    targets: &OneVsRest,
    grid: &[f64],
    folds: &[usize],
    (params, observe): (&LinearSvcValidParams, ObserveFit<'_>),
    n_wanted: &dyn Fn(&[Vec<f64>]) -> usize,
) -> Result<HeldOut> {
    let n_folds = folds.iter().max().map_or(0, |last| last + 1);
    let n_classes = targets.classes.len();
    let paths: Vec<Path<'_>> = (0..n_folds * n_classes)
        .map(|path_idx| {
            let (class_idx, fold) = (path_idx / n_folds, path_idx % n_folds);
            let mut own = targets.targets(class_idx);
            own.iter_mut().zip(folds).filter(|(_, other)| **other == fold).for_each(|(y, _)| *y = 0.0);
            Path::new(targets.classes[class_idx], own, features.ncols(), grid, params).following()
        })
        .collect();
    let truths: Vec<Vec<usize>> = (0..n_folds)
        .map(|fold| {
            (0..folds.len()).filter(|&row| folds[row] == fold).map(|row| targets.class_of(row)).collect()
        })
        .collect();
    let mut error_rates: Vec<Vec<f64>> = Vec::new();
    let panels = Some(Panels::new(features)?);
    let mut solver = Solver { features, panels, paths, n_wanted: 1 };
    solver.solve(params, observe, grid.len(), &mut |paths| {
        while error_rates.len() < n_solved_by_all(paths) && n_wanted(&error_rates) > 0 {
            let c_idx = error_rates.len();
            let of_fold = |(fold, truths): (usize, &Vec<usize>)| {
                let own: Vec<&Path<'_>> = paths.iter().skip(fold).step_by(n_folds).collect();
                error_rate(&own, c_idx, truths)
            };
            error_rates.push(truths.iter().enumerate().map(of_fold).collect());
        }
        n_wanted(&error_rates)
    })?;
    let tried = solver.paths.iter().flat_map(|path| &path.solved()[..error_rates.len()]);
    let largest_gap = tried.map(|solution| solution.certificate.relative_gap).fold(0.0, f64::max);
    Ok(HeldOut { error_rates, largest_gap })
}

/// Values of C that every path has a solution for.
fn n_solved_by_all(paths: &[Path<'_>]) -> usize {
    paths.iter().map(|path| path.solved().len()).min().unwrap_or(0)
}

/// Share of a fold's rows, of the classes `truths`, that its machines, one path a class, label wrongly.
fn error_rate(paths: &[&Path<'_>], c_idx: usize, truths: &[usize]) -> f64 {
    let value = |path: &Path<'_>, row: usize| path.solved()[c_idx].held_out[row];
    let is_wrong = |row: &usize| argmax(paths.iter().map(|path| value(path, *row))) != truths[*row];
    (0..truths.len()).filter(is_wrong).count() as f64 / truths.len() as f64
}

/// Paths that share passes over the features.
struct Solver<'f, 'p, T: Feature> {
    features: ArrayView2<'f, T>,
    /// A copy for the passes.
    panels: Option<Panels>,
    paths: Vec<Path<'p>>,
    /// How many values of C after those that all paths have solved are wanted.
    n_wanted: usize,
}

impl<T: Feature> Solver<'_, '_, T> {
    /// Takes all paths to their ends, or until `n_wanted`, asked after each step, is 0.
    fn solve(
        &mut self,
        params: &LinearSvcValidParams,
        observe: ObserveFit<'_>,
        n_cs: usize,
        n_wanted: &mut dyn FnMut(&[Path<'_>]) -> usize,
    ) -> Result<()> {
        params.check_values()?;
        let (n_rows, n_columns) = self.features.dim();
        if n_rows == 0 || n_columns == 0 {
            return Err(SvmError::Empty { n_rows, n_columns });
        }
        let mut passes = Passes { n_passes: 0, n_solutions: self.paths.len() * n_cs, observe };
        let preconditioner = Preconditioner::new(self.features, &mut || passes.ask())?;
        while self.paths.iter().any(|path| path.c().is_some()) {
            self.take_gradients(&mut passes)?;
            self.n_wanted = n_wanted(&self.paths);
            if self.n_wanted == 0 {
                break;
            }
            self.step(&preconditioner, &mut passes)?;
        }
        Ok(())
    }

    /// The paths that go on.
    fn live<'p, 'g>(paths: &'p mut [Path<'g>], n_wanted: usize) -> Vec<&'p mut Path<'g>> {
        let end = n_solved_by_all(paths).saturating_add(n_wanted);
        paths.iter_mut().filter(|path| path.c().is_some() && path.solved().len() < end).collect()
    }

    /// The pass that gives each class its gradient and certificate.
    fn take_gradients(&mut self, passes: &mut Passes<'_>) -> Result<()> {
        passes.next(&self.paths)?;
        let features = self.features;
        let mut live = Self::live(&mut self.paths, self.n_wanted);
        let n_out = live.len();
        let mut factors = vec![0.0; features.nrows() * n_out];
        factors.par_chunks_mut(n_out).enumerate().for_each(|(row, factors)| {
            factors.iter_mut().zip(&live).for_each(|(factor, path)| *factor = path.factor(row));
        });
        let combinations = match &self.panels {
            Some(panels) => panels.combinations(&factors, &groups(&live)),
            None => sweep::combinations(features, &factors, &groups(&live)),
        };
        // At first every row has a factor, and then a sum without a finite value has a row without one.
        if passes.n_passes == 1 && combinations.iter().flatten().any(|sum| !sum.is_finite()) {
            features::check(features)?;
        }
        live.par_iter_mut().zip(combinations).try_for_each(|(path, combination)| path.receive(combination))
    }

    /// The pass that takes each class to the lowest point along a new direction. Those that have just moved on sit it out.
    fn step(&mut self, preconditioner: &Preconditioner, passes: &mut Passes<'_>) -> Result<()> {
        if Self::live(&mut self.paths, self.n_wanted).iter().all(|path| path.has_moved()) {
            return Ok(());
        }
        passes.next(&self.paths)?;
        let mut live = Self::live(&mut self.paths, self.n_wanted);
        live.retain(|path| !path.has_moved());
        let requests: Vec<Request<'_>> = live.iter().map(|path| path.request()).collect();
        let preconditioned = preconditioner.apply(&requests);
        live.par_iter_mut().zip(preconditioned).for_each(|(path, gradient)| path.turn(gradient));
        let vectors: Vec<&[f64]> = live.iter().map(|path| path.vector()).collect();
        let n_out = vectors.len();
        let products = match &self.panels {
            Some(panels) => panels.values(&vectors),
            None => sweep::values(self.features, &vectors),
        };
        live.par_iter_mut().enumerate().for_each(|(idx, path)| {
            path.advance(products.iter().skip(idx).step_by(n_out).copied().collect());
        });
        Ok(())
    }
}

/// The runs of paths of one class. They have few rows inside the margin, and much the same ones.
///
/// Classes with one path each make one run: most rows are inside the margin of some class.
fn groups(live: &[&mut Path<'_>]) -> Vec<usize> {
    let of_class: Vec<usize> = live.chunk_by(|a, b| a.class() == b.class()).map(<[_]>::len).collect();
    if of_class.len() == live.len() { vec![live.len()] } else { of_class }
}

/// Reports each pass over the features.
struct Passes<'a> {
    n_passes: u64,
    n_solutions: usize,
    observe: ObserveFit<'a>,
}

/// Units in which progress towards one solution is counted.
const UNITS: f64 = 1000.0;

impl Passes<'_> {
    /// Whether to go on before the first pass.
    fn ask(&mut self) -> ControlFlow<()> {
        let n_total = self.n_solutions as u64 * UNITS as u64;
        (self.observe)(&FitProgress { n_total, ..FitProgress::default() })
    }

    fn next(&mut self, paths: &[Path<'_>]) -> Result<()> {
        let widest = paths
            .iter()
            .filter(|path| path.c().is_some())
            .max_by(|a, b| a.smallest_gap().total_cmp(&b.smallest_gap()));
        let progress = FitProgress {
            n_done: (paths.iter().map(Path::progress).sum::<f64>() * UNITS) as u64,
            n_total: self.n_solutions as u64 * UNITS as u64,
            n_passes: self.n_passes,
            widest: if self.n_passes > 0 {
                widest.and_then(|path| Some((path.c()?, path.smallest_gap())))
            } else {
                None
            },
        };
        self.n_passes += 1;
        if (self.observe)(&progress).is_break() { Err(SvmError::Interrupted) } else { Ok(()) }
    }
}

/// One model a C, in the order in which the values of C were given.
fn models(solutions: Vec<Vec<Solution>>, order: &[usize], classes: &[usize], grid: &[f64]) -> Vec<LinearSvc> {
    let mut models: Vec<Option<LinearSvc>> = vec![None; grid.len()];
    for (c_idx, &position) in order.iter().enumerate() {
        let of_c: Vec<&Solution> = solutions.iter().map(|of_class| &of_class[c_idx]).collect();
        let n_columns = of_c.first().map_or(0, |solution| solution.weights.len() - 1);
        let mut weights = Array2::zeros((of_c.len(), n_columns));
        for (mut out, solution) in weights.outer_iter_mut().zip(&of_c) {
            out.assign(&aview1(&solution.weights[..n_columns]));
        }
        let bias: Array1<f32> = of_c.iter().map(|solution| solution.weights[n_columns]).collect();
        let certificates = of_c.iter().map(|solution| solution.certificate).collect();
        models[position] =
            Some(LinearSvc::from_parts(weights, bias, classes.to_vec(), grid[c_idx], certificates));
    }
    models.into_iter().flatten().collect()
}
