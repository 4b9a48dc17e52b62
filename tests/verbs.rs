//! The verbs, their help and their exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, SMALL};

#[test]
fn help_teaches_with_examples() {
    let place = Place::new(SMALL);
    assert!(place.stdout(&["--help"]).contains("dcgan run pipelines/quickstart.toml"));
    assert!(place.stdout(&["run", "--help"]).contains("--set train.training.epochs=2"));
    assert!(place.stdout(&["stage", "--help"]).contains("svhn_protocol"));
    let kind = place.stdout(&["stage", "train_gan", "--help"]);
    assert!(
        kind.contains(
            "training.architecture  (\"svhn32\", \"imagenet32\", \"faces64\", \"mnist28\" or table; required)"
        ),
        "{kind}"
    );
    assert!(place.stdout(&["stage", "--list"]).lines().count() >= 10);
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new(SMALL);
    place.fails(2, &["fly"]);
    place.fails(2, &["run"]);
    assert!(place.fails(2, &["run", "m.toml", "--set", "cc=1"]).contains("did you mean `c`?"));
    assert!(place.fails(2, &["run", "m.toml", "--only", "svn"]).contains("did you mean `svm`?"));
    assert!(place.fails(2, &["run", "m.toml", "--device", "gpu"]).contains("`cuda:N`"));
    assert!(place.fails(2, &["stage", "fit-svm", "--out", "x"]).contains("did you mean `fit_svm`?"));
    assert!(place.fails(2, &["stage", "fit_svm"]).contains("--out"));
    assert!(place.fails(2, &["stage", "fit_svm", "--out", "x", "cc=1"]).contains("did you mean `c`?"));
    assert!(place.fails(2, &["bench", "train", "--arch", "svhn"]).contains("`svhn32`"));
}

/// Of two values for a key the last would win in silence.
#[test]
fn a_key_that_is_given_twice_is_a_usage_error() {
    let place = Place::new(SMALL);
    let run = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        place.fails(2, &["check", "m.toml"].into_iter().chain(sets).collect::<Vec<_>>())
    };
    let stage = |arguments: &[&str]| {
        let all = ["stage", "train_gan", "--out", "x"].iter().chain(arguments).copied();
        place.fails(2, &all.collect::<Vec<_>>())
    };
    for (told, key) in [
        (run(&["c=1.0", "n_train=40", "c=2.0"]), "c"),
        (run(&["svm.c=1.0", "svm.c=1.0"]), "svm.c"),
        (stage(&["images=a", "images=b"]), "images"),
        (stage(&["training.seed=1", "training={seed = 2}"]), "training"),
        (stage(&["training={seed = 1}", "training.seed=2"]), "training.seed"),
    ] {
        assert!(told.contains(&format!("key `{key}` is given twice")), "{told}");
    }
    // Keys of one table are not the same key.
    let told = stage(&["training={seed = 1}", "training.epochs=2", "training.seeds=1"]);
    assert!(!told.contains("twice"), "{told}");
}

#[test]
fn check_reports_every_problem_and_exits_with_1() {
    let place = Place::new(
        &SMALL
            .replace("images = \"test-images\"", "imagse = \"test-images\"")
            .replace("train = \"train-pixels\"", "train = \"shapes\""),
    );
    let told = place.fails(1, &["check", "m.toml"]);
    assert!(told.contains("key `imagse`: unknown key `imagse`"), "{told}");
    assert!(told.contains("expected a stage that yields features, but `shapes` (synthesize)"), "{told}");
    assert!(!place.path("runs").exists());

    let place = Place::new(SMALL);
    assert!(place.stderr(&["check", "m.toml"]).contains("7 stages, no problems"));
    assert!(place.fails(1, &["check", "none.toml"]).contains("none.toml"));
}

