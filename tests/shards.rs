//! Parts of a set that several machines work on, put together: the bytes of the whole, or an error that names the part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../crates/faces/src/testing.rs"]
mod drawn;

use std::path::Path;

use common::Place;

fn files_in(folder: &Path) -> impl Iterator<Item = String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

/// The files of a stage alike byte for byte; `stage.json` tells how each came to be.
fn same(place: &Place, one: &str, other: &str) {
    let files = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(place.path(folder)).unwrap();
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => names.extend(files_in(&entry.path()).map(|file| format!("{name}/{file}"))),
                false => names.push(name),
            }
        }
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

#[test]
fn faces_of_parts_are_those_of_the_whole() {
    let place = Place::new("");
    std::fs::create_dir(place.path("photos")).unwrap();
    for k in 0..9u32 {
        let faces: &[[f64; 3]] =
            if k % 4 == 3 { &[] } else { &[[90.0, 95.0 + f64::from(k), 60.0], [250.0, 95.0, 55.0]] };
        let drawn = drawn::photo(340, 200, faces);
        let photo = image::GrayImage::from_raw(340, 200, drawn.pixels).unwrap();
        photo.save(place.path(&format!("photos/{k}.png"))).unwrap();
    }
    std::fs::write(place.path("photos/8-broken.jpg"), "no photo").unwrap();
    std::fs::write(place.path("photos/notes.txt"), "x").unwrap();
    let crop = ["crop_faces", "source.folder.path=photos", "detector.smallest=64", "files=png"];
    whole(&place, &crop, "faces");
    for n in [3, 10] {
        // Of ten parts one has a photo without a face alone, one a file that is none.
        let parts = in_parts(&place, &crop, &format!("of-{n}"), n);
        let merged = format!("merged-{n}");
        let told = place.stdout(&["stage", "merge", "--out", &merged, &parts]);
        assert!(!told.contains("crop_share"), "{told}");
        assert!(told.contains("\"n_faces\": 14") && told.contains("\"n_bad\": 1"), "{told}");
        same(&place, "faces", &merged);
    }
    // A part is none of what is made of all of them.
    let told = place
        .fails(1, &["stage", "train_gan", "--out", "x", "images=of-3-1", "training.architecture=faces64"]);
    assert!(told.contains("images.npy") || told.contains("yields a part of the faces"), "{told}");
}

#[test]
fn features_of_parts_are_those_of_the_whole() {
    let place = Place::new("");
    place.stdout(&["stage", "synthesize", "--out", "data", "shapes.n_train=60", "shapes.n_test=20"]);
    let cifar = ["from=data", "source.cifar10.path=cifar-10-batches-bin"];
    whole(&place, &[&["import_images"][..], &cifar, &["source.cifar10.split=train"]].concat(), "train");
    whole(&place, &[&["import_images"][..], &cifar, &["source.cifar10.split=test"]].concat(), "test");
    let gan = [
        "train_gan",
        "images=train",
        "training.architecture=svhn32",
        "training.width=0.05",
        "training.batch_size=16",
        "training.max_steps=2",
    ];
    whole(&place, &gan, "gan");
    let kmeans = ["train_kmeans", "images=train", "kmeans.maps=16", "kmeans.patches=500", "kmeans.passes=2"];
    whole(&place, &kmeans, "kmeans");
    whole(&place, &["extract_features", "images=train", "model=kmeans", "statistics=train"], "scale");
    let cases: [(&str, &[&str]); 3] = [
        ("pixels", &["extract_features", "images=train"]),
        (
            "gan-features",
            &["extract_features", "images=train", "model=gan", "statistics=train", "batch_size=7"],
        ),
        ("kmeans-features", &["extract_features", "images=test", "model=kmeans", "statistics=scale"]),
    ];
    for (name, extract) in cases {
        whole(&place, extract, name);
        let parts = in_parts(&place, extract, &format!("{name}-part"), 3);
        let merged = format!("{name}-merged");
        place.stdout(&["stage", "merge", "--out", &merged, &parts]);
        same(&place, name, &merged);
    }
    // What is asked of features is asked of those that made them.
    let untrained = ["extract_features", "images=test", "model=gan", "statistics=train", "untrained=true"];
    whole(&place, &untrained, "untrained");
    let knn = ["stage", "nearest_neighbours", "--out", "knn", "train=gan-features-merged", "test=untrained"];
    let told = place.fails(1, &knn);
    assert!(told.contains("were made with different `untrained`"), "{told}");
    let told = place.fails(
        1,
        &[
            "stage",
            "extract_features",
            "--out",
            "x",
            "images=train",
            "model=kmeans",
            "statistics=train",
            "shard=1/2",
        ],
    );
    assert!(told.contains("expected features as `statistics`"), "{told}");
    let told = place.fails(1, &["stage", "extract_features", "--out", "x", "images=test", "shard=1/21"]);
    assert!(told.contains("expected no more parts than the 20 pictures"), "{told}");
}

