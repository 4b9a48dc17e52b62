use dcgan_images::{Picture, StoreDescription, StoreWriter};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::preprocess::N_INPUTS;

/// 60 smooth random pictures of 40×40: a few waves each.
fn store(dir: &Path) -> ImageStore {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut writer = StoreWriter::create(dir).unwrap();
    for i in 0..60 {
        let waves: Vec<[f32; 4]> =
            (0..9).map(|_| [0.0; 4].map(|_: f32| rng.random_range(-1.0..1.0))).collect();
        let pixels = (0..3 * 1600)
            .map(|k| {
                let (x, y) = ((k % 40) as f32 / 40.0, (k / 40 % 40) as f32 / 40.0);
                let three = &waves[k / 1600 * 3..k / 1600 * 3 + 3];
                let value: f32 =
                    three.iter().map(|w| w[0] * (9.0 * (w[1] * x + w[2] * y) + 6.0 * w[3]).sin()).sum();
                (128.0 + 60.0 * value).clamp(0.0, 255.0) as u8
            })
            .collect();
        let picture = Picture { channels: 3, height: 40, width: 40, pixels };
        writer.append(&i.to_string(), None, "test", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(dir).unwrap()
}

fn small(epochs: u64) -> TrainConfig {
    TrainConfig { epochs, batch_size: 10, min_minibatches: 1, ..TrainConfig::default() }
}

fn run(store: &ImageStore, config: &TrainConfig, dir: &Path, stop: u64) -> Result<TrainSummary> {
    fs_err::create_dir_all(dir).unwrap();
    train(store, config, dir, &mut |done, _| match done >= stop {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

#[test]
fn an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"));
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let summary = run(&store, &small(4), &whole, u64::MAX).unwrap();
    assert_eq!((summary.n_images, summary.n_steps), (57, 20));
    for stop in [3, 12] {
        assert!(matches!(run(&store, &small(4), &parts, stop), Err(DedupError::Interrupted)));
    }
    let resumed = run(&store, &small(4), &parts, u64::MAX).unwrap();
    assert_eq!(resumed.resumed_from, 12);
    for file in [files::AUTOENCODER, files::METRICS] {
        assert!(fs_err::read(whole.join(file)).unwrap() == fs_err::read(parts.join(file)).unwrap(), "{file}");
    }
    let other = TrainConfig { noise: 0.3, ..small(4) };
    let message = run(&store, &other, &parts, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("checkpoint.safetensors: expected"), "{message}");
}

#[test]
fn training_learns_to_reconstruct_and_to_hold_copies_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"));
    let config = TrainConfig { threshold: ThresholdRule::Median, ..small(60) };
    let summary = run(&store, &config, &dir.path().join("run"), u64::MAX).unwrap();
    let curve = fs_err::read_to_string(dir.path().join("run").join(files::METRICS)).unwrap();
    let number = |line: &str, key: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()[key].as_f64().unwrap()
    };
    let (first, last) = (curve.lines().next().unwrap(), curve.lines().last().unwrap());
    assert!(number(last, "reconstruction") < 0.7 * number(first, "reconstruction"), "{curve}");
    assert!(number(last, "together") < number(first, "together"), "{curve}");
    assert!((0.3..0.55).contains(&summary.bits_set), "{summary:?}");
    let model = Autoencoder::load(&dir.path().join("run").join(files::AUTOENCODER)).unwrap();
    assert!(model.thresholds().iter().any(|&t| t > 0.0));
}

#[test]
fn a_small_set_is_passed_over_until_there_are_enough_minibatches() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"));
    let config = TrainConfig { min_minibatches: 12, ..small(1) };
    let summary = run(&store, &config, &dir.path().join("run"), u64::MAX).unwrap();
    assert_eq!(summary.n_steps, 12, "an epoch has 5");
    let curve = fs_err::read_to_string(dir.path().join("run").join(files::METRICS)).unwrap();
    let epochs = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["step"].as_u64().unwrap(), line["epoch"].as_u64().unwrap())
    };
    assert_eq!(curve.lines().map(epochs).collect::<Vec<_>>(), [(5, 1), (10, 2), (12, 3)]);
}

#[test]
fn pictures_that_do_not_fit_and_settings_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"));
    let message = |config| run(&store, &config, &dir.path().join("run"), 0).unwrap_err().to_string();
    let error = message(TrainConfig { batch_size: 58, ..small(1) });
    assert_eq!(error, "`batch_size`: expected at most the number of training pictures, 57, found 58");
    let error = message(TrainConfig { dropout: 1.0, ..small(1) });
    assert_eq!(error, "`dropout`: expected a number from 0 to 0.95, found 1");
    assert_eq!(N_INPUTS, 3072);
}
