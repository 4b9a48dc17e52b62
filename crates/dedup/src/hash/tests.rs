use dcgan_images::grid::write_grid;

use super::*;
use crate::Preprocessing;

/// A folder of `n` PNG files of 40×56, with an empty file, a text and a broken picture among them.
fn folder(dir: &Path, n: usize) -> Source {
    for i in 0..n {
        let pixels: Vec<u8> = (0..3 * 40 * 56).map(|k| ((k * (i + 3)) / 7 % 256) as u8).collect();
        write_grid(&dir.join(format!("{i:05}.png")), &pixels, [1, 3, 40, 56], 1).unwrap();
    }
    fs_err::write(dir.join("00001x.jpg"), "").unwrap();
    fs_err::write(dir.join("00001y.png"), "text, not pixels").unwrap();
    let whole = fs_err::read(dir.join("00000.png")).unwrap();
    fs_err::write(dir.join("zz.png"), &whole[..whole.len() / 2]).unwrap();
    Source::Folder { path: dir.to_path_buf(), classes: false }
}

fn model() -> Autoencoder {
    Autoencoder::random(Preprocessing { standardise: true }, 1).unwrap()
}

fn run(source: &Source, out: &Path, stop: u64) -> Result<HashSummary> {
    fs_err::create_dir_all(out).unwrap();
    hash(source, &model(), &HashConfig::default(), out, &mut |done, _| match done >= stop {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

#[test]
fn a_run_that_broke_off_anywhere_is_continued_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    let source = folder(&pictures, 2 * CHUNK + 300);
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let summary = run(&source, &whole, u64::MAX).unwrap();
    assert_eq!((summary.n_images, summary.n_bad, summary.n_resumed), (2 * CHUNK as u64 + 300, 3, 0));
    let bad = fs_err::read_to_string(whole.join(files::BAD)).unwrap();
    assert!(
        bad.contains("\n00001x.jpg,\"no JPEG, PNG, WebP, GIF, BMP or TIFF: the file is empty\"\n"),
        "{bad}"
    );

    assert!(matches!(run(&source, &parts, 2 * CHUNK as u64), Err(DedupError::Interrupted)));
    // As a kill may leave them: a line that breaks off, and pictures without lines.
    let append = |name: &str, bytes: &[u8]| {
        use std::io::Write as _;
        let mut file = fs_err::OpenOptions::new().append(true).open(parts.join(name)).unwrap();
        file.write_all(bytes).unwrap();
    };
    append(
        files::JOURNAL,
        b"{\"key\":\"a\",\"code\":[1,2],\"blake3\":5,\"size\":[3,4]}\n{\"key\":\"b\",\"co",
    );
    append(files::PICTURES, &[7; 5_000]);
    let resumed = run(&source, &parts, u64::MAX).unwrap();
    assert_eq!(resumed.n_resumed, 2 * CHUNK as u64);
    for file in [files::CODES, files::PICTURES, files::BAD] {
        assert!(fs_err::read(whole.join(file)).unwrap() == fs_err::read(parts.join(file)).unwrap(), "{file}");
    }
    assert!(!parts.join(files::JOURNAL).exists());
}

#[test]
fn a_set_that_has_changed_while_its_run_waited_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    let source = folder(&pictures, CHUNK + 20);
    let parts = dir.path().join("parts");
    assert!(matches!(run(&source, &parts, CHUNK as u64), Err(DedupError::Interrupted)));
    fs_err::write(pictures.join("00000-.jpg"), b"new").unwrap();
    let message = run(&source, &parts, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("as image") && message.contains("the set has changed"), "{message}");
    // As the message says.
    fs_err::remove_file(parts.join(files::JOURNAL)).unwrap();
    assert_eq!(run(&source, &parts, u64::MAX).unwrap().n_resumed, 0);
}

#[test]
fn codes_and_pictures_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    let source = folder(&pictures, 20);
    let out = dir.path().join("out");
    run(&source, &out, u64::MAX).unwrap();
    let set = Codes::read(&out.join(files::CODES)).unwrap();
    assert_eq!((set.codes.len(), set.sizes[3]), (20, [56, 40]));
    let pictures = Pictures::open(&out.join(files::PICTURES), 20).unwrap();
    let some = pictures.read(&[19, 4]).unwrap();
    assert_eq!(model().codes(&some).unwrap(), [set.codes[19], set.codes[4]]);
    let keys = read_keys(&out.join(files::CODES), |image| image == 2).unwrap();
    assert_eq!(keys, [(2, "00002.png".to_owned())]);
    assert!(pictures.read(&[20]).is_err());
    let message = Pictures::open(&out.join(files::PICTURES), 21).unwrap_err().to_string();
    assert!(message.contains("pictures.npy: expected 21 pictures"), "{message}");
}

