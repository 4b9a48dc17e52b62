//! How good samples are: the measures of a small training, in a report; what cannot be compared is refused by its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::Place;
use serde_json::Value;

/// A tiny GAN on made-up pictures, judged by its discriminator's features; and the pictures against themselves.
const MANIFEST: &str = r#"
name = "m"
[vars]
k = 5
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 240
n_test = 60
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "gan"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 16, epochs = 100, max_steps = 20 }
[[stage]]
id = "by-discriminator"
[stage.sample_metrics]
real = "images"
generated = "gan"
model = "gan"
n_images = 300
k = "${k}"
write_statistics = true
[[stage]]
id = "itself"
[stage.sample_metrics]
real = "images"
generated = "images"
measures = ["frechet", "prdc"]
[[stage]]
id = "report"
[stage.report]
results = ["by-discriminator", "itself"]
"#;

/// The same training, by the statistics file that the first run writes.
const BY_STATISTICS: &str = r#"
[[stage]]
id = "by-statistics"
[stage.sample_metrics]
real_statistics = "statistics.npz"
generated = "gan"
model = "gan"
statistics = "images"
n_images = 300
"#;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn samples_are_measured_and_reported() {
    let place = Place::new(MANIFEST);
    place.stderr(&["run", "m.toml"]);
    let ours = read(&place.path("runs/m/by-discriminator/metrics.json"));
    let distance = ours["frechet_distance"]["distance"].as_f64().unwrap();
    assert_eq!(ours["frechet_distance_is_called"], "Fréchet distance (discriminator features)");
    assert_eq!(
        (ours["real"]["n_pictures"].as_u64(), ours["generated"]["n_pictures"].as_u64()),
        (Some(240), Some(300))
    );
    assert!(distance > 0.0 && ours["kernel_distance"]["mean"].as_f64().unwrap() > 0.0, "{ours:#}");
    let interval = &ours["frechet_distance"]["interval"];
    assert!(
        interval["low"].as_f64() < Some(distance) && interval["high"].as_f64() > Some(distance),
        "{ours:#}"
    );
    // What was made on the way is gone.
    assert!(!place.path("runs/m/by-discriminator/real").exists());

    let itself = read(&place.path("runs/m/itself/metrics.json"));
    assert!(itself["frechet_distance"]["distance"].as_f64().unwrap().abs() < 1e-6, "{itself:#}");
    assert_eq!(
        (itself["prdc"]["precision"].as_f64(), itself["prdc"]["coverage"].as_f64()),
        (Some(1.0), Some(1.0))
    );
    let warnings = itself["warnings"].to_string();
    assert!(
        warnings.contains("the real set has 240 pictures, which are not more than its 3072 features"),
        "{warnings}"
    );

    // The statistics file stands for the pictures.
    std::fs::copy(place.path("runs/m/by-discriminator/statistics.npz"), place.path("statistics.npz"))
        .unwrap();
    std::fs::write(place.path("m.toml"), format!("{MANIFEST}{BY_STATISTICS}")).unwrap();
    place.stderr(&["run", "m.toml"]);
    let again = read(&place.path("runs/m/by-statistics/metrics.json"));
    let by_file = again["frechet_distance"]["distance"].as_f64().unwrap();
    assert!((by_file / distance - 1.0).abs() < 1e-4, "{by_file} {distance}");
    assert!(again["kernel_distance"].is_null() && again["prdc"].is_null());
    let report = std::fs::read_to_string(place.path("runs/m/report/report.md")).unwrap();
    assert!(
        report.contains("gan, by discriminator features") && report.contains("precision (%)"),
        "{report}"
    );
    assert!(!report.contains("FID |"), "{report}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let place = Place::new(MANIFEST);
    let refused = |with: &str| {
        std::fs::write(place.path("bad.toml"), MANIFEST.replace("write_statistics = true", with)).unwrap();
        place.fails(1, &["check", "bad.toml"])
    };
    let message = refused("real_statistics = \"a.npz\"");
    assert!(message.contains("real_statistics`: is of use only without `real`"), "{message}");
    assert!(refused("measures = []").contains("expected at least one measure"));
    let message = refused("n_real = 1");
    assert!(message.contains("n_real") && message.contains("found 1"), "{message}");
    let message = refused("resize = \"clean\"");
    assert!(message.contains("resize`: is of use only with `inception`"), "{message}");
    let message = refused("measures = [\"inception_score\"]");
    assert!(message.contains("inception_score needs `inception`"), "{message}");
    // Found by the stage, before it draws.
    place.stderr(&["run", "m.toml", "--only", "shapes", "--only", "images", "--only", "gan"]);
    let message = place.fails(1, &["run", "m.toml", "--only", "by-discriminator", "--set", "k=240"]);
    assert!(
        message.contains("`real`: expected at least 241 pictures, more than `k`, 240, found 240"),
        "{message}"
    );
    std::fs::write(place.path("statistics.npz"), b"PK").unwrap();
    std::fs::write(place.path("m.toml"), format!("{MANIFEST}{BY_STATISTICS}")).unwrap();
    let message = place.fails(1, &["run", "m.toml", "--only", "by-statistics"]);
    assert!(message.contains("statistics.npz: expected an .npz archive with `mu` and `sigma`"), "{message}");
    place.pictures("photos", 6);
    place.stderr(&[
        "stage",
        "import_images",
        "--out",
        "out/photos",
        "source.folder.path=photos",
        "resize=min_resize_centre_crop(16)",
    ]);
    let message = place.fails(
        1,
        &["stage", "sample_metrics", "--out", "out/bad", "real=out/photos", "generated=runs/m/images"],
    );
    assert!(
        message.contains("expected pictures of 3×16×16, as the real ones are, found 3×32×32"),
        "{message}"
    );
}

