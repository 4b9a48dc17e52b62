//! What the tests of the binary share.
#![allow(dead_code)]

#[cfg(target_os = "linux")]
pub(crate) mod calls;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// A pipeline that takes a second: shapes → images → pixels → SVM → report.
pub(crate) const SMALL: &str = r#"
name = "small"
[vars]
c = 0.001
n_train = 60
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = "${n_train}"
n_test = 30
[[stage]]
id = "train-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "test-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "train-pixels"
[stage.extract_features]
images = "train-images"
[[stage]]
id = "test-pixels"
[stage.extract_features]
images = "test-images"
[[stage]]
id = "svm"
[stage.fit_svm]
train = "train-pixels"
test = "test-pixels"
c = "${c}"
[[stage]]
id = "report"
[stage.report]
results = ["svm"]
"#;

/// A training that takes some seconds.
pub(crate) const TRAINING: &str = r#"
name = "m"
[vars]
steps = 600
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 64
n_test = 10
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 8, epochs = 100000, max_steps = "${steps}", log_every = 1, checkpoint_steps = 7, score_every_steps = 100 }
"#;

/// A folder with a manifest in it, to run `dcgan` in.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.toml"), manifest).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A folder of `n` pictures of 40×32 pixels.
    pub(crate) fn pictures(&self, folder: &str, n: u8) {
        std::fs::create_dir_all(self.path(folder)).unwrap();
        for k in 0..n {
            let picture = image::RgbImage::from_fn(40, 32, |x, y| {
                image::Rgb([k.wrapping_mul(7), (x * 5) as u8, (y * 7) as u8])
            });
            picture.save(self.path(folder).join(format!("{k:03}.png"))).unwrap();
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// `dcgan` with arguments, run in the folder.
    pub(crate) fn dcgan(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("dcgan").unwrap();
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    /// The same, to be started and left to itself.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("dcgan"));
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    /// Runs it, expects success, returns what it printed.
    pub(crate) fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.dcgan(arguments).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it, expects success, returns what it said.
    pub(crate) fn stderr(&self, arguments: &[&str]) -> String {
        let output = self.dcgan(arguments).assert().success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs it, expects an exit code, returns what it said.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.dcgan(arguments).assert().code(code).get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    }
}
