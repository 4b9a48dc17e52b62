//! Times training: `train_speed STORE [MINIBATCHES]` trains on an image store with the defaults, and prints seconds and
//! processor seconds a minibatch. `train_speed.py` beside it does the same network and minibatch with PyTorch.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::ops::ControlFlow;
use std::time::Instant;

use dcgan_dedup::train::{TrainConfig, train};
use dcgan_images::ImageStore;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let store = ImageStore::open(arguments[0].as_ref()).unwrap();
    let min_minibatches = arguments.get(1).map_or(500, |n| n.parse().unwrap());
    let config = TrainConfig { epochs: 1, min_minibatches, ..TrainConfig::default() };
    let out = tempfile::tempdir().unwrap();
    let (mut clock, mut used) = (Instant::now(), processor_seconds());
    let summary = train(&store, &config, out.path(), &mut |done, _| {
        if done == 0 {
            (clock, used) = (Instant::now(), processor_seconds());
        }
        ControlFlow::Continue(())
    });
    let (seconds, n) = (clock.elapsed().as_secs_f64(), summary.unwrap().n_steps as f64);
    let used = processor_seconds() - used;
    println!("{:.2} ms a minibatch, {:.2} ms of processors", 1e3 * seconds / n, 1e3 * used / n);
}

/// User time of this process so far, in ticks of 10 ms.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.nth(11).and_then(|ticks| ticks.parse::<f64>().ok()).map_or(f64::NAN, |ticks| ticks / 100.0)
}