#[test]
fn a_path_that_does_not_exist_is_found_before_the_first_stage() {
    let place = Place::new(&format!(
        "{SMALL}\n[[stage]]\nid = \"svhn\"\n[stage.import_images.source.svhn]\npath = \"gone.mat\"\n"
    ));
    for verb in ["check", "run"] {
        let told = place.fails(1, &[verb, "m.toml"]);
        assert!(told.contains("stage `svhn`") && told.contains("gone.mat does not exist"), "{told}");
    }
    assert!(!place.path("runs").exists());
}

/// A data set's paths are named by the data set's kind; a path beside them by its own key.
#[test]
fn a_path_beside_a_data_set_is_named_by_its_own_key() {
    let place = Place::new(SMALL);
    std::fs::create_dir_all(place.path("photos")).unwrap();
    std::fs::create_dir_all(place.path("codes")).unwrap();
    std::fs::write(place.path("codes/codes.parquet"), b"").unwrap();
    let arguments =
        ["stage", "dedup_eval", "--out", "x", "source.folder.path=photos", "codes=codes", "judged=nope.csv"];
    let told = place.fails(1, &arguments);
    assert!(told.contains("key `judged`: nope.csv does not exist"), "{told}");
}

#[test]
fn what_no_goal_needs_is_left_out() {
    let place = Place::new(&format!(
        "goals = [\"report\"]\n{SMALL}\n[[stage]]\nid = \"svhn\"\n[stage.import_images.source.svhn]\npath = \"gone.mat\"\n"
    ));
    place.stderr(&["check", "m.toml"]);
    assert!(place.stdout(&["dag", "m.toml"]).contains("style s7 stroke-dasharray"));
    assert!(place.stdout(&["status", "m.toml"]).contains("svhn          import_images  (not asked for)"));
}

#[test]
fn dag_is_mermaid() {
    let graph = Place::new(SMALL).stdout(&["dag", "m.toml"]);
    assert!(graph.starts_with("flowchart LR\n"));
    assert!(graph.contains("s0 -->|from| s1"), "{graph}");
    assert!(graph.contains("s3 -->|train| s5"), "{graph}");
}

#[test]
fn a_stage_runs_alone() {
    let place = Place::new(SMALL);
    let metrics = place.stdout(&[
        "stage",
        "synthesize",
        "--out",
        "work/shapes",
        "shapes.n_train=40",
        "shapes.n_test=20",
    ]);
    assert!(metrics.contains("\"n_train\": 40"), "{metrics}");
    let source = "source.cifar10={path=\"work/shapes/cifar-10-batches-bin\", split=\"test\"}";
    place.stdout(&["stage", "import_images", "--out", "work/test", source, "limit=10"]);
    place.stdout(&["stage", "extract_features", "--out", "work/pixels", "images=work/test"]);
    assert!(place.path("work/pixels/features.npy").exists());
    assert!(place.path("work/pixels/stage.json").exists());

    std::fs::create_dir(place.path("mine")).unwrap();
    std::fs::write(place.path("mine/thesis.tex"), "").unwrap();
    let told = place.fails(1, &["stage", "extract_features", "--out", "mine", "images=work/test"]);
    assert!(told.contains("no stage made it"), "{told}");
    assert!(place.path("mine/thesis.tex").exists());
}

#[test]
fn cuda_says_that_it_is_not_built_in() {
    let place = Place::new(SMALL);
    let told = place.fails(1, &["run", "m.toml", "--device", "cuda"]);
    assert!(told.contains("cuda:0"), "{told}");
    assert!(!place.path("runs").exists());
}

/// The bytes that `numpy.save` writes.
fn npy(descr: &str, fortran_order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}");
    bytes.extend(header.bytes());
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

