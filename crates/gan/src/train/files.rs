//! Names of what [`train`](super::train) writes into its folder.

/// The trained generator.
pub const GENERATOR: &str = "generator.safetensors";
/// The average of the generator over its updates, where one is kept.
pub const GENERATOR_EMA: &str = "generator_ema.safetensors";
/// The generator (its average where one is kept) of the checkpoint with the lowest score.
pub const GENERATOR_BEST: &str = "generator_best.safetensors";
/// The trained discriminator.
pub const DISCRIMINATOR: &str = "discriminator.safetensors";
/// Both networks, both optimisers, the average and the step, to go on from: the newest few, `step_NNNNNNN.safetensors`, and
/// `best.safetensors`, that with the lowest score.
pub const CHECKPOINTS: &str = "checkpoints";
/// One JSON object a logged step.
pub const METRICS: &str = "metrics.jsonl";
/// The same as a table, of a training that ended.
pub const METRICS_TABLE: &str = "metrics.parquet";
/// The same, the sample grids and histograms of the weights for TensorBoard.
pub const EVENTS: &str = "events.out.tfevents.0.dcgan";
/// Sample grids of fixed z, `step_NNNNNNN.png`.
pub const SAMPLES: &str = "samples";
/// The same grids of the average.
pub const SAMPLES_EMA: &str = "samples_ema";
