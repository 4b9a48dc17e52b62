//! What choosing C by cross-validation costs beside single fits at the C chosen, on features that NumPy wrote.
//!
//! ```text
//! cargo run --release -p dcgan-svm --example search DIR [GAP [N_ROWS [N_COLUMNS [N_ROUNDS]]]]
//! ```
//!
//! `DIR` holds features.npy and labels.npy. A round is a search, five folds over half decades of C from 1e-6 to 1e-2 with a
//! patience of 2, to a relative gap of `GAP`, and a fit to 1e-4 after it. Times are seconds of the clock and, as other work on the machine lengthens these, of the
//! processor. A search is to take less than five fits.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use dcgan_svm::{FitProgress, LinearSvc};
use linfa::ParamGuard;
use ndarray::{Array1, Array2, Axis, s};
use ndarray_npy::read_npy;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("expected DIR [GAP [N_ROWS [N_COLUMNS [N_ROUNDS]]]]")?;
    let search_gap = arguments.next().map_or(Ok(1e-4), |value| value.parse())?;
    let mut limit = || arguments.next().map_or(Ok(usize::MAX), |value| value.parse());
    let (n_rows, n_columns, n_rounds) = (limit()?, limit()?, limit()?);
    let whole: Array2<f32> = read_npy(Path::new(&folder).join("features.npy"))?;
    let (n_rows, n_columns) = (n_rows.min(whole.nrows()), n_columns.min(whole.ncols()));
    let features = if (n_rows, n_columns) == whole.dim() {
        whole
    } else {
        // Columns from all over, so that every layer takes part.
        let columns: Vec<usize> = (0..n_columns).map(|idx| idx * whole.ncols() / n_columns).collect();
        whole.slice(s![..n_rows, ..]).select(Axis(1), &columns).as_standard_layout().into_owned()
    };
    let labels: Array1<u32> = read_npy(Path::new(&folder).join("labels.npy"))?;
    let labels: Vec<usize> = labels.iter().take(n_rows).map(|&label| label as usize).collect();
    // The rows of CIFAR-10 come in no order, so every fifth makes a fold.
    let folds: Vec<usize> = (0..n_rows).map(|row| row % 5).collect();
    let cs = [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2];
    let params = LinearSvc::params().max_gram_rows(1);
    let of_search = params.clone().relative_gap(search_gap).check()?;
    let of_fit = params.relative_gap(1e-4).check()?;
    println!("{n_rows} rows, {n_columns} columns, searched to a gap of {search_gap:e}");
    for _ in 0..n_rounds.min(10) {
        let (mut passes, mut at) = (String::new(), 0.0);
        let (clock, start) = (Clock::now(), Instant::now());
        let mut observe = |progress: &FitProgress| {
            if let Some((c, _)) = progress.widest
                && c > at
            {
                passes +=
                    &format!(" {c:e} from {} ({:.0} s)", progress.n_passes, start.elapsed().as_secs_f64());
                at = c;
            }
            ControlFlow::Continue(())
        };
        let found = of_search.cross_validate(features.view(), &labels, &cs, &folds, 2, &mut observe)?;
        let search = clock.elapsed();
        let means = found.error_rates.mean_axis(Axis(0)).ok_or("expected a fold")?;
        let best = found.cs.iter().zip(&means).min_by(|a, b| a.1.total_cmp(b.1)).ok_or("expected a C")?.0;
        println!("search {search}: C = {best:e},{passes}");
        println!("  errors {means:.5}, largest gap {:.1e}", found.largest_gap);
        let (clock, mut n_passes) = (Clock::now(), 0);
        of_fit.fit_path(features.view(), &labels, &[*best], &mut |_| {
            n_passes += 1;
            ControlFlow::Continue(())
        })?;
        let fit = clock.elapsed();
        println!("fit {fit}, {n_passes} passes");
        println!(
            "search / five fits: {:.2} by the clock, {:.2} by the processor",
            search.wall / fit.wall / 5.0,
            search.cpu / fit.cpu / 5.0
        );
    }
    Ok(())
}

/// Seconds of the clock and of the processor, all threads.
struct Clock {
    wall: Instant,
    cpu: f64,
}

struct Elapsed {
    wall: f64,
    cpu: f64,
}

impl Clock {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn elapsed(&self) -> Elapsed {
        Elapsed { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - self.cpu }
    }
}

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s (processor {:.1} s)", self.wall, self.cpu)
    }
}

/// Linux's count, in hundredths of a second; NaN elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |idx: usize| fields.get(idx).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}