/// 6,000 rows of two features and two classes in a folder; the last number is `last`.
fn save_features(place: &Place, folder: &str, descr: &str, fortran_order: &str, last: f64) {
    let number = |row: usize, column: usize| match (row, column) {
        (5_999, 1) => last,
        (_, 0) => (row % 2) as f64,
        _ => (row % 7) as f64 / 7.0,
    };
    let numbers = (0..6_000).flat_map(|row| [number(row, 0), number(row, 1)]);
    let data: Vec<u8> = if descr == "<f8" {
        numbers.flat_map(f64::to_le_bytes).collect()
    } else {
        numbers.flat_map(|number| (number as f32).to_le_bytes()).collect()
    };
    let labels: Vec<u8> = (0..6_000_i64).flat_map(|row| (row % 2).to_le_bytes()).collect();
    std::fs::create_dir(place.path(folder)).unwrap();
    std::fs::write(place.path(folder).join("features.npy"), npy(descr, fortran_order, "(6000, 2)", &data))
        .unwrap();
    std::fs::write(place.path(folder).join("labels.npy"), npy("<i8", "False", "(6000,)", &labels)).unwrap();
}

#[test]
fn an_svm_is_fitted_on_what_numpy_wrote() {
    let place = Place::new("");
    save_features(&place, "single", "<f4", "False", 0.5);
    save_features(&place, "double", "<f8", "False", 0.5);
    save_features(&place, "columns", "<f4", "True", 0.5);
    save_features(&place, "whole", "<i4", "False", 0.5);
    save_features(&place, "with-nan", "<f4", "False", f64::NAN);
    save_features(&place, "with-infinity", "<f8", "False", f64::INFINITY);
    let fit = |train| {
        ["stage", "fit_svm", "--out", "svm", "c=1", "test=single"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("train={train}")])
            .collect::<Vec<_>>()
    };
    let arguments = fit("double");
    let out = place.stdout(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(out.contains("\"accuracy\": 1.0"), "{out}");
    std::fs::remove_dir_all(place.path("svm")).unwrap();
    for (train, expected) in [
        ("columns", "found Fortran order"),
        ("whole", "expected numbers of type '<f4' or '<f8', found '<i4'"),
        ("with-nan", "row 5999, column 1 is not finite: NaN"),
        ("with-infinity", "row 5999, column 1 is not finite: inf"),
    ] {
        let arguments = fit(train);
        let told = place.fails(1, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(told.contains(expected) && told.contains("features.npy"), "{told}");
        assert!(!place.path("svm").exists());
    }
}

#[test]
fn export_is_the_stage_by_another_name() {
    let place = Place::new("");
    place.pictures("photos", 20);
    place.stdout(&[
        "stage",
        "import_images",
        "--out",
        "images",
        "source.folder.path=photos",
        "resize=min_resize_centre_crop(16)",
    ]);
    let training = "training={architecture = {size = 16, base = 4}, batch_size = 4, max_steps = 2}";
    place.stdout(&["stage", "train_gan", "--out", "my \"own\" gan", "images=images", training]);
    let help = place.stdout(&["export", "--help"]);
    assert!(
        help.contains("dcgan export runs/svhn/train --to onnx") && help.contains("load_state_dict"),
        "{help}"
    );
    let files = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(place.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let told = place.stderr(&["export", "my \"own\" gan"]);
    assert!(told.contains("my \"own\" gan-pytorch: done"), "{told}");
    assert_eq!(
        files("my \"own\" gan-pytorch"),
        ["README.md", "generator.safetensors", "model.py", "stage.json"]
    );
    place.stdout(&["export", "my \"own\" gan", "--to", "onnx", "--images", "images", "--out", "verb"]);
    place.stdout(&[
        "stage",
        "export_networks",
        "--out",
        "stage",
        "model=my \"own\" gan",
        "statistics=images",
        "onnx=true",
    ]);
    assert_eq!(files("verb"), files("stage"));
    for name in files("verb").iter().filter(|name| *name != "stage.json") {
        let read = |folder: &str| std::fs::read(place.path(folder).join(name)).unwrap();
        assert!(read("verb") == read("stage"), "{name}");
    }
    assert!(place.fails(2, &["export", "photos", "--to", "tensorflow"]).contains("onnx"));
    assert!(place.fails(1, &["export", "photos"]).contains("generator.safetensors"));
    assert!(place.fails(2, &["export", "images", "--weights", "last"]).contains("weights"));
}
