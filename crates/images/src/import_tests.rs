use std::path::PathBuf;

use super::*;
use crate::{ImageStore, Split, grid};

fn go_on(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Thirty PNGs of different sizes and one value each, every third grey.
fn photos(parent: &Path) -> PathBuf {
    let folder = parent.join("photos");
    std::fs::create_dir(&folder).unwrap();
    for i in 0..30u8 {
        let (channels, height, width) = (if i % 3 == 0 { 1 } else { 3 }, 20 + usize::from(i), 40);
        let pixels = vec![i; channels * height * width];
        grid::write_grid(&folder.join(format!("{i:02}.png")), &pixels, [1, channels, height, width], 1)
            .unwrap();
    }
    folder
}

fn flat(path: &Path) -> Source {
    Source::Folder { path: path.to_path_buf(), classes: false }
}

fn to(n: usize) -> ImportConfig {
    ImportConfig { resize: Resize::MinResizeCentreCrop(n), ..Default::default() }
}

#[test]
fn pictures_of_any_size_and_colour_become_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (photos(folder.path()), folder.path().join("store"));
    let mut seen = Vec::new();
    let summary = import(&flat(&photos), &to(16), &out, &mut |done, total| {
        seen.push((done, total));
        ControlFlow::Continue(())
    })
    .unwrap();
    let expected = ImportSummary {
        n_images: 30,
        n_bad: 0,
        bad_share: 0.0,
        image_shape: [3, 16, 16],
        empty_classes: Vec::new(),
    };
    assert_eq!(summary, expected);
    assert!(seen.is_sorted() && seen[0] == (0, 30), "{seen:?}");
    let store = ImageStore::open(&out).unwrap();
    assert!((0..30).all(|i| store.image(i) == [i as u8; 3 * 16 * 16]));
    assert_eq!(store.keys().unwrap()[29], "29.png");
    assert_eq!(
        (store.meta().source.as_str(), store.meta().resize.as_str()),
        ("folder photos", "min_resize_centre_crop(16)")
    );
}

#[test]
fn bad_pictures_are_recorded_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (photos(folder.path()), folder.path().join("store"));
    std::fs::write(photos.join("00a.jpg"), "this is text").unwrap();
    std::fs::write(photos.join("zz.webp"), "").unwrap();
    let config = ImportConfig { max_pixels: 40 * 45, ..to(16) };
    let summary = import(&flat(&photos), &config, &out, &mut go_on).unwrap();
    assert_eq!((summary.n_images, summary.n_bad), (26, 6));
    assert_eq!(summary.bad_share, 6.0 / 32.0);
    let bad = std::fs::read_to_string(out.join("bad.csv")).unwrap();
    let lines: Vec<&str> = bad.lines().collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[1], "00a.jpg,\"no JPEG, PNG, WebP, GIF, BMP or TIFF: it begins with \"\"this is \"\"\"");
    assert_eq!(lines[2], "26.png,\"expected 1 to 1800 pixels, found 40×46\"");
    let store = ImageStore::open(&out).unwrap();
    assert_eq!(store.len(), 26);
    assert_eq!(store.meta().n_bad, 6);
}

#[test]
fn pictures_of_many_sizes_are_not_imported_unscaled() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (photos(folder.path()), folder.path().join("store"));
    std::fs::write(photos.join("00a.jpg"), "this is text").unwrap();
    let complaint = import(&flat(&photos), &ImportConfig::default(), &out, &mut go_on).unwrap_err();
    let expected = "photos: expected pictures of one size where they are not scaled, found 00.png of 40×20 and 01.png of \
                    40×21 pixels; set `resize`, for one size of all: resize=min_resize_centre_crop(64), say";
    assert!(complaint.to_string().ends_with(expected), "{complaint}");
    assert!(!out.exists());
    // One size is enough, even beside pictures that cannot be read.
    let first = ImportConfig { limit: Some(1), ..Default::default() };
    assert_eq!(import(&flat(&photos), &first, &out, &mut go_on).unwrap().image_shape, [3, 20, 40]);
}