#[test]
fn a_set_without_a_usable_image_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    fs_err::write(pictures.join("a.jpg"), "").unwrap();
    let source = Source::Folder { path: pictures, classes: false };
    let message = run(&source, &dir.path().join("out"), u64::MAX).unwrap_err().to_string();
    assert!(message.ends_with("found 1 that cannot (bad.csv says why)"), "{message}");
}

/// Rewrites `codes.parquet` as pyarrow does, where every column may be null, with these keys.
fn rewrite(codes: &Path, keys: [Option<&str>; 3], has_contents: bool) {
    use dcgan_files::columns::{Column, Writer};
    let content = if has_contents { "OPTIONAL INT64 blake3 (INTEGER(64, false));" } else { "" };
    let schema = format!(
        "message schema {{ OPTIONAL INT32 height (INTEGER(32, false)); OPTIONAL INT32 width (INTEGER(32, false));
         OPTIONAL BYTE_ARRAY key (STRING); OPTIONAL INT64 word0 (INTEGER(64, false));
         OPTIONAL INT64 word1 (INTEGER(64, false)); {content} }}"
    );
    let mut writer = Writer::create(codes, &schema).unwrap();
    let word = Column::MaybeU64(vec![Some(u64::MAX); 3]);
    let mut columns = vec![
        Column::MaybeU32(vec![Some(3); 3]),
        Column::MaybeU32(vec![Some(4); 3]),
        Column::MaybeStrings(keys.iter().map(|key| key.map(str::to_owned)).collect()),
        word.clone(),
        word,
    ];
    if has_contents {
        columns.push(Column::MaybeU64(vec![Some(1), Some(2), Some(u64::MAX)]));
    }
    writer.write(&columns).unwrap();
    writer.finish().unwrap();
}

#[test]
fn codes_of_other_making_are_read_and_grouped_and_keys_that_tell_no_pictures_apart_are_refused() {
    use crate::group::{GROUPS, GroupConfig, group_images, read_groups};

    let dir = tempfile::tempdir().unwrap();
    let codes = dir.path().join(files::CODES);
    let mut pictures_npy = pictures::header(3);
    pictures_npy.extend([0; 3 * PICTURE_BYTES]);
    fs_err::write(dir.path().join(files::PICTURES), pictures_npy).unwrap();
    let group = || {
        let go = &mut |_: u64, _: u64| ControlFlow::Continue(());
        group_images(dir.path(), &GroupConfig::default(), dir.path(), go).map_err(|e| e.to_string())
    };
    for has_contents in [true, false] {
        rewrite(&codes, [Some("a"), Some("b"), Some("c")], has_contents);
        assert_eq!(Codes::read(&codes).unwrap().sizes, [[4, 3]; 3]);
        assert_eq!(group().unwrap().exact.n_grouped, 3);
        let groups = read_groups(&dir.path().join(GROUPS)).unwrap();
        let contents: Vec<Option<u64>> = groups[0].iter().map(|member| member.blake3).collect();
        let expected = [Some(1), Some(2), Some(u64::MAX)].map(|content| content.filter(|_| has_contents));
        assert_eq!(contents, expected);
    }
    for (keys, expected) in [
        ([Some("a"), Some("b"), Some("a")], "expected each key once, found a in row 0 and in row 2"),
        ([Some("a"), Some(""), Some("c")], "expected keys of one line, found \"\" in row 1"),
        ([Some("a"), Some("b\nc"), Some("c")], "expected keys of one line, found \"b\\nc\" in row 1"),
        ([Some("a"), Some("b"), None], "column `key`: a value in every row, found null in row 2"),
    ] {
        rewrite(&codes, keys, true);
        let message = group().unwrap_err();
        assert!(message.contains("codes.parquet: ") && message.ends_with(expected), "{message}");
    }
}

#[test]
fn a_line_of_the_journal_without_a_content_is_hashed_again() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    let source = folder(&pictures, CHUNK + 300);
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    run(&source, &whole, u64::MAX).unwrap();
    assert!(matches!(run(&source, &parts, CHUNK as u64), Err(DedupError::Interrupted)));
    // As an earlier version wrote it.
    let journal = parts.join(files::JOURNAL);
    let lines = fs_err::read_to_string(&journal).unwrap();
    let line = |line: &str| {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("blake3");
        row.to_string() + "\n"
    };
    fs_err::write(&journal, lines.lines().map(line).collect::<String>()).unwrap();
    assert_eq!(run(&source, &parts, u64::MAX).unwrap().n_resumed, 0);
    assert!(
        fs_err::read(whole.join(files::CODES)).unwrap() == fs_err::read(parts.join(files::CODES)).unwrap()
    );
}
