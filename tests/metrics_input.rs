//! Bad input of `sample_metrics`, `memorisation` and what they read: no figure is written that is none, and what would mislead is said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::Place;
use serde_json::Value;

/// Pictures, a tiny GAN of them, and a stage to be written behind them.
const BEFORE: &str = r#"
name = "m"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 60
n_test = 30
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "held-out"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "gan"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 16, epochs = 100, max_steps = 2 }
[[stage]]
id = "photos"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(32)"
[[stage]]
id = "digits"
[stage.import_images]
source.mnist.images = "digits.idx"
channels = 1
"#;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Writes features.npy of f32, or of f64.
fn features(place: &Place, folder: &str, values: &[f64], n_columns: usize, descr: &str) {
    std::fs::create_dir_all(place.path(folder)).unwrap();
    let shape = [(values.len() / n_columns) as u64, n_columns as u64];
    let mut bytes = dcgan_files::npy::head(descr, &shape);
    for value in values {
        match descr {
            "<f4" => bytes.extend((*value as f32).to_le_bytes()),
            _ => bytes.extend(value.to_le_bytes()),
        }
    }
    std::fs::write(place.path(folder).join("features.npy"), bytes).unwrap();
}

/// An IDX file of two digits, without one of labels.
fn digits(place: &Place) {
    let bytes = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..], &[7; 2 * 28 * 28]].concat();
    std::fs::write(place.path("digits.idx"), bytes).unwrap();
}

fn stage<'a>(kind: &'a str, out: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    [&["stage", kind, "--out", out], settings].concat()
}

/// What a check of `BEFORE` with one more stage says.
fn refused(place: &Place, more: &str) -> String {
    std::fs::write(place.path("more.toml"), format!("{BEFORE}[[stage]]\nid = \"more\"\n{more}\n")).unwrap();
    place.fails(1, &["check", "more.toml"])
}

#[test]
fn keys_of_no_use_are_refused_before_anything_runs() {
    let place = Place::new(BEFORE);
    place.pictures("photos", 6);
    digits(&place);
    let metrics = |keys: &str| format!("[stage.sample_metrics]\nreal = \"images\"\n{keys}");
    let drawn = "is of use only where a generator draws the pictures; `photos` holds pictures";
    for (stage, key, why) in [
        (metrics("generated = \"photos\"\nn_images = 20"), "n_images", drawn),
        (metrics("generated = \"photos\"\nweights = \"ema\""), "weights", drawn),
        (metrics("generated = \"photos\"\nbatch_norm = \"inferred\""), "batch_norm", drawn),
        (metrics("generated = \"photos\"\neach_checkpoint = true"), "each_checkpoint", drawn),
        (metrics("generated = \"gan\"\ninfinity = true\nmeasures = [\"prdc\"]"), "infinity", "the measure frechet"),
        (metrics("generated = \"gan\"\ninception_score.splits = 5"), "inception_score", "only with `inception`"),
        (metrics("generated = \"gan\"\nkernel.subsets = 5\nmeasures = [\"prdc\"]"), "kernel", "the measure kernel"),
        (metrics("generated = \"gan\"\nk = 3\nmeasures = [\"kernel\"]"), "k", "the measure prdc"),
        (metrics("generated = \"gan\"\nbootstrap = 3\nmeasures = [\"kernel\"]"), "bootstrap", "measures prdc and"),
        (metrics("generated = \"gan\"\nn_real = 61"), "n_real", "at most the number of pictures, 60, found 61"),
        (
            "[stage.memorisation]\ngenerated = \"photos\"\ntraining = \"images\"\nheld_out = \"held-out\"\nn_images = 9".to_owned(),
            "n_images",
            drawn,
        ),
        (
            "[stage.memorisation]\ngenerated = \"held-out\"\ntraining = \"images\"\nheld_out = \"held-out\"".to_owned(),
            "held_out",
            "expected other pictures than `generated`",
        ),
        (
            "[stage.remove_duplicates]\nsource.folder.path = \"photos\"\ngroups = \"photos\"\nby = \"hard_link\"".to_owned(),
            "by",
            "is of use only with `target = \"folder\"`",
        ),
        (
            "[stage.train_autoencoder]\nimages = \"images\"\ntraining = { n_images = 61, batch_size = 8 }".to_owned(),
            "training.n_images",
            "at most the number of pictures, 60, found 61",
        ),
    ] {
        let message = refused(&place, &stage);
        assert!(message.contains(&format!("key `{key}`")) && message.contains(why), "{key}: {message}");
    }
}