#[test]
fn nothing_usable_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, out) = (folder.path().join("empty"), folder.path().join("store"));
    std::fs::create_dir(&empty).unwrap();
    let complaint = import(&flat(&empty), &to(16), &out, &mut go_on).unwrap_err().to_string();
    assert!(complaint.ends_with("empty: expected images (folder empty), found none"), "{complaint}");
    std::fs::write(empty.join("a.heic"), "HEIC").unwrap();
    std::fs::write(empty.join("b.heic"), "HEIC").unwrap();
    let complaint = import(&flat(&empty), &to(16), &out, &mut go_on).unwrap_err().to_string();
    let expected =
        "empty: expected images (folder empty) beside files that are not read: 2 .heic, found none";
    assert!(complaint.ends_with(expected), "{complaint}");
    std::fs::write(empty.join("text.jpg"), "text").unwrap();
    let complaint = import(&flat(&empty), &to(16), &out, &mut go_on).unwrap_err();
    assert!(matches!(complaint, ImagesError::AllBad { n_bad: 1, .. }), "{complaint}");
    assert!(!out.exists());
}

#[test]
fn an_interrupted_import_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (photos(folder.path()), folder.path().join("store"));
    let mut n_calls = 0;
    let result = import(&flat(&photos), &to(16), &out, &mut |_, _| {
        n_calls += 1;
        if n_calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(ImagesError::Interrupted)));
    assert!(!out.exists());
}

#[test]
fn a_limit_counts_images_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (photos(folder.path()), folder.path().join("store"));
    std::fs::write(photos.join("00a.jpg"), "this is text").unwrap();
    let config = ImportConfig { limit: Some(7), channels: 1, ..to(16) };
    let summary = import(&flat(&photos), &config, &out, &mut go_on).unwrap();
    assert_eq!((summary.n_images, summary.n_bad, summary.image_shape), (7, 1, [1, 16, 16]));
    let wrong = ImportConfig { channels: 2, ..Default::default() };
    assert!(import(&flat(&photos), &wrong, &out, &mut go_on).is_err());
}

#[test]
fn the_store_is_the_same_whatever_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let photos = photos(folder.path());
    std::fs::write(photos.join("05a.jpg"), "this is text").unwrap();
    let files = [1, 3].map(|n_threads| {
        let out = folder.path().join(format!("{n_threads}"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| import(&flat(&photos), &to(9), &out, &mut go_on)).unwrap();
        ["images.npy", "index.parquet", "meta.json", "bad.csv"]
            .map(|name| std::fs::read(out.join(name)).unwrap())
    });
    assert!(files[0] == files[1]);
}

#[test]
fn labels_and_class_names_reach_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let batch: Vec<u8> =
        [7u8, 2].iter().flat_map(|&label| [vec![label], vec![label; 3072]].concat()).collect();
    std::fs::write(folder.path().join("test_batch.bin"), &batch).unwrap();
    std::fs::write(folder.path().join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
    let source = Source::Cifar10 { path: folder.path().to_path_buf(), split: Split::Test };
    let out = folder.path().join("store");
    import(&source, &ImportConfig::default(), &out, &mut go_on).unwrap();
    let store = ImageStore::open(&out).unwrap();
    assert_eq!(store.labels().unwrap(), [Some(7), Some(2)]);
    assert_eq!(store.meta().class_names.as_ref().unwrap()[7], "h");
    assert_eq!((store.meta().resize.as_str(), store.meta().filter), ("keep", None));
    // A reader's error ends the import, and the old store stays.
    std::fs::write(folder.path().join("test_batch.bin"), &batch[..4000]).unwrap();
    assert!(matches!(
        import(&source, &ImportConfig::default(), &out, &mut go_on),
        Err(ImagesError::Malformed { .. })
    ));
    assert_eq!(ImageStore::open(&out).unwrap().len(), 2);
}

#[test]
fn classes_without_a_picture_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let photos = photos(folder.path());
    let root = folder.path().join("classes");
    for class in ["ant", "bee", "cat", "__MACOSX"] {
        std::fs::create_dir_all(root.join(class)).unwrap();
    }
    std::fs::copy(photos.join("03.png"), root.join("bee/3.png")).unwrap();
    std::fs::write(root.join("cat/bad.png"), "this is text").unwrap();
    let source = Source::Folder { path: root, classes: true };
    let summary = import(&source, &to(16), &folder.path().join("store"), &mut go_on).unwrap();
    assert_eq!((summary.n_images, summary.empty_classes), (1, vec!["ant".to_owned(), "cat".to_owned()]));
    let store = ImageStore::open(&folder.path().join("store")).unwrap();
    assert_eq!(store.labels().unwrap(), [Some(1)]);
    let some = ImportConfig { limit: Some(1), ..to(16) };
    let summary = import(&source, &some, &folder.path().join("some"), &mut go_on).unwrap();
    assert!(summary.empty_classes.is_empty());
}
