//! Networks of other sizes than the paper's, and the conditional one of MNIST: from IDX files to Table 3.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

const MANIFEST: &str = r#"
name = "m"
[[stage]]
id = "train-images"
[stage.import_images]
source.mnist = { images = "train-images", labels = "train-labels" }
channels = 1
[[stage]]
id = "test-images"
[stage.import_images]
source.mnist = { images = "test-images", labels = "test-labels" }
channels = 1
[[stage]]
id = "train"
[stage.train_gan]
images = "train-images"
training = { architecture = "mnist28", width = 0.05, batch_size = 16, max_steps = 8, ema_decay = 0.9 }
[[stage]]
id = "samples"
[stage.sample]
model = "train"
pixels = true
[[stage]]
id = "table-3"
[stage.mnist_protocol]
model = "train"
test = "test-images"
n_generated = [100, 300]
[[stage]]
id = "real"
[stage.mnist_protocol]
train = "train-images"
test = "test-images"
[[stage]]
id = "report"
[stage.report]
results = ["table-3", "real"]
samples = ["samples"]
"#;

/// A bright bar for each digit at a place of its own, and some noise.
fn picture(i: usize) -> Vec<u8> {
    let digit = i % 10;
    let pixel = |k: usize| match (k / 28 / 2 == digit + 1, (k * 31 + i * 17).is_multiple_of(97)) {
        (true, _) => 200 + (i % 50) as u8,
        (false, is_noise) => u8::from(is_noise) * 90,
    };
    (0..784).map(pixel).collect()
}

/// IDX files of `n` pictures whose labels go round.
fn write_digits(place: &Place, part: &str, first: usize, n: usize) {
    let head = |magic: u32, sizes: &[u32]| {
        std::iter::once(&magic).chain(sizes).flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>()
    };
    let mut images = head(0x803, &[n as u32, 28, 28]);
    (first..first + n).for_each(|i| images.extend(picture(i)));
    let mut labels = head(0x801, &[n as u32]);
    labels.extend((first..first + n).map(|i| (i % 10) as u8));
    std::fs::write(place.path(&format!("{part}-images")), images).unwrap();
    std::fs::write(place.path(&format!("{part}-labels")), labels).unwrap();
}

fn digits(manifest: &str) -> Place {
    let place = Place::new(manifest);
    write_digits(&place, "train", 0, 200);
    write_digits(&place, "test", 1000, 50);
    place
}

fn json(place: &Place, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(&format!("runs/m/{file}"))).unwrap()).unwrap()
}

#[test]
fn table_3_from_idx_files_to_the_report() {
    let place = digits(MANIFEST);
    let told = place.stdout(&["run", "m.toml"]);
    assert!(told.contains("Table 3") && told.contains("DCGAN (this run) + 1-NN"), "{told}");
    let errors = json(&place, "table-3/errors.json");
    assert_eq!((errors[0]["n_digits"].as_u64(), errors[1]["n_digits"].as_u64()), (Some(100), Some(300)));
    // Bars at places of their own are told apart without a fault.
    assert_eq!(
        json(&place, "real/result.json")["cells"],
        serde_json::json!([null, {"value": 0.0, "deviation": null}, null])
    );
    assert_eq!(json(&place, "real/errors.json")[0]["n_digits"], 200);
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    for text in ["2.98", "1.48", "6.28", "5.65", "3.10", "200 real digits"] {
        assert!(page.contains(text), "{text}");
    }
    // A row a digit with the same z down the columns.
    let read = |file: &str| std::fs::read(place.path(&format!("runs/m/samples/{file}"))).unwrap();
    let (z, pixels, labels) = (read("z.npy"), read("pixels.npy"), read("labels.npy"));
    assert_eq!((z.len(), pixels.len()), (128 + 100 * 400, 128 + 100 * 784));
    assert_eq!(z[128..128 + 10 * 400], z[128 + 90 * 400..]);
    assert_ne!(pixels[128..128 + 784], pixels[128 + 10 * 784..128 + 11 * 784]);
    let labels: Vec<u8> = labels[128..].chunks_exact(8).map(|bytes| bytes[0]).collect();
    assert_eq!((labels[0], labels[9], labels[10], labels[99]), (0, 0, 1, 9));
    // The same bits again, and none that depend on what else is asked for.
    place.stdout(&["run", "m.toml", "--runs", "again", "--set", "table-3.n_generated=[100]"]);
    let again = std::fs::read(place.path("again/m/table-3/errors.json")).unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again[0], errors[0]);
}