#[test]
fn sets_without_labels_are_found_before_anything_runs() {
    let place = Place::new(BEFORE);
    place.pictures("photos", 6);
    digits(&place);
    let unlabelled = "expected pictures with labels, or features of such, found none";
    for (stage, key) in [
        (
            "[stage.train_gan]\nimages = \"digits\"\ntraining = { architecture = \"mnist28\", batch_size = 2 }",
            "images",
        ),
        (
            "[stage.train_classifier]\nimages = \"photos\"\ntest = \"held-out\"\ntraining = { architecture = \"svhn32\", positive = [1] }",
            "images",
        ),
        (
            "[stage.train_classifier]\nimages = \"images\"\ntest = \"photos\"\ntraining = { architecture = \"svhn32\", positive = [1] }",
            "test",
        ),
        ("[stage.mnist_protocol]\nmodel = \"gan\"\ntest = \"digits\"", "test"),
        (
            "[stage.supervised_search]\ntrain = \"images\"\ntest = \"photos\"\ndraws.n_validation = 10\nsearch = { architecture = \"svhn32\" }",
            "test",
        ),
    ] {
        let message = refused(&place, stage);
        assert!(message.contains(&format!("key `{key}`: {unlabelled}")), "{key}: {message}");
    }
    // Of a store that no stage of the manifest makes, too.
    for out in ["out/photos", "out/other"] {
        let settings = ["source.folder.path=photos", "resize=min_resize_centre_crop(32)"];
        place.stderr(&stage("import_images", out, &settings));
    }
    let settings =
        ["images=out/photos", "test=out/other", "training.architecture=svhn32", "training.positive=[1]"];
    let message = place.fails(1, &stage("train_classifier", "out/classifier", &settings));
    assert!(message.contains(unlabelled), "{message}");
}

#[test]
fn a_set_beside_itself_is_said() {
    let place = Place::new(BEFORE);
    place.stderr(&["run", "m.toml", "--only", "shapes", "--only", "images", "--only", "held-out"]);
    let measures = "measures=[\"frechet\",\"prdc\"]";
    let itself = "`generated` is the real set itself: this checks the measures";
    let same = ["real=runs/m/images", "generated=runs/m/images", measures];
    let said = place.stderr(&stage("sample_metrics", "out/same", &same));
    assert_eq!(said.matches(itself).count(), 1, "{said}");
    let warnings = read(&place.path("out/same/metrics.json"))["warnings"].to_string();
    assert!(warnings.contains(itself), "{warnings}");
    // A copy without its record, and one picture among others.
    std::fs::create_dir_all(place.path("copy")).unwrap();
    for file in ["images.npy", "index.parquet", "meta.json"] {
        std::fs::copy(place.path("runs/m/images").join(file), place.path("copy").join(file)).unwrap();
    }
    let said = place.stderr(&stage(
        "sample_metrics",
        "out/copy",
        &["real=runs/m/images", "generated=copy", measures],
    ));
    assert!(said.contains(itself), "{said}");
    let said = place.stderr(&stage(
        "sample_metrics",
        "out/some",
        &["real=runs/m/images", "generated=copy", "n_real=20", measures],
    ));
    assert!(
        said.contains("20 of the 60 generated pictures have exactly the features of a real one"),
        "{said}"
    );

    // Memorisation: a yardstick that is judged itself, or was trained on.
    let of = |generated, held_out| {
        [
            format!("generated={generated}"),
            "training=runs/m/images".to_owned(),
            format!("held_out={held_out}"),
        ]
    };
    let fails = |generated, held_out, out| {
        let settings = of(generated, held_out);
        place.fails(1, &stage("memorisation", out, &settings.each_ref().map(String::as_str)))
    };
    let message = fails("runs/m/held-out", "copy", "out/a");
    assert!(
        message
            .contains("`held_out`: expected pictures that are not all in `training`, found that all 60 are"),
        "{message}"
    );
    std::fs::remove_dir_all(place.path("copy")).unwrap();
    std::fs::create_dir_all(place.path("copy")).unwrap();
    for file in ["images.npy", "index.parquet", "meta.json"] {
        std::fs::copy(place.path("runs/m/held-out").join(file), place.path("copy").join(file)).unwrap();
    }
    let message = fails("copy", "runs/m/held-out", "out/b");
    assert!(message.contains("not all in `generated`, found that all 30 are"), "{message}");
    let settings = of("runs/m/images", "runs/m/held-out");
    let said = place.stderr(&stage("memorisation", "out/c", &settings.each_ref().map(String::as_str)));
    assert!(said.contains("`generated` is the training set itself: this checks the measure"), "{said}");
}

