//! What a row of Table 2 rests on: which pictures statistics and networks saw, and over what it is a mean.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::Place;
use serde_json::Value;

/// Bytes of a label and a picture in CIFAR-10's binary version.
const RECORD: usize = 1 + 3 * 32 * 32;
/// Pictures in each of the five files.
const IN_FILE: usize = 60;

const TABLE_2: &str = r#"
name = "table"
[vars]
seed = 0
[[stage]]
id = "gan-images"
[stage.import_images]
source.cifar10 = { path = "gan", split = "train" }
[[stage]]
id = "train-images"
[stage.import_images]
source.cifar10 = { path = "measured", split = "train" }
[[stage]]
id = "test-images"
[stage.import_images]
source.cifar10 = { path = "measured", split = "test" }
[[stage]]
id = "train"
[stage.train_gan]
images = "gan-images"
training = { architecture = "svhn32", width = 0.05, max_steps = 4, batch_size = 16, seed = "${seed}" }
[[stage]]
id = "train-features"
[stage.extract_features]
images = "train-images"
model = "train"
statistics = "train-images"
held_out = { n_validation = 100, seed = 7 }
[[stage]]
id = "test-features"
[stage.extract_features]
images = "test-images"
model = "train"
statistics = "train-images"
held_out = { n_validation = 100, seed = 7 }
[[stage]]
id = "table-2"
[stage.svhn_protocol]
train = "train-features"
test = "test-features"
protocol = { cs = [1e-3, 1e-2], n_validation = 100, n_per_class = 5, n_search_draws = 1, n_final_draws = 3, seed = 7 }
[[stage]]
id = "untrained-train-features"
[stage.extract_features]
images = "train-images"
model = "train"
statistics = "train-images"
held_out = { n_validation = 100, seed = 7 }
untrained = true
seed = "${seed}"
[[stage]]
id = "untrained-test-features"
[stage.extract_features]
images = "test-images"
model = "train"
statistics = "train-images"
held_out = { n_validation = 100, seed = 7 }
untrained = true
seed = "${seed}"
[[stage]]
id = "table-2-untrained"
[stage.svhn_protocol]
train = "untrained-train-features"
test = "untrained-test-features"
protocol = { cs = [1e-3, 1e-2], n_validation = 100, n_per_class = 5, n_search_draws = 1, n_final_draws = 3, seed = 7 }
[[stage]]
id = "report"
[stage.report]
results = ["table-2", "table-2-untrained"]
"#;

/// A place with the same 300 and 40 pictures in `gan` and in `measured`.
fn place() -> Place {
    let place = Place::new(TABLE_2);
    let made = ["shapes.n_train=300", "shapes.n_test=40"];
    place.stdout(&["stage", "synthesize", "--out", "made", made[0], made[1]]);
    for copy in ["gan", "measured"] {
        fs::create_dir(place.path(copy)).unwrap();
        for file in fs::read_dir(place.path("made/cifar-10-batches-bin")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), place.path(copy).join(file.file_name())).unwrap();
        }
    }
    place
}

/// Inverts the training pictures at `rows`.
fn invert(folder: &Path, rows: impl IntoIterator<Item = usize>) {
    for row in rows {
        let path = folder.join(format!("data_batch_{}.bin", row / IN_FILE + 1));
        let mut bytes = fs::read(&path).unwrap();
        let start = row % IN_FILE * RECORD;
        bytes[start + 1..start + RECORD].iter_mut().for_each(|value| *value = 255 - *value);
        fs::write(path, bytes).unwrap();
    }
}

fn json(place: &Place, file: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(&format!("runs/table/{file}"))).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn statistics_see_no_validation_picture_and_the_row_says_which_pictures_the_network_saw() {
    let place = place();
    let only = ["run", "m.toml", "--set", "report.results=[\"table-2\"]"];
    place.stdout(&only);
    let features = || fs::read(place.path("runs/table/test-features/features.npy")).unwrap();
    let before = features();
    let result = json(&place, "table-2/result.json");
    let facts = texts(&result["facts"]);
    for fact in [
        "the GAN was trained on 100 of the 100 validation pictures, without labels",
        "the GAN was trained on 0 of the 40 test pictures, without labels",
    ] {
        assert!(facts.contains(&fact), "{facts:?}");
    }
    let record = json(&place, "table-2/stage.json");
    let is_told = |record: &Value| record["differences"].to_string().contains("batch-norm statistics");
    assert!(!is_told(&record), "{}", record["differences"]);

    let draws = json(&place, "table-2/draws.json");
    let validation: Vec<usize> = serde_json::from_value(draws["validation"].clone()).unwrap();
    assert_eq!(validation.len(), 100);
    invert(&place.path("measured"), validation.iter().copied());
    place.stdout(&only);
    assert_eq!(features(), before, "statistics depend on a validation picture");
    let result = json(&place, "table-2/result.json");
    let fact = "the GAN was trained on 0 of the 100 validation pictures, without labels";
    assert!(texts(&result["facts"]).contains(&fact), "{result}");
    invert(&place.path("measured"), (0..300).find(|row| !validation.contains(row)));
    place.stdout(&only);
    assert_ne!(features(), before);

    // Other rows left out than those that choose C.
    let mut other = only.to_vec();
    for set in ["train-features.held_out.seed=8", "test-features.held_out.seed=8"] {
        other.extend(["--set", set]);
    }
    place.stdout(&other);
    assert!(is_told(&json(&place, "table-2/stage.json")));
    // Features of the two sets made with different statistics.
    let said = place.fails(1, &other[..6]);
    assert!(said.contains("different `held_out`"), "{said}");
}

#[test]
fn seeds_of_networks_share_their_draws_and_their_spread_stands_apart() {
    let place = place();
    place.stdout(&["run", "m.toml", "--set", "seed=[0, 1, 2]"]);
    let drawn = |stage: &str| json(&place, &format!("{stage}/draws.json"));
    for stage in ["table-2@seed=1", "table-2@seed=2", "table-2-untrained@seed=0", "table-2-untrained@seed=2"]
    {
        assert_eq!(drawn(stage), drawn("table-2@seed=0"), "{stage}");
    }
    let report = json(&place, "report/report.json");
    let rows = report["tables"][0]["rows"].as_array().unwrap();
    let row = |method: &str| {
        rows.iter().find(|row| row["method"] == method).unwrap_or_else(|| panic!("{method}: {rows:#?}"))
    };
    for features in ["DCGAN discriminator", "untrained discriminator"] {
        let of = |column: usize, key: &str| {
            [0, 1, 2].map(|seed: usize| {
                let row = row(&format!("{features} + L2-SVM, this run, seed={seed}"));
                row["cells"][column][key].as_f64()
            })
        };
        let mean_and_deviation = |column: usize| {
            let values = of(column, "value").map(Option::unwrap);
            let mean = values.iter().sum::<f64>() / 3.0;
            let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            format!("{mean:.2} ± {:.2}", (squares / 2.0).sqrt())
        };
        let within = of(0, "deviation").map(Option::unwrap).iter().sum::<f64>() / 3.0;
        // One draw chose C: its error has no spread.
        assert_eq!(of(1, "deviation"), [None; 3]);
        let row = row(&format!("{features} + L2-SVM, this run, mean of 3"));
        let test = format!("{} (draws ± {within:.2})", mean_and_deviation(0));
        assert_eq!(texts(&row["texts"]), [test, mean_and_deviation(1)]);
        assert!(texts(&row["facts"])[0].starts_with("mean ± standard deviation of seed=0, 1, 2"), "{row}");
    }
}