#[test]
fn what_takes_no_labels_or_needs_them_says_so_before_anything_runs() {
    let add = |stage: &str| format!("{MANIFEST}[[stage]]\nid = \"x\"\n[stage.{stage}\n");
    for (stage, told) in [
        ("walk]\nmodel = \"train\"", "key `label`: expected a label, 0 to 9: the generator is conditional"),
        ("walk]\nmodel = \"train\"\nlabel = 10", "expected a label, 0 to 9, found 10"),
        ("sample]\nmodel = \"train\"\nlabels = [3, 10]", "expected labels 0 to 9, the generator's, found 10"),
        (
            "sample]\nmodel = \"train\"\nn_columns = 5",
            "key `n_columns`: expected none with a conditional generator",
        ),
        ("sample]\nmodel = \"train\"\nsorted_by = \"train\"", "found one conditional on 10 classes"),
        (
            "extract_features]\nmodel = \"train\"\nimages = \"test-images\"\nstatistics = \"train-images\"",
            "its maps hold the label itself",
        ),
        ("guided_backprop]\nmodel = \"train\"\nimages = \"train-images\"", "depends on the label too"),
        (
            "turn]\nmodel = \"train\"\nsamples = \"samples\"\nleft = [1]\nright = [2]",
            "only together with a label",
        ),
        (
            "arithmetic]\nmodel = \"train\"\nsamples = \"samples\"\na = [1]\nb = [2]\nc = [3]",
            "only together with a label",
        ),
        (
            "forget]\nmodel = \"train\"\nsamples = \"samples\"\nrule = \"windows\"",
            "expected a network of colour pictures",
        ),
        (
            "mnist_protocol]\nmodel = \"train\"\ntrain = \"train-images\"\ntest = \"test-images\"",
            "found both",
        ),
        (
            "train_gan]\nimages = \"train-images\"\ntraining = { architecture = { size = 32, channels = 1 } }",
            "expected grey pictures of 32×32, which { size = 32, channels = 1 } takes, found grey ones of 28×28",
        ),
        (
            "train_gan]\nimages = \"train-images\"\ntraining = { architecture = { size = 28 } }",
            "expected colour pictures of 28×28, which { size = 28 } takes, found grey ones of 28×28; where they are imported, `channels = 3`",
        ),
        ("train_gan]\nimages = \"train-images\"\ntraining = { architecture = { size = 30 } }", "found 30"),
        (
            "train_gan]\nimages = \"train-images\"\ntraining = { architecture = { siez = 28 } }",
            "did you mean `size`?",
        ),
    ] {
        let place = digits(&add(stage));
        let output = place.command(&["run", "m.toml"]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            [1, 2].contains(&output.status.code().unwrap()) && message.contains(told),
            "{stage}: {message}"
        );
        assert!(!place.path("runs/m/train").exists(), "{stage}");
    }
}

#[test]
fn other_networks_refuse_labels() {
    let place = digits(&MANIFEST.replace("\"mnist28\"", "{ size = 28, channels = 1 }"));
    let told = place.fails(1, &["run", "m.toml"]);
    assert!(
        told.contains("expected a conditional generator, as mnist28 is, found one without labels"),
        "{told}"
    );
    let told = place.fails(1, &["run", "m.toml", "--set", "samples.labels=[1]", "--to", "samples"]);
    assert!(told.contains("is of use only with a conditional generator"), "{told}");
}