#[test]
fn a_part_without_a_readable_picture_is_made_and_put_together() {
    let place = Place::new("");
    std::fs::create_dir(place.path("broken")).unwrap();
    for k in 0..4 {
        std::fs::write(place.path(&format!("broken/{k}.png")), "no picture").unwrap();
    }
    place.pictures("photos", 40);
    for k in 0..8 {
        std::fs::write(place.path(&format!("photos/0{k}0.png")), "no picture").unwrap();
        std::fs::write(place.path(&format!("photos/00{k}.png")), "no picture").unwrap();
    }
    whole(
        &place,
        &["import_images", "source.folder.path=photos", "resize=min_resize_centre_crop(32)"],
        "whole",
    );
    let ae = [
        "train_autoencoder",
        "images=whole",
        "training.epochs=1",
        "training.min_minibatches=2",
        "training.batch_size=8",
    ];
    whole(&place, &ae, "autoencoder");
    let imports: [&[&str]; 3] = [
        &["import_images", "source.folder.path=photos", "resize=min_resize_centre_crop(32)"],
        &["import_images", "source.folder.path=photos"],
        &["hash_images", "source.folder.path=photos", "autoencoder=autoencoder"],
    ];
    for (i, stage) in imports.iter().enumerate() {
        let name = format!("set-{i}");
        whole(&place, stage, &name);
        // The first of eight are broken, all of them.
        let parts = in_parts(&place, stage, &format!("{name}-part"), 6);
        place.stdout(&["stage", "merge", "--out", &format!("{name}-merged"), &parts]);
        same(&place, &name, &format!("{name}-merged"));
        let mut broken = vec![stage[0], "source.folder.path=broken"];
        broken.extend(&stage[2..]);
        let parts = in_parts(&place, &broken, &format!("{name}-broken"), 2);
        let told = place.fails(1, &["stage", "merge", "--out", "nothing", &parts]);
        assert!(told.contains("expected at least one"), "{told}");
        assert!(!place.path("nothing").exists());
    }
}

#[test]
fn what_parts_are_put_together_to_is_known_beforehand() {
    let part = |k: u32| {
        format!(
            "[[stage]]\nid = \"part-{k}\"\n[stage.import_images]\nsource.folder.path = \"photos\"\n\
             resize = \"min_resize_centre_crop(32)\"\nshard = \"{k}/2\"\n"
        )
    };
    let merge = "[[stage]]\nid = \"all\"\n[stage.merge]\nparts = [\"part-1\", \"part-2\"]\n";
    let manifest = |rest: &str| format!("name = \"m\"\n{}{}{merge}{rest}", part(1), part(2));
    let place =
        Place::new(&manifest("[[stage]]\nid = \"groups\"\n[stage.group_duplicates]\ncodes = \"all\"\n"));
    place.pictures("photos", 40);
    let told = place.fails(1, &["check", "m.toml"]);
    assert!(told.contains("expected a stage that yields codes, but `all` (merge) yields images"), "{told}");
    // What is known of the pictures is handed on.
    let train = "[[stage]]\nid = \"gan\"\n[stage.train_gan]\nimages = \"all\"\ntraining = { architecture = \"faces64\", batch_size = 4 }\n";
    std::fs::write(place.path("m.toml"), manifest(train)).unwrap();
    let told = place.fails(1, &["check", "m.toml"]);
    assert!(told.contains("expected colour pictures of 64×64, which faces64 takes, found 32×32"), "{told}");
    // The same of finished ones, by their folders.
    let import = ["import_images", "source.folder.path=photos", "resize=min_resize_centre_crop(32)"];
    let parts = in_parts(&place, &import, "part", 2);
    place.stdout(&["stage", "merge", "--out", "merged", &parts]);
    let told = place.fails(1, &["stage", "group_duplicates", "--out", "x", "codes=merged"]);
    assert!(told.contains("merged has no codes.parquet"), "{told}");
}
