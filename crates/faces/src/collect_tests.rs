use dcgan_files::columns::{self, Column, Kind};
use dcgan_images::ImageStore;
use dcgan_images::grid::write_grid;

use super::*;
use crate::config::Files;
use crate::files;
use crate::testing::photo;
use crate::{CropConfig, DetectorConfig};

fn write(path: &Path, faces: &[[f64; 3]], width: usize, height: usize) {
    write_grid(path, &photo(width, height, faces).pixels, [1, 1, height, width], 1).unwrap();
}

/// `n` photos: with a face, with two, with one that is too small, with none, and every so often a bad one.
fn folder(dir: &Path, n: usize) -> Source {
    let path = dir.join("photos");
    fs_err::create_dir_all(&path).unwrap();
    let kinds = dir.join("kinds");
    fs_err::create_dir_all(&kinds).unwrap();
    let faces: [&[[f64; 3]]; 4] =
        [&[[70.0, 75.0, 50.0]], &[[60.0, 75.0, 40.0], [190.0, 75.0, 50.0]], &[[70.0, 75.0, 28.0]], &[]];
    for (k, faces) in faces.into_iter().enumerate() {
        write(&kinds.join(format!("{k}.png")), faces, 256, 160);
    }
    for i in 0..n {
        let target = path.join(format!("{i:05}.png"));
        match i % 5 {
            4 => fs_err::write(target, "text, not pixels").unwrap(),
            k => drop(fs_err::copy(kinds.join(format!("{k}.png")), target).unwrap()),
        }
    }
    Source::Folder { path, classes: false }
}

fn run(source: &Source, config: &CollectConfig, out: &Path, stop: u64) -> Result<CollectSummary> {
    fs_err::create_dir_all(out).unwrap();
    crop_faces(source, config, out, &mut |done, _| match done >= stop {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

fn strings(path: &Path, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    columns::read(path, &[(name, Kind::Strings)], |columns| {
        for column in columns {
            let Column::Strings(values) = column else { panic!("{name}") };
            all.extend(values);
        }
    })
    .unwrap();
    all
}

#[test]
fn every_photo_has_its_rows_and_every_face_its_crop() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 5);
    let out = dir.path().join("out");
    let config = CollectConfig { files: Files::Png, ..CollectConfig::default() };
    let summary = run(&source, &config, &out, u64::MAX).unwrap();
    let counts = [
        summary.n_photos,
        summary.n_faces,
        summary.n_with_face,
        summary.n_too_small,
        summary.n_no_face,
        summary.n_bad,
    ];
    assert_eq!(counts, [5, 3, 2, 1, 1, 1]);
    let boxes = out.join(files::BOXES);
    assert_eq!(strings(&boxes, "outcome"), ["cropped", "cropped", "cropped", "too_small", "no_face", "bad"]);
    assert_eq!(strings(&boxes, "key")[2..4], ["00001.png", "00002.png"]);
    let store = ImageStore::open(&out).unwrap();
    assert_eq!(store.keys().unwrap(), ["00000.png", "00001.png", "00001.png#2"]);
    assert_eq!([store.channels(), store.height(), store.width()], [3, 64, 64]);
    assert_eq!(store.meta().n_bad, 1);
    // In the middle of a face the drawing is bright, at the eyes' height dark at both sides of it.
    for idx in 0..3 {
        let at = |x: usize, y: usize| store.image(idx)[y * 64 + x];
        let eyes = (18..30).map(|y| at(20, y).min(at(44, y))).min().unwrap();
        assert!(at(32, 28) > 170 && eyes < 90, "{idx}: {} {eyes}", at(32, 28));
    }
    assert!(out.join(files::PICTURES).join("00000002.png").exists());
    let page = fs_err::read_to_string(out.join(files::CONTACT_SHEET)).unwrap();
    assert!(
        page.contains("5 photos: 3 faces in 2 of them, 1 with too small ones only, 1 without a face, 1 bad.")
    );
    assert!(
        page.contains("00004.png: no JPEG, PNG, WebP, GIF, BMP or TIFF: it begins with &quot;text, no&quot;")
    );
    assert_eq!(page.matches("<img").count(), 3 + 3 + 4);
}

#[test]
fn only_the_largest_face_is_taken_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let source = folder(dir.path(), 2);
    let crop = CropConfig { faces: Which::Largest, ..CropConfig::default() };
    let config = CollectConfig { crop, ..CollectConfig::default() };
    let out = dir.path().join("out");
    assert_eq!(run(&source, &config, &out, u64::MAX).unwrap().n_faces, 2);
    let outcomes = strings(&out.join(files::BOXES), "outcome");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "not_largest").count(), 1);
}