#[test]
fn features_that_give_no_figures_are_refused_and_odd_ones_explained() {
    let place = Place::new(BEFORE);
    let line: Vec<f64> = (0..40).map(|i| f64::from(i * i % 37) / 8.0).collect();
    features(&place, "real", &line, 2, "<f4");
    features(&place, "huge", &line.iter().map(|x| 1e37 * (x - 2.0)).collect::<Vec<_>>(), 2, "<f4");
    features(&place, "constant", &[1.5; 24], 2, "<f4");
    features(&place, "doubles", &line.iter().map(|x| x / 3.0).collect::<Vec<_>>(), 2, "<f8");
    features(&place, "exact", &line, 2, "<f8");
    let of = |generated: &'static str| vec!["real=real", generated];
    let message = place.fails(1, &stage("sample_metrics", "out/huge", &of("generated=huge")));
    assert!(message.contains("the kernel distance: expected a finite number, found"), "{message}");
    assert!(!place.path("out/huge/result.json").exists());
    let said = place.stderr(&stage("sample_metrics", "out/constant", &of("generated=constant")));
    assert!(
        said.contains("12 of the 12 generated pictures have the features of 5 others of their set"),
        "{said}"
    );
    let all = std::fs::read_to_string(place.path("out/constant/metrics.json")).unwrap();
    assert!(all.contains("have the features of 5 others"), "{all}");
    // A third of a number has no end in binary, but of multiples of 3.
    let n_rounded = line.iter().filter(|x| f64::from((*x / 3.0) as f32) != *x / 3.0).count();
    let rounded = format!("doubles/features.npy: {n_rounded} of its 40 numbers of f64 are rounded to f32");
    let said = place.stderr(&stage("sample_metrics", "out/doubles", &of("generated=doubles")));
    assert!(n_rounded > 20 && said.contains(&rounded), "{said}");
    let said = place.stderr(&stage("sample_metrics", "out/exact", &of("generated=exact")));
    assert!(!said.contains("rounded"), "{said}");
    // Statistics of another number of features are refused before any are made.
    place.stderr(&stage(
        "sample_metrics",
        "out/statistics",
        &["real=real", "generated=constant", "write_statistics=true"],
    ));
    features(&place, "three", &line[..39], 3, "<f4");
    let message = place.fails(
        1,
        &stage(
            "sample_metrics",
            "out/three",
            &["real_statistics=out/statistics/statistics.npz", "generated=three"],
        ),
    );
    assert!(
        message.contains(
            "statistics.npz: expected mean and covariance of 3 features, as the generated set has, found 2"
        ),
        "{message}"
    );
    let said = place.stderr(&stage(
        "sample_metrics",
        "out/itself",
        &["real_statistics=out/statistics/statistics.npz", "generated=real"],
    ));
    assert!(
        said.contains("the mean of the statistics file is that of the generated set to the last bit"),
        "{said}"
    );
}

/// 49,152 pixels a picture: by products of the few rows, and nothing of 49,152².
#[test]
fn many_features_of_few_pictures_take_no_covariance() {
    let place = Place::new(BEFORE);
    place.pictures("a", 24);
    place.pictures("b", 23);
    for folder in ["a", "b"] {
        let (out, path) = (format!("out/{folder}"), format!("source.folder.path={folder}"));
        place.stderr(&stage("import_images", &out, &[&path, "resize=min_resize_centre_crop(128)"]));
    }
    let sets = ["real=out/a", "generated=out/b", "measures=[\"frechet\"]", "infinity=true"];
    place.stderr(&stage("sample_metrics", "out/infinity", &sets));
    let all = read(&place.path("out/infinity/metrics.json"));
    assert!(all["frechet_distance"]["infinity"]["distance"].is_number(), "{all:#}");
    let peak = read(&place.path("out/infinity/stage.json"))["peak_memory_bytes"].as_u64();
    assert!(peak.is_none_or(|peak| peak < 1 << 30), "{peak:?}");
    let more = [&sets[..], &["write_statistics=true"]].concat();
    let message = place.fails(1, &stage("sample_metrics", "out/written", &more));
    assert!(message.contains("`write_statistics`: expected at most 32768 features"), "{message}");
}
