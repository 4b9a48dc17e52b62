//! Which changed copies are found, with settings of one's own: `copies_found FOLDER SOURCE TRAINING GROUPING EVALUATION`.
//!
//! The last four are JSON as in a manifest: `'{"lsun": {"path": "…/bedroom_train_lmdb"}}' '{}' '{"radius": 16}' '{}'`. The folder keeps
//! the pictures, the autoencoder and the codes; what is there is not made again, so only grouping and evaluation may change.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dcgan_dedup::Autoencoder;
use dcgan_dedup::evaluate::{Evaluated, evaluate, found_pairs};
use dcgan_dedup::group::{GROUPS, group_images, read_groups};
use dcgan_dedup::hash::{HashConfig, files::CODES, hash};
use dcgan_dedup::train::{TrainConfig, files::AUTOENCODER, train};
use dcgan_images::{ImageStore, ImportConfig, Source, import};

fn go(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = |k: usize| serde_json::from_str::<serde_json::Value>(&arguments[k]).unwrap();
    let folder = PathBuf::from(&arguments[0]);
    let source: Source = serde_json::from_value(json(1)).unwrap();
    let training: TrainConfig = serde_json::from_value(json(2)).unwrap();
    let grouping = serde_json::from_value(json(3)).unwrap();
    let evaluation = serde_json::from_value(json(4)).unwrap();
    let at = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let clock = Instant::now();
    if !folder.join("model").join(AUTOENCODER).exists() {
        train(&store(&source, &at("images")), &training, &at("model"), &mut go).unwrap();
        println!("trained in {:.1} s", clock.elapsed().as_secs_f64());
    }
    let model = Autoencoder::load(&folder.join("model").join(AUTOENCODER)).unwrap();
    if !folder.join("codes").join(CODES).exists() {
        hash(&source, &model, &HashConfig::default(), &at("codes"), &mut go).unwrap();
    }
    let hashed = folder.join("codes");
    let clock = Instant::now();
    let summary = group_images(&hashed, &grouping, &at("groups"), &mut go).unwrap();
    println!("grouped in {:.1} s: near {:?}", clock.elapsed().as_secs_f64(), summary.near);
    println!(
        "{} candidates, {} alike, {} mirrored",
        summary.n_candidates,
        summary.n_alike,
        summary.mirrored.len()
    );
    let groups = read_groups(&folder.join("groups").join(GROUPS)).unwrap();
    let found = found_pairs(&groups);
    let evaluated = Evaluated {
        source: &source,
        model: &model,
        hashed: &hashed,
        groups: &groups,
        found: &found,
        grouping: &grouping,
    };
    let clock = Instant::now();
    let (evaluation, sheet) = evaluate(evaluated, &evaluation, &[], &mut go).unwrap();
    if let Some(sheet) = sheet.found_picture().unwrap() {
        std::fs::write(folder.join("found.jpg"), sheet).unwrap();
    }
    println!("evaluated in {:.1} s\n{}", clock.elapsed().as_secs_f64(), evaluation.markdown());
}

fn store(source: &Source, dir: &Path) -> ImageStore {
    if !dir.join("meta.json").exists() {
        let resize = match source {
            Source::Cifar10 { .. } => "keep",
            _ => "min_resize_centre_crop(64)",
        };
        let config = ImportConfig { resize: resize.parse().unwrap(), ..Default::default() };
        import(source, &config, dir, &mut go).unwrap();
    }
    ImageStore::open(dir).unwrap()
}
