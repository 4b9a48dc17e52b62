//! Predictions by nearest neighbours for each row of a test set, to be held against another program's (`knn.py`).
//!
//!     neighbours TRAIN TEST K...      # folders of features; writes {"K": [label, …], …} to stdout

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use dcgan_baselines::neighbours::{Metric, NearestNeighbours};
use dcgan_eval::FeatureSet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, ks @ ..] = arguments.as_slice() else {
        return Err("expected TRAIN TEST K..., found fewer arguments".into());
    };
    let (train, test) = (FeatureSet::open(Path::new(train))?, FeatureSet::open(Path::new(test))?);
    let ks = ks.iter().map(|k| k.parse()).collect::<Result<Vec<usize>, _>>()?;
    let largest = ks.iter().copied().max().unwrap_or(1);
    let mut nearest = NearestNeighbours::new(test.values(), train.n_columns(), largest, Metric::Euclidean)?;
    let labels: Vec<u32> = train.labels().iter().map(|label| *label as u32).collect();
    nearest.add(train.values(), &labels)?;
    let found = ks
        .iter()
        .map(|&k| Ok((k, nearest.predictions(k)?)))
        .collect::<Result<BTreeMap<_, _>, Box<dyn Error>>>()?;
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}
