//! From an image store to features.

// Clippy allows this within test functions only, not in what they call.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;

use dcgan_eval::{
    Batches, EvalError, Extracted, FeatureSet, extract_features, merge_features, pixel_features,
};
use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};

fn store(folder: &Path, n_images: u8, unlabelled: Option<u8>) -> ImageStore {
    let mut writer = StoreWriter::create(folder).unwrap();
    for image in 0..n_images {
        let pixels = (0..12).map(|position| image * 12 + position).collect();
        let picture = Picture { channels: 3, height: 2, width: 2, pixels };
        let label = (Some(image) != unlabelled).then_some(u32::from(image % 3));
        writer.append(&image.to_string(), label, "made up", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(folder).unwrap()
}

fn all(store: &ImageStore, size: usize) -> Batches {
    Batches { rows: 0..store.len(), size }
}

#[test]
fn batches_come_in_order_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (store, out) = (store(&folder.path().join("store"), 7, None), folder.path().join("features"));
    let (mut sizes, mut last) = (Vec::new(), (0, 0));
    let mut sums = |pixels: &[u8], n: usize| {
        sizes.push(n);
        let sum = |image: &[u8]| image.iter().map(|&x| f32::from(x)).sum::<f32>();
        Ok(pixels.chunks(12).flat_map(|image| [sum(image), f32::from(image[0])]).collect())
    };
    let extracted = extract_features(&store, all(&store, 3), 2, &mut sums, &out, &mut |done, total| {
        last = (done, total);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(extracted, Extracted { n_rows: 7, n_columns: 2 });
    assert_eq!((sizes, last), (vec![3, 3, 1], (7, 7)));
    let set = FeatureSet::open(&out).unwrap();
    assert_eq!(set.labels(), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(set.row(4), [4.0 * 144.0 + 66.0, 48.0]);
}

#[test]
fn pixels_are_scaled_to_minus_one_and_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, out) = (store(&folder.path().join("store"), 21, None), folder.path().join("features"));
    pixel_features(&store, 0..store.len(), &out, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let set = FeatureSet::open(&out).unwrap();
    assert_eq!((set.n_rows(), set.n_columns()), (21, 12));
    assert_eq!(set.values()[0], -1.0);
    assert!((set.row(20)[11] - (251.0 / 127.5 - 1.0)).abs() < 1e-6);
}

#[test]
fn a_store_without_labels_gives_features_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(&folder.path().join("store")).unwrap();
    let picture = Picture { channels: 3, height: 2, width: 2, pixels: vec![9; 12] };
    ["a", "b"].iter().for_each(|key| writer.append(key, None, "made up", &picture).unwrap());
    writer.finish(StoreDescription::default()).unwrap();
    let (plain, out) =
        (ImageStore::open(&folder.path().join("store")).unwrap(), folder.path().join("features"));
    let mut go_on = |_, _| ControlFlow::Continue(());
    // In place of features with labels, which then are of other pictures.
    let labelled = store(&folder.path().join("labelled"), 4, None);
    pixel_features(&labelled, 0..labelled.len(), &out, &mut go_on).unwrap();
    pixel_features(&plain, 0..plain.len(), &out, &mut go_on).unwrap();
    let files: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["features.npy"]);
    let set = FeatureSet::open_labelled_or_not(&out).unwrap();
    assert_eq!((set.n_rows(), set.labels(), set.n_classes()), (2, &[][..], 0));
    let message = FeatureSet::open(&out).unwrap_err().to_string();
    assert!(message.contains("labels.npy: expected a label for each row of features.npy"), "{message}");
}

#[test]
fn failures_leave_no_features() {
    let folder = tempfile::tempdir().unwrap();
    let labelled = store(&folder.path().join("labelled"), 5, None);
    let unlabelled = store(&folder.path().join("unlabelled"), 5, Some(3));
    let out = folder.path().join("features");
    let mut go_on = |_, _| ControlFlow::Continue(());
    let mut zeros = |_: &[u8], n: usize| Ok(vec![0.0; n]);

    let error =
        extract_features(&unlabelled, all(&unlabelled, 2), 1, &mut zeros, &out, &mut go_on).unwrap_err();
    assert!(matches!(error, EvalError::Unlabelled { image_idx: 3 }));
    let error = extract_features(&labelled, all(&labelled, 2), 4, &mut zeros, &out, &mut go_on).unwrap_err();
    assert_eq!(error.to_string(), "features of images 0..2: expected 8 numbers from the extractor, found 2");
    let mut failing = |_: &[u8], _: usize| Err("out of memory".into());
    let error =
        extract_features(&labelled, all(&labelled, 2), 1, &mut failing, &out, &mut go_on).unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "out of memory");
    let mut stop = |done, _| if done == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let error = extract_features(&labelled, all(&labelled, 2), 1, &mut zeros, &out, &mut stop).unwrap_err();
    assert!(matches!(error, EvalError::Interrupted));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn features_of_parts_are_those_of_the_whole() {
    let go_on = |_, _| ControlFlow::Continue(());
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("store"), 7, None);
    let extract = |rows: std::ops::Range<usize>, out: &str| {
        let out = folder.path().join(out);
        std::fs::create_dir_all(&out).unwrap();
        pixel_features(&store, rows, &out, &mut { go_on }).unwrap();
        out
    };
    let whole = extract(0..7, "whole");
    let parts = [extract(0..2, "1"), extract(2..3, "2"), extract(3..7, "3")];
    let merged = folder.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    assert_eq!(merge_features(&parts, &merged, &mut { go_on }).unwrap().n_rows, 7);
    for entry in std::fs::read_dir(&whole).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            std::fs::read(whole.join(&name)).unwrap() == std::fs::read(merged.join(&name)).unwrap(),
            "{name:?}"
        );
    }
    for rows in [7..7, 5..8] {
        let error = pixel_features(&store, rows, &merged, &mut { go_on }).unwrap_err().to_string();
        assert!(error.contains("rows: expected some of 7 pictures"), "{error}");
    }
}
