//! The map in crates/README.md has the arrows that the crates' Cargo.toml have, and no circle.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

type Arrows = BTreeSet<(String, String)>;

/// The crates that a crate needs, by its `[dependencies]`.
fn of_crate(folder: &Path) -> Arrows {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    let lines = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let needed =
        lines.filter_map(|line| Some(line.strip_prefix("dcgan-")?.split(['.', ' ']).next()?.to_owned()));
    needed.map(|needed| (name.to_owned(), needed)).collect()
}

#[test]
fn the_map_is_true() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = std::fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path());
    // The fuzz targets reach every reader.
    let found: Arrows = folders
        .filter(|folder| folder.join("Cargo.toml").exists() && !folder.ends_with("fuzz"))
        .flat_map(|folder| of_crate(&folder))
        .collect();
    let map = std::fs::read_to_string(crates.join("README.md")).unwrap();
    let arrow = |line: &str| {
        let (from, to) = line.trim().split_once(" --> ")?;
        Some((from.to_owned(), to.to_owned()))
    };
    let drawn: Arrows = map.lines().filter_map(arrow).collect();
    assert!(
        found.len() > 10 && found == drawn,
        "not on the map: {:?}; only there: {:?}",
        &found - &drawn,
        &drawn - &found
    );
}

#[test]
fn arrows_point_down() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut left: BTreeSet<String> = std::fs::read_dir(crates)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().join("Cargo.toml").exists())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    while !left.is_empty() {
        let is_lowest =
            |name: &String| of_crate(&crates.join(name)).iter().all(|(_, needed)| !left.contains(needed));
        let lowest: Vec<String> = left.iter().filter(|name| is_lowest(name)).cloned().collect();
        assert!(!lowest.is_empty(), "a circle among {left:?}");
        lowest.iter().for_each(|name| assert!(left.remove(name)));
    }
}

#[test]
fn only_the_cluster_is_no_default_member() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(crates.parent().unwrap().join("Cargo.toml")).unwrap();
    assert!(text.contains("\ndefault-members = [\"crates/[!c]*\", \"crates/cli\"]\n"));
    let names =
        std::fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let with_c: BTreeSet<String> = names.filter(|name| name.starts_with('c')).collect();
    assert_eq!(with_c, BTreeSet::from(["cli", "cluster"].map(str::to_owned)));
}