#[test]
fn a_run_that_broke_off_anywhere_is_continued_to_the_same_bits_with_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let n = 8 * CHUNK + 30;
    let source = folder(dir.path(), n);
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let config = CollectConfig::default();
    let one = |work: &(dyn Fn() -> Result<CollectSummary> + Sync)| {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(work)
    };
    let summary = one(&|| run(&source, &config, &whole, u64::MAX)).unwrap();
    assert_eq!((summary.n_photos, summary.n_resumed), (n as u64, 0));
    assert!(matches!(run(&source, &config, &parts, 2 * CHUNK as u64), Err(FacesError::Interrupted)));
    let n_done = fs_err::read_to_string(parts.join(crate::journal::ROWS)).unwrap().lines().count() as u64;
    assert!(
        (2 * CHUNK as u64..n as u64).contains(&n_done),
        "what is done is kept, and no more is begun: {n_done}"
    );
    // As a kill may leave them: a line that breaks off, and crops without lines.
    let append = |name: &str, bytes: &[u8]| {
        use std::io::Write as _;
        let mut file = fs_err::OpenOptions::new().append(true).open(parts.join(name)).unwrap();
        file.write_all(bytes).unwrap();
    };
    append(crate::journal::ROWS, b"{\"key\":\"a\",\"sour");
    append(crate::journal::CROPS, &[7; 5_000]);
    let resumed = run(&source, &config, &parts, u64::MAX).unwrap();
    assert_eq!(resumed.n_resumed, n_done);
    let names = |dir: &Path| {
        let mut names: Vec<_> =
            fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&whole), names(&parts));
    for name in names(&whole) {
        assert!(
            fs_err::read(whole.join(&name)).unwrap() == fs_err::read(parts.join(&name)).unwrap(),
            "{name:?}"
        );
    }
}

#[test]
fn a_set_without_a_face_is_an_error_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    fs_err::create_dir(&photos).unwrap();
    write(&photos.join("wall.png"), &[], 100, 100);
    fs_err::write(photos.join("empty.jpg"), "").unwrap();
    let source = Source::Folder { path: photos, classes: false };
    let message =
        run(&source, &CollectConfig::default(), &dir.path().join("out"), u64::MAX).unwrap_err().to_string();
    let expected = "none in 2 photos (1 without a face, 0 with too small ones, 1 bad), of which boxes.parquet says more; the \
                    first bad ones: empty.jpg: ";
    assert!(message.contains(expected), "{message}");
    assert_eq!(strings(&dir.path().join("out").join(files::BOXES), "outcome"), ["bad", "no_face"]);

    let empty = dir.path().join("empty");
    fs_err::create_dir(&empty).unwrap();
    fs_err::write(empty.join("a.heic"), "HEIC").unwrap();
    let source = Source::Folder { path: empty.clone(), classes: false };
    let error = run(&source, &CollectConfig::default(), &dir.path().join("out2"), u64::MAX).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: expected at least one JPEG, PNG, WebP, GIF, BMP or TIFF, found none", empty.display())
    );
}

#[test]
fn the_engine_that_is_not_built_in_says_so() {
    let config = DetectorConfig { engine: crate::Engine::Opencv, ..DetectorConfig::default() };
    let message = config.validate().unwrap_err().to_string();
    let expected =
        if cfg!(feature = "opencv") { "the file of a cascade" } else { "without the feature `opencv`" };
    assert!(message.contains(expected), "{message}");
}