#[test]
fn pictures_without_labels_have_features_too() {
    let place = Place::new(
        r#"
name = "m"
[[stage]]
id = "images"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(8)"
[[stage]]
id = "pixels"
[stage.extract_features]
images = "images"
[[stage]]
id = "table"
[stage.features_to_csv]
features = "pixels"
"#,
    );
    place.pictures("photos", 6);
    place.stderr(&["run", "m.toml"]);
    assert!(place.path("runs/m/pixels/features.npy").exists());
    assert!(!place.path("runs/m/pixels/labels.npy").exists());
    let table = std::fs::read_to_string(place.path("runs/m/table/features.csv")).unwrap();
    assert!(table.starts_with("f0,f1,f2"), "{table:.40}");
    assert_eq!(table.lines().nth(1).unwrap().split(',').count(), 3 * 8 * 8);
    // Found out before anything runs.
    let other = "[[stage]]\nid = \"other\"\n[stage.extract_features]\nimages = \"images\"\n";
    let svm = "[[stage]]\nid = \"svm\"\n[stage.fit_svm]\ntrain = \"pixels\"\ntest = \"other\"\nc = 1.0\n";
    let manifest = std::fs::read_to_string(place.path("m.toml")).unwrap();
    std::fs::write(place.path("svm.toml"), manifest + other + svm).unwrap();
    let message = place.fails(1, &["check", "svm.toml"]);
    let expected = "key `fit_svm.train`: expected pictures with labels, or features of such, found none";
    assert!(message.contains(&expected.replace("fit_svm.train", "train")), "{message}");
    let message = place.fails(
        1,
        &["stage", "fit_svm", "--out", "out/svm", "train=runs/m/pixels", "test=runs/m/pixels", "c=1.0"],
    );
    assert!(message.contains("expected pictures with labels, or features of such"), "{message}");
}

/// Twenty of the training pictures are among the "samples": the sheet shows them first, and a report has the plots.
#[test]
fn planted_training_pictures_are_found() {
    let place = Place::new(
        r#"
name = "m"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 400
n_test = 200
[[stage]]
id = "training"
[stage.import_images]
from = "shapes"
limit = 20
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "samples"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "held-out"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "memorised"
[stage.memorisation]
generated = "samples"
training = "training"
held_out = "held-out"
n_pairs = 20
bootstrap = 200
[[stage]]
id = "report"
[stage.report]
results = ["memorised"]
figures = ["memorised"]
"#,
    );
    place.stderr(&["run", "m.toml"]);
    let found = read(&place.path("runs/m/memorised/memorisation.json"));
    let pairs = found["pixels"]["pairs"].as_array().unwrap();
    assert!(
        pairs.iter().all(|pair| pair["sample"] == pair["training"] && pair["distance"] == 0.0),
        "{pairs:?}"
    );
    let share = found["pixels"]["found"]["share"].as_f64().unwrap();
    let low = found["pixels"]["found"]["interval"]["low"].as_f64().unwrap();
    assert!(share >= 0.05 && low > 0.01, "{share} {low}");
    assert!(place.path("runs/m/report/memorised-nearest_by_pixels.png").exists());
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    assert!(page.contains("Distance to the nearest training picture by pixels"));
    let manifest = std::fs::read_to_string(place.path("m.toml")).unwrap();
    std::fs::write(
        place.path("m.toml"),
        manifest.replace("held_out = \"held-out\"", "held_out = \"training\""),
    )
    .unwrap();
    let message = place.fails(1, &["check", "m.toml"]);
    assert!(message.contains("expected other pictures than `training`"), "{message}");
}

/// The checkpoints that a training keeps, each measured; and a training that is ranked by its own features.
#[test]
fn the_course_of_a_training_is_measured() {
    let score = "score = { measure = \"frechet\", n_images = 100 }\n";
    let manifest = MANIFEST
        .replace(
            "max_steps = 20",
            "max_steps = 20, checkpoint_steps = 10, keep_checkpoints = 3, score_every_steps = 10",
        )
        .replace("training = {", &format!("{score}training = {{"))
        .replace("write_statistics = true", "each_checkpoint = true");
    let place = Place::new(&manifest);
    place.stderr(&["run", "m.toml"]);
    let text = std::fs::read_to_string(place.path("runs/m/by-discriminator/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<u64> = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [10, 20]);
    let all = read(&place.path("runs/m/by-discriminator/metrics.json"));
    // The last checkpoint is the trained generator.
    let (last, whole) = (lines[1]["frechet_distance"].as_f64(), all["frechet_distance"]["distance"].as_f64());
    assert!(last.is_some() && last == whole, "{last:?} {whole:?}");
    assert!(lines.iter().all(|line| line["filter_variance"].as_f64() > Some(0.0)), "{text}");
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    assert!(page.contains("amples of each checkpoint") && page.contains("Filters that do not depend on z"));
    // A Fréchet distance of pixels, far above the built-in kernel distances.
    let log = std::fs::read_to_string(place.path("runs/m/gan/metrics.jsonl")).unwrap();
    let scores: Vec<f64> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["score"].as_f64())
        .collect();
    assert!(scores.len() == 2 && scores.iter().all(|score| *score > 10.0), "{scores:?}");
}
