//! Parts of a set that several machines work on, put together: the bytes of the whole, or an error that names the part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::Place;

/// The files of a stage alike byte for byte; `stage.json` tells how each came to be.
fn same(place: &Place, one: &str, other: &str) {
    let files = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(place.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "stage.json");
        names.sort();
        names
    };
    assert_eq!(files(one), files(other));
    for name in files(one) {
        let read = |folder: &str| std::fs::read(place.path(folder).join(&name)).unwrap();
        assert!(read(one) == read(other), "{name} of {one} and {other}");
    }
}

/// Runs a stage for each part of `n`, into `out-K`, and returns `parts=[…]`.
fn in_parts(place: &Place, arguments: &[&str], out: &str, n: usize) -> String {
    for k in 1..=n {
        let (out, shard) = (format!("{out}-{k}"), format!("shard={k}/{n}"));
        let mut all = vec!["stage", arguments[0], "--out", &out];
        all.extend(&arguments[1..]);
        all.push(&shard);
        place.stdout(&all);
    }
    // In another order: the records tell which is which.
    let names: Vec<String> = (1..=n).rev().map(|k| format!("\"{out}-{k}\"")).collect();
    format!("parts=[{}]", names.join(", "))
}

fn whole(place: &Place, arguments: &[&str], out: &str) {
    let mut all = vec!["stage", arguments[0], "--out", out];
    all.extend(&arguments[1..]);
    place.stdout(&all);
}

#[test]
fn codes_of_parts_are_those_of_the_whole() {
    let place = Place::new("");
    place.stdout(&[
        "stage",
        "synthesize",
        "--out",
        "rooms",
        "rooms.n_scenes=230",
        "rooms.n_planted=9",
        "rooms.size=64",
    ]);
    let lmdb = "source.lsun.path=rooms/lsun/rooms_lmdb";
    whole(&place, &["import_images", lmdb, "resize=min_resize_centre_crop(32)"], "store");
    let settings =
        ["images=store", "training.epochs=1", "training.min_minibatches=3", "training.batch_size=16"];
    whole(&place, &[&["train_autoencoder"][..], &settings].concat(), "autoencoder");
    let hash = ["hash_images", lmdb, "autoencoder=autoencoder"];
    whole(&place, &hash, "codes");
    let parts = in_parts(&place, &hash, "part", 3);
    place.stdout(&["stage", "merge", "--out", "merged", &parts]);
    same(&place, "codes", "merged");
    place.stdout(&["stage", "group_duplicates", "--out", "groups", "codes=merged", "grouping.rule=near"]);

    // One is missing, one is there twice, one was made otherwise, one is the whole.
    let fails = |parts: &str, expected: &str| {
        let told = place.fails(1, &["stage", "merge", "--out", "wrong", &format!("parts={parts}")]);
        assert!(told.contains(expected), "{expected} is not in {told}");
        assert!(!place.path("wrong").exists());
    };
    fails(r#"["part-1", "part-3"]"#, "expected the parts 1/3 to 3/3, found all but 2/3");
    std::fs::create_dir(place.path("copy")).unwrap();
    for entry in std::fs::read_dir(place.path("part-2")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, place.path("copy").join(path.file_name().unwrap())).unwrap();
    }
    fails(r#"["part-1", "part-2", "copy", "part-3"]"#, "found 2/3 in part-2 and in copy");
    whole(&place, &[&hash[..], &["shard=2/3", "max_pixels=5000"]].concat(), "other");
    fails(r#"["part-1", "other", "part-3"]"#, "hash_images.max_pixels: 5000, not");
    fails(r#"["part-1", "codes"]"#, "codes: expected a part, made with `shard`, found the whole set");
    whole(&place, &[&hash[..], &["shard=2/4"]].concat(), "fourth");
    fails(r#"["part-1", "fourth", "part-3"]"#, "parts: 4, not 3");
    let told = place
        .fails(1, &["stage", "hash_images", "--out", "x", lmdb, "autoencoder=autoencoder", "shard=1/1000"]);
    assert!(told.contains("expected at least 1000 pictures, of which each part has some"), "{told}");
    let told =
        place.fails(2, &["stage", "hash_images", "--out", "x", lmdb, "autoencoder=autoencoder", "shard=4/3"]);
    assert!(told.contains("from 1/64 to 64/64"), "{told}");
}

#[test]
fn stores_of_parts_are_that_of_the_whole() {
    let place = Place::new("");
    place.pictures("photos", 23);
    std::fs::write(place.path("photos/0-broken.png"), "no picture").unwrap();
    std::fs::write(place.path("photos/9-broken.jpg"), "neither").unwrap();
    std::fs::write(place.path("photos/notes.txt"), "x").unwrap();
    let import = ["import_images", "source.folder.path=photos", "resize=min_resize_centre_crop(16)"];
    whole(&place, &import, "store");
    assert!(Path::new(&place.path("store/bad.csv")).exists());
    let parts = in_parts(&place, &import, "part", 4);
    place.stdout(&["stage", "merge", "--out", "merged", &parts]);
    same(&place, "store", "merged");
    // Of several tars each part has whole ones.
    for name in ["a", "b", "c"] {
        std::fs::create_dir_all(place.path("tars")).unwrap();
        let mut archive =
            tar::Builder::new(std::fs::File::create(place.path(&format!("tars/{name}.tar"))).unwrap());
        archive.append_dir_all(name, place.path("photos")).unwrap();
        archive.finish().unwrap();
    }
    let import = ["import_images", "source.tar.path=tars", "resize=min_resize_centre_crop(16)"];
    whole(&place, &import, "of-tars");
    let parts = in_parts(&place, &import, "tar-part", 2);
    place.stdout(&["stage", "merge", "--out", "merged-tars", &parts]);
    same(&place, "of-tars", "merged-tars");
    let told = place.fails(1, &["stage", "import_images", "--out", "x", import[1], import[2], "shard=1/4"]);
    assert!(told.contains("expected at least 4 tar archives"), "{told}");
    let told = place
        .fails(2, &["stage", "import_images", "--out", "x", import[1], import[2], "shard=1/2", "limit=3"]);
    assert!(told.contains("no `limit` beside it"), "{told}");
}
