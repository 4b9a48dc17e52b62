//! One manifest reads what another's run has finished, by the path of its folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, SMALL};
use serde_json::Value;

/// A pipeline that reads pixels of [`SMALL`]'s run.
const READER: &str = r#"
name = "reader"
[vars]
test = "runs/small/test-pixels"
[[stage]]
id = "svm"
[stage.fit_svm]
train = "runs/small/train-pixels"
test = "${test}"
c = 0.01
[[stage]]
id = "report"
[stage.report]
results = ["svm", "./runs/small/svm"]
"#;

fn place() -> Place {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    std::fs::write(place.path("reader.toml"), READER).unwrap();
    place
}

#[test]
fn a_finished_stage_of_another_run_is_read_and_its_changes_are_seen() {
    let place = place();
    let shown = place.stdout(&["status", "reader.toml"]);
    assert!(
        shown.contains("missing  svm     fit_svm\n           reads runs/small/train-pixels\n"),
        "{shown}"
    );
    let told = place.stderr(&["run", "reader.toml"]);
    assert!(told.contains("2 stages ran"), "{told}");
    let report = std::fs::read_to_string(place.path("runs/reader/report/report.md")).unwrap();
    assert!(report.contains("svm"), "{report}");
    assert!(place.stderr(&["run", "reader.toml"]).contains("0 stages ran, 2 were unchanged"));
    let status: Value = serde_json::from_str(&place.stdout(&["status", "reader.toml", "--json"])).unwrap();
    assert_eq!(status[0]["reads"], serde_json::json!(["runs/small/train-pixels", "runs/small/test-pixels"]));
    assert_eq!(status[0]["state"], "fresh");

    // Another content of what is read.
    place.stdout(&["run", "m.toml", "--set", "n_train=50"]);
    let shown = place.stdout(&["status", "reader.toml"]);
    assert!(shown.contains("stale    svm"), "{shown}");
    assert!(shown.contains("input `train` (runs/small/train-pixels) changed: "), "{shown}");
    assert!(!shown.contains("input `test`"), "{shown}");

    let graph = place.stdout(&["dag", "reader.toml"]);
    assert!(graph.contains("f0([\"runs/small/train-pixels<br/><small>finished stage</small>\"])"), "{graph}");
    assert!(graph.contains("    f0 -->|train| s0\n"), "{graph}");
    assert!(
        graph.contains("    s0 -->|results| s1\n") && graph.contains("    f2 -->|results| s1\n"),
        "{graph}"
    );
    assert!(place.stdout(&["dag", "reader.toml", "--svg"]).contains("small/test-pixels"));
}

#[test]
fn a_bare_name_that_is_no_stage_is_the_folder_of_one() {
    let place = place();
    for name in ["train-pixels", "test-pixels"] {
        std::fs::rename(place.path(&format!("runs/small/{name}")), place.path(name)).unwrap();
    }
    let bare = READER.replace("runs/small/t", "t");
    std::fs::write(place.path("reader.toml"), &bare).unwrap();
    assert!(place.stderr(&["run", "reader.toml", "--only", "svm"]).contains("1 stage ran"));
    let shown = place.stdout(&["status", "reader.toml"]);
    assert!(shown.contains("fresh    svm     fit_svm\n           reads ./train-pixels\n"), "{shown}");
    // A stage of that name goes before.
    let own = format!(
        "{bare}[[stage]]\nid = \"test-pixels\"\n[stage.extract_features]\nimages = \"runs/small/test-images\"\n"
    );
    std::fs::write(place.path("reader.toml"), own).unwrap();
    assert!(place.stdout(&["dag", "reader.toml"]).contains("    s2 -->|test| s0\n"));
    let told = place.fails(2, &["check", "reader.toml", "--set", "test=test-pixel"]);
    assert!(
        told.contains("there is no stage `test-pixel`; stages that yield features: `test-pixels`"),
        "{told}"
    );
}

#[test]
fn what_is_no_finished_stage_of_the_right_kind_is_told_by_name() {
    let place = place();
    std::fs::create_dir(place.path("empty")).unwrap();
    std::fs::write(place.path("file"), "").unwrap();
    for (path, told) in [
        (
            "./empty",
            "./empty holds no finished stage (no stage.json); expected the folder of a finished stage that yields features",
        ),
        (
            "./nothing",
            "./nothing does not exist; expected the folder of a finished stage that yields features",
        ),
        ("./file", "./file is a file"),
        (
            "runs/small/svm",
            "expected a stage that yields features, but runs/small/svm (fit_svm) yields a result",
        ),
        ("runs/small", "did you mean `runs/small/test-pixels`, `runs/small/train-pixels`?"),
        ("runs/reader/svm", "runs/reader/svm does not exist"),
    ] {
        for verb in ["check", "run"] {
            let found = place.fails(1, &[verb, "reader.toml", "--set", &format!("test={path}")]);
            assert!(found.contains("stage `svm`, key `test`: "), "{path}: {found}");
            assert!(found.contains(told), "{path}: {found}");
        }
    }
    // Its own run's stages are named by id.
    place.stdout(&["run", "reader.toml"]);
    let own = format!("{READER}[[stage]]\nid = \"again\"\n[stage.report]\nresults = [\"runs/reader/svm\"]\n");
    std::fs::write(place.path("reader.toml"), own).unwrap();
    let told = place.fails(1, &["run", "reader.toml"]);
    assert!(told.contains("runs/reader/svm is a stage of this manifest's own run"), "{told}");
    assert!(told.contains("did you mean `svm`?"), "{told}");
}

#[test]
fn damage_of_what_is_read_by_path_is_refused_by_name() {
    let place = place();
    let features = place.path("runs/small/test-pixels/features.npy");
    let mut bytes = std::fs::read(&features).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&features, bytes).unwrap();
    let damage = "stage runs/small/test-pixels is not as its record says: its output features.npy was changed after it ran";
    let told = place.fails(1, &["run", "reader.toml"]);
    assert!(told.contains(damage), "{told}");
    assert!(place.stdout(&["status", "reader.toml"]).contains(damage));
    // A stage alone looks as well.
    let alone = [
        "stage",
        "fit_svm",
        "--out",
        "out/svm",
        "train=runs/small/train-pixels",
        "test=runs/small/test-pixels",
        "c=0.01",
    ];
    let told = place.fails(1, &alone);
    assert!(told.contains(damage), "{told}");
    assert!(!place.path("out/svm").exists());
    place.stdout(&["run", "m.toml"]);
    place.stdout(&alone);
}

#[test]
fn gc_keeps_what_another_manifest_reads_by_path() {
    let place = place();
    let shown = place.stdout(&["gc", "reader.toml", "--all"]);
    for (id, is_garbage) in [
        ("shapes", true),
        ("train-images", true),
        ("train-pixels", false),
        ("test-pixels", false),
        ("svm", false),
    ] {
        assert_eq!(shown.contains(&format!("runs/small/{id}  (")), is_garbage, "{id}: {shown}");
    }
}