#[test]
fn a_training_begins_with_another_stages_networks() {
    let again = |keys: &str, network: &str| {
        let training = format!("architecture = {network}, width = 0.05, batch_size = 16, max_steps = 2");
        format!(
            "{MANIFEST}[[stage]]\nid = \"again\"\n[stage.train_gan]\nimages = \"train-images\"\n{keys}\ntraining = {{ {training} }}\n"
        )
    };
    let place = digits(&again("from = \"train\"", "\"mnist28\""));
    place.stdout(&["run", "m.toml", "--to", "again"]);
    let place = digits(&again("from = \"train\"\nfrom_networks = \"discriminator\"", "\"mnist28\""));
    place.stdout(&["run", "m.toml", "--to", "again"]);
    let other = again("from = \"train\"", "{ size = 28, channels = 1 }");
    let told = digits(&other).fails(1, &["run", "m.toml", "--to", "again"]);
    assert!(
        told.contains("expected networks of grey pictures of 28×28, as `training.architecture` says, found networks of grey pictures of 28×28, conditional on 10 classes"),
        "{told}"
    );
    let wide = again("from = \"train\"", "\"mnist28\"").replace(
        "width = 0.05, batch_size = 16, max_steps = 2",
        "width = 0.1, batch_size = 16, max_steps = 2",
    );
    // Before anything runs, by the manifest alone, and where the networks lie outside.
    let told = digits(&wide).fails(1, &["check", "m.toml"]);
    assert!(told.contains("key `from`: expected the networks that `training.architecture`"), "{told}");
    assert!(told.contains("`hidden.weight`: expected [110, 102], found [110, 51]"), "{told}");
    let outside =
        wide.replace("from = \"train\"", "from = \"runs/m/train\"").replace("width = 0.05", "width = 0.1");
    std::fs::write(place.path("other.toml"), outside).unwrap();
    let told = place.fails(1, &["check", "other.toml"]);
    assert!(told.contains("`hidden.weight`: expected [110, 102], found [110, 51]"), "{told}");
}

#[test]
fn labels_are_matched_to_the_test_sets_by_the_classes_names() {
    let place = digits(MANIFEST);
    place.stdout(&["run", "m.toml", "--to", "table-3"]);
    let store = |name: &str, change: &dyn Fn(&str) -> String| {
        let to = place.path(name);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(place.path("runs/m/test-images")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name().unwrap() != "stage.json" {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        let meta = std::fs::read_to_string(to.join("meta.json")).unwrap();
        std::fs::write(to.join("meta.json"), change(&meta)).unwrap();
    };
    store("same", &|meta| meta.to_owned());
    store("others", &|meta| meta.replacen("\"0\"", "\"nought\"", 1));
    let run = |test: &str| {
        let (out, test) = (format!("--out=by-{test}"), format!("test={test}"));
        vec![
            "stage".to_owned(),
            "mnist_protocol".to_owned(),
            out,
            "model=runs/m/train".to_owned(),
            test,
            "n_generated=[100]".to_owned(),
        ]
    };
    let of = |arguments: &[String]| place.stdout(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    of(&run("same"));
    let errors = |file: &str| std::fs::read_to_string(place.path(file)).unwrap();
    let ours: Value = serde_json::from_str(&errors("by-same/errors.json")).unwrap();
    assert_eq!(ours[0], json(&place, "table-3/errors.json")[0]);
    let others = run("others");
    let told = place.fails(1, &others.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(told.contains("its classes are not those that the generator learned"), "{told}");
    assert!(told.contains("class `nought`"), "{told}");
}

/// The folder of a stage that did not end.
fn half_done(place: &Place) -> Option<PathBuf> {
    let folders = std::fs::read_dir(place.path("runs/m/.dcgan/partial/table-3")).ok()?;
    folders.map(|entry| entry.unwrap().path()).next()
}

#[test]
fn table_3_that_was_killed_goes_on_with_the_same_errors() {
    for signal in ["-INT", "-KILL"] {
        let place = digits(MANIFEST);
        let counts = ["run", "m.toml", "--set", "table-3.n_generated=[1000, 9000, 150000]"];
        let child = Command::new(assert_cmd::cargo::cargo_bin("dcgan"))
            .args(counts)
            .current_dir(place.folder())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !half_done(&place).is_some_and(|folder| folder.join("found.json").exists()) {
            assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), (signal == "-INT").then_some(130));
        assert!(half_done(&place).is_some() && !place.path("runs/m/table-3").exists());
        place.stdout(&counts);
        assert!(!place.path("runs/m/table-3/found.json").exists());
        place.stdout(&[&counts[..], &["--runs", "whole"]].concat());
        let read = |runs: &str| std::fs::read(place.path(runs).join("m/table-3/errors.json")).unwrap();
        assert!(read("runs") == read("whole"), "other errors after {signal}");
    }
}
