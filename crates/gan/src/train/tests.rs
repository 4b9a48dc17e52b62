use std::path::PathBuf;

use dcgan_images::synthetic::{ShapesConfig, write_shapes};
use dcgan_images::{ImportConfig, Source, Split, import};
use dcgan_nn::pixels::to_activations;

use super::*;
use crate::ArchitectureName;

fn small(epochs: u64) -> TrainConfig {
    TrainConfig {
        width: 1.0 / 16.0,
        batch_size: Some(8),
        epochs: Some(epochs),
        log_every: 1,
        ..TrainConfig::paper(ArchitectureName::Svhn32)
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    store: ImageStore,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shapes = ShapesConfig { n_train: 50, n_test: 10, ..ShapesConfig::default() };
        write_shapes(&dir.path().join("shapes"), &shapes).unwrap();
        let source = Source::Cifar10 { path: dir.path().join("shapes"), split: Split::Train };
        let out = dir.path().join("store");
        import(&source, &ImportConfig::default(), &out, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let store = ImageStore::open(&out).unwrap();
        Self { dir, store }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        folder
    }

    /// Trains, stopping when `stop` minibatches are done.
    fn train(&self, name: &str, config: &TrainConfig, stop: u64) -> Result<TrainSummary> {
        train(&self.store, config, &self.folder(name), &Device::Cpu, &mut |event| match event {
            Event::Minibatch { done, .. } if done >= stop => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    fn bytes(&self, name: &str, file: &str) -> Vec<u8> {
        fs_err::read(self.dir.path().join(name).join(file)).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.bytes(name, files::METRICS)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let fixture = Fixture::new();
    for schedule in [Schedule::Alternate, Schedule::Both] {
        let config = TrainConfig { schedule, ..small(2) };
        let name = |part: &str| format!("{schedule:?}-{part}");
        let whole = fixture.train(&name("whole"), &config, u64::MAX).unwrap();
        assert_eq!((whole.n_steps, whole.steps_per_epoch), (12, 6));
        for stop in [5, 8] {
            let stopped = fixture.train(&name("parts"), &config, stop);
            assert!(matches!(stopped, Err(GanError::Interrupted)));
        }
        let resumed = fixture.train(&name("parts"), &config, u64::MAX).unwrap();
        assert_eq!(resumed.resumed_from, 8);
        for file in [files::GENERATOR, files::DISCRIMINATOR, "samples/step_0000012.png"] {
            assert!(fixture.bytes(&name("whole"), file) == fixture.bytes(&name("parts"), file), "{file}");
        }
        let steps = |name: &str| -> Vec<u64> {
            fixture.lines(name).iter().map(|line| line["step"].as_u64().unwrap()).collect()
        };
        assert_eq!(steps(&name("parts")), (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn the_alternating_schedule_updates_one_network_a_minibatch_and_g_first() {
    let fixture = Fixture::new();
    let settings = small(1).resolve().unwrap();
    let mut trainer = Trainer::new(&settings, &Device::Cpu).unwrap();
    let first = |parameters: &[(String, candle_core::Var)]| {
        parameters[0].1.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    };
    let weights = |t: &Trainer| (first(t.generator().parameters()), first(t.discriminator().parameters()));
    let start = weights(&trainer);
    let mut n_asked = 0;
    let mut batch = || {
        n_asked += 1;
        Ok(to_activations(&fixture.store.pixels()[..8 * 3072], [8, 3, 32, 32], &Device::Cpu)?)
    };
    trainer.minibatch(&mut batch).unwrap();
    let after_g = weights(&trainer);
    assert!(after_g.0 != start.0 && after_g.1 == start.1);
    trainer.minibatch(&mut batch).unwrap();
    let after_d = weights(&trainer);
    assert_eq!(n_asked, 1);
    assert!(after_d.0 == after_g.0 && after_d.1 != after_g.1);
}

#[test]
fn another_configuration_does_not_go_on_from_a_checkpoint() {
    let fixture = Fixture::new();
    fixture.train("run", &small(1), u64::MAX).unwrap();
    let other = TrainConfig { learning_rate: Some(1e-3), ..small(1) };
    let message = fixture.train("run", &other, u64::MAX).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "step_0000006.safetensors: `learning_rate` is 0.0005 there, not 0.001; a training goes on only under its own settings"
        ),
        "{message}"
    );
    let longer = fixture.train("run", &small(3), u64::MAX).unwrap();
    assert_eq!((longer.resumed_from, longer.n_steps), (6, 18));
}

#[test]
fn settings_out_of_range_and_pictures_of_another_size_are_refused() {
    let fixture = Fixture::new();
    let message = |config: &TrainConfig| fixture.train("bad", config, u64::MAX).unwrap_err().to_string();
    let error = message(&TrainConfig { batch_size: Some(51), ..small(1) });
    assert_eq!(error, "`batch_size`: expected at most the number of pictures, 50, found 51");
    let error = message(&TrainConfig { learning_rate: Some(-1.0), ..small(1) });
    assert_eq!(error, "`learning_rate`: expected a number between 0 and 1, found -1");
    let error = message(&TrainConfig { architecture: ArchitectureName::Faces64, ..small(1) });
    assert!(error.contains("pictures of 3x64x64, the image store holds pictures of 3x32x32"), "{error}");
}
