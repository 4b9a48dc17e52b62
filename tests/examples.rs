//! The examples that `dcgan stage KIND --help` prints, run as printed where that takes seconds.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Command;

use common::Place;

/// Makes, from made-up digits and in little time, what examples read: the stages have the ids of the project's pipelines.
const MANIFEST: &str = r#"
name = "svhn-released"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 120
n_test = 40
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
id = "weights"
[stage.train_gan]
images = "train-images"
training = { architecture = "svhn32", width = 0.04, batch_size = 8, epochs = 1, max_steps = 2 }
[[stage]]
id = "samples"
[stage.sample]
model = "weights"
[[stage]]
id = "train-features"
[stage.extract_features]
images = "train-images"
[[stage]]
id = "test-features"
[stage.extract_features]
images = "test-images"
[[stage]]
id = "table-2"
[stage.fit_svm]
train = "train-features"
test = "test-features"
c = 0.001
"#;

/// The command in a kind's help, for a folder of its own.
fn printed(place: &Place, kind: &str, out: &str) -> String {
    let help = place.stdout(&["stage", kind, "--help"]);
    let start = help.find("  dcgan stage ").unwrap();
    let end = start + help[start..].find("\n\n").unwrap();
    help[start..end].replacen("--out DIR", &format!("--out {out}"), 1)
}

/// The stage of a manifest in a kind's help.
fn printed_stage(place: &Place, kind: &str) -> String {
    let help = place.stdout(&["stage", kind, "--help"]);
    let (_, stage) = help.split_once("In a manifest").unwrap();
    stage.lines().skip(1).collect::<Vec<_>>().join("\n") + "\n"
}

fn shell(place: &Place, script: &str) -> (bool, String) {
    let program = assert_cmd::cargo::cargo_bin("dcgan");
    let script = format!("dcgan() {{ '{}' \"$@\"; }}\n{script}", program.display());
    let output = Command::new("sh").current_dir(place.folder()).arg("-c").arg(script).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_examples_of_the_help_run_as_printed() {
    let place = Place::new(MANIFEST);
    place.stdout(&["run", "m.toml"]);
    let runs = place.path("runs");
    for name in ["svhn", "table-1", "faces"] {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(runs.join("svhn-released"))
            .arg(runs.join(name))
            .status()
            .unwrap();
        assert!(copied.success());
    }
    std::fs::rename(runs.join("faces/weights"), runs.join("faces/train")).unwrap();
    // In this order: later ones read `out/samples`.
    let kinds = [
        "synthesize",
        "sample",
        "walk",
        "arithmetic",
        "turn",
        "guided_backprop",
        "extract_features",
        "fit_svm",
        "report",
    ];
    let out = |kind: &str| if kind == "sample" { "out/samples".to_owned() } else { format!("out/{kind}") };
    for kind in kinds {
        let (is_done, told) = shell(&place, &printed(&place, kind, &out(kind)));
        assert!(is_done, "{kind}: {told}");
        assert!(place.path(&out(kind)).join("stage.json").exists(), "{kind}");
    }
    // And as stages of a manifest that has what they read.
    let mut manifest = MANIFEST.replace("svhn-released", "mine");
    for kind in ["sample", "walk", "arithmetic", "extract_features", "guided_backprop", "fit_svm", "report"] {
        manifest.push_str(&printed_stage(&place, kind));
    }
    let pages = manifest.replacen("model = \"weights\"\n", "model = \"weights\"\nn_images = 100\n", 1);
    std::fs::write(place.path("mine.toml"), pages).unwrap();
    let told = place.stderr(&["run", "mine.toml"]);
    assert!(told.contains("15 stages ran, 0 were unchanged"), "{told}");
}
