//! Fits one machine on features that NumPy wrote, and prints what it takes to compare it with another solver.
//!
//! ```text
//! cargo run --release -p dcgan-svm --example compare TRAIN_DIR TEST_DIR N_ROWS C GAP
//! ```
//!
//! Prints JSON: seconds of the fit alone, the sum of the classes' objectives, the widest gap and the labels predicted.
//! `liblinear.py` beside it does the same with scikit-learn's `LinearSVC`, alternately.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use dcgan_svm::LinearSvc;
use linfa::ParamGuard;
use ndarray::{Array1, Array2, s};
use ndarray_npy::read_npy;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, n_rows, c, gap] = arguments.as_slice() else {
        return Err("expected TRAIN_DIR TEST_DIR N_ROWS C GAP".into());
    };
    let (n_rows, c): (usize, f64) = (n_rows.parse()?, c.parse()?);
    let features: Array2<f32> = read_npy(Path::new(train).join("features.npy"))?;
    let labels: Array1<u32> = read_npy(Path::new(train).join("labels.npy"))?;
    let labels: Vec<usize> = labels.iter().take(n_rows).map(|&label| label as usize).collect();
    let features = features.slice(s![..n_rows, ..]);
    let params = LinearSvc::params().c(c).relative_gap(gap.parse()?).check()?;

    let start = Instant::now();
    let models = params.fit_path(features, &labels, &[c], &mut |_| ControlFlow::Continue(()))?;
    let seconds = start.elapsed().as_secs_f64();
    let model = models.first().ok_or("no model")?;
    let widest = model.certificates().iter().map(|found| found.relative_gap).fold(0.0, f64::max);
    let objective: f64 = model.objective(features, &labels, c)?.iter().sum();
    let test: Array2<f32> = read_npy(Path::new(test).join("features.npy"))?;
    let predicted = model.predict_labels(test.view())?.to_vec();
    println!(
        "{}",
        serde_json::json!({ "seconds": seconds, "objective": objective, "gap": widest, "predicted": predicted })
    );
    Ok(())
}
