//! A small training for the tests.

use std::path::PathBuf;

use dcgan_images::{ImportConfig, Source, Split, import};
use dcgan_synthetic::{ShapesConfig, write_shapes};

use super::*;
use crate::ArchitectureName;

pub(super) fn small(epochs: u64) -> TrainConfig {
    TrainConfig {
        width: 1.0 / 16.0,
        batch_size: Some(8),
        epochs: Some(epochs),
        log_every: 1,
        ..TrainConfig::paper(ArchitectureName::Svhn32)
    }
}

pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: ImageStore,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shapes = ShapesConfig { n_train: 50, n_test: 10, ..ShapesConfig::default() };
        write_shapes(&dir.path().join("shapes"), &shapes).unwrap();
        let source = Source::Cifar10 { path: dir.path().join("shapes"), split: Split::Train };
        let out = dir.path().join("store");
        import(&source, &ImportConfig::default(), &out, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let store = ImageStore::open(&out).unwrap();
        Self { dir, store }
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        folder
    }

    /// Trains, stopping when `stop` minibatches are done.
    pub(super) fn train(&self, name: &str, config: &TrainConfig, stop: u64) -> Result<TrainSummary> {
        self.train_with_warnings(name, config, stop).0
    }

    pub(super) fn train_with_warnings(
        &self,
        name: &str,
        config: &TrainConfig,
        stop: u64,
    ) -> (Result<TrainSummary>, Vec<String>) {
        let mut warnings = Vec::new();
        let mut observe = |event: Event<'_>| {
            match event {
                Event::Minibatch { done, .. } if done >= stop => return ControlFlow::Break(()),
                Event::Minibatch { .. } | Event::Logged { .. } => {}
                Event::Warning(message) => warnings.push(message.to_string()),
            }
            ControlFlow::Continue(())
        };
        let trained = train(&self.store, config, &self.folder(name), &Device::CPU, &mut observe);
        (trained, warnings)
    }

    /// Names of the files in a folder of a training.
    pub(super) fn names(&self, name: &str, folder: &str) -> Vec<String> {
        let entries = fs_err::read_dir(self.dir.path().join(name).join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(super) fn assert_same_networks(&self, a: &str, b: &str) {
        for file in [files::GENERATOR, files::DISCRIMINATOR] {
            assert!(self.bytes(a, file) == self.bytes(b, file), "{file} of {a} and {b}");
        }
    }

    pub(super) fn bytes(&self, name: &str, file: &str) -> Vec<u8> {
        fs_err::read(self.dir.path().join(name).join(file)).unwrap()
    }

    pub(super) fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.bytes(name, files::METRICS)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
