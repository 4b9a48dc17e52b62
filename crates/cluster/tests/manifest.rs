//! A manifest with `[cluster]` makes what it makes without.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use dcgan_engine::cluster::Cluster;
use dcgan_engine::interrupt::{Interrupt, Interrupted};
use dcgan_engine::manifest::Manifest;
use dcgan_engine::parallel::Policy;
use dcgan_engine::progress::{Progress, Verbosity};
use dcgan_engine::run::{RunOptions, RunSummary, run};
use dcgan_engine::selection::Selection;
use dcgan_stages::KINDS;
use serde_json::Value;

const TEXT: &str = r#"
name = "m"
[[stage]]
id = "rooms"
[stage.synthesize.rooms]
n_scenes = 150
n_planted = 60
size = 64
[[stage]]
id = "images"
[stage.import_images]
from = "rooms"
source.lsun.path = "lsun/rooms_lmdb"
resize = "min_resize_centre_crop(64)"
[[stage]]
id = "autoencoder"
[stage.train_autoencoder]
images = "images"
training = { batch_size = 16, epochs = 4, n_images = 60 }
[[stage]]
id = "tars"
[stage.export_images]
images = "images"
form = "webdataset"
per_file = 40
[[stage]]
id = "codes"
[stage.hash_images]
from = "tars"
source.tar.path = "."
autoencoder = "autoencoder"
[[stage]]
id = "groups"
[stage.group_duplicates]
codes = "codes"
grouping.rule = "near"
[[stage]]
id = "lists"
[stage.remove_duplicates]
from = "tars"
source.tar.path = "."
groups = "groups"
target = "tars"
"#;

fn cluster() -> Cluster {
    Cluster {
        parts: Some(5),
        memory: Some("300MB".to_owned()),
        program: Some(env!("CARGO_BIN_EXE_dcgan-cluster").into()),
        ..Cluster::at("local".to_owned())
    }
}

fn run_it(
    runs: &Path,
    cluster: Option<Cluster>,
    to: &str,
    interrupt: &Interrupt,
) -> anyhow::Result<RunSummary> {
    let mut manifest = Manifest::parse("m.toml".as_ref(), TEXT.to_owned(), &[], &KINDS)?;
    manifest.cluster = cluster;
    let options = RunOptions {
        selection: Selection { to: vec![to.to_owned()], ..Selection::default() },
        device: None,
        runs: runs.to_owned(),
        verifies: false,
        policy: Policy { jobs: 1, keeps_going: false },
    };
    run(&manifest, &options, &Progress::new(Verbosity::Quiet, interrupt.clone()))
}

/// Every file of a stage, also in folders, but its record, and what is written otherwise on a cluster.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |folder: &Path| fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> = read(folder)
        .flat_map(|path| if path.is_dir() { read(&path).collect() } else { vec![path] })
        .map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), fs_err::read(&path).unwrap()))
        .filter(|(name, _)| {
            !["stage.json", "groups.json", "groups.html", "borderline.json"].contains(&name.as_str())
        })
        .collect();
    files.sort();
    files
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

#[test]
fn a_manifest_on_a_cluster_makes_the_files_of_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let at = |runs: &str, stage: &str| dir.path().join(runs).join("m").join(stage);
    run_it(&dir.path().join("here"), None, "lists", &Interrupt::default()).unwrap();
    run_it(&dir.path().join("there"), Some(cluster()), "lists", &Interrupt::default()).unwrap();
    for stage in ["codes", "groups", "lists"] {
        let (here, there) = (files(&at("here", stage)), files(&at("there", stage)));
        let names =
            |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&here), names(&there), "{stage}");
        assert!(here == there, "{stage}");
    }
    // It was the cluster that made them.
    let metrics = |runs: &str, stage: &str| json(&at(runs, stage).join("stage.json"))["metrics"].clone();
    assert_eq!(metrics("there", "groups")["cluster"], "local");
    for key in ["near", "n_crowded", "n_images"] {
        assert_eq!(metrics("here", "groups")[key], metrics("there", "groups")[key], "{key}");
    }
    for key in ["n_kept", "n_removed", "n_bad", "not_read"] {
        assert_eq!(metrics("here", "lists")[key], metrics("there", "lists")[key], "{key}");
    }
    assert!(metrics("there", "groups")["near"]["n_groups"].as_u64().unwrap() > 5);
    assert!(at("there", "groups").join("groups.html").is_file());
    assert!(
        at("there", "lists").join("tars/train-00005.tar").is_file(),
        "six archives of at most 40 pictures"
    );
    // Finished work is finished, wherever it was done.
    let again = run_it(&dir.path().join("there"), None, "lists", &Interrupt::default()).unwrap();
    assert_eq!((again.n_run, again.n_fresh), (0, 7));
}

#[test]
fn what_a_cluster_made_halfway_is_gone_on_with_and_forgotten_by_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path();
    run_it(runs, Some(cluster()), "codes", &Interrupt::default()).unwrap();
    let partial = runs.join("m/.dcgan/partial/groups");
    let half_done = || {
        let folders = partial.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        folders.map(|folder| folder.join("cluster/work/codes-001.parquet")).find(|stage| stage.is_file())
    };
    let stop_halfway = || {
        let interrupt = Interrupt::default();
        let asked = interrupt.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while half_done().is_none() && !asked.is_requested() {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                asked.request();
            });
            let result = run_it(runs, Some(cluster()), "groups", &interrupt);
            interrupt.request();
            result
        })
    };
    let error = stop_halfway().unwrap_err();
    assert!(error.downcast_ref::<Interrupted>().is_some_and(|error| error.is_resumable), "{error:#}");
    let written = |path: &Path| fs_err::metadata(path).unwrap().modified().unwrap();
    let before = written(&half_done().unwrap());
    let error = stop_halfway().unwrap_err();
    assert!(error.is::<Interrupted>(), "{error:#}");
    assert_eq!(written(&half_done().unwrap()), before, "it goes on behind what is complete");
    run_it(runs, None, "groups", &Interrupt::default()).unwrap();
    assert!(half_done().is_none() && !runs.join("m/groups/cluster").exists());
    assert!(runs.join("m/groups/borderline.json").is_file(), "made on this machine");
}
