use std::collections::BTreeMap;

use dcgan_files::columns::{Column, Writer};

use super::*;
use crate::{DecodeConfig, Payload, Record, Resize, Source, StoreDescription, StoreWriter, TarLabel};

/// Five pictures of 3×2×2, of which the third has no label.
fn store(folder: &Path) -> ImageStore {
    let mut writer = StoreWriter::create(&folder.join("store")).unwrap();
    for i in 0..5u8 {
        let pixels = (0..12).map(|k| 20 * i + k).collect();
        let picture = Picture { channels: 3, height: 2, width: 2, pixels };
        let label = (i != 2).then_some(u32::from(i % 2));
        writer.append(&format!("a/{i}.jpg"), label, "a", &picture).unwrap();
    }
    writer
        .finish(StoreDescription {
            source: "folder a".into(),
            resize: "keep".into(),
            filter: None,
            class_names: Some(vec!["no".into(), "yes".into()]),
        })
        .unwrap();
    ImageStore::open(&folder.join("store")).unwrap()
}

fn written(form: SharedForm, per_file: usize) -> (tempfile::TempDir, ImageStore, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    let set = SharedSet { form, split: "train".into(), per_file };
    let names = set.write(&store, &out, &mut |_, _| ControlFlow::Continue(())).unwrap();
    (folder, store, names)
}

fn parquet(path: std::path::PathBuf) -> Source {
    Source::Parquet { path, split: String::new(), image: "image".into(), label: None }
}

fn pixels(record: Record) -> Vec<u8> {
    let picture = record.payload.into_picture(Resize::Keep, Default::default(), 3, DecodeConfig::default());
    picture.unwrap().pixels
}

#[test]
fn parquet_comes_back_as_it_was() {
    let (folder, store, names) = written(SharedForm::Parquet, 2);
    assert_eq!(names, ["00000", "00001", "00002"].map(|n| format!("train-{n}-of-00003.parquet")));
    let source = parquet(folder.path().join("out"));
    assert_eq!(source.n_images().unwrap(), Some(5));
    assert_eq!(source.class_names().unwrap().unwrap(), ["no", "yes"]);
    let records: Vec<Record> = source.records().unwrap().map(Result::unwrap).collect();
    let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!((keys[0], keys[3]), ("train-00000-of-00003.parquet/0", "train-00001-of-00003.parquet/1"));
    assert_eq!(
        records.iter().map(|record| record.label).collect::<Vec<_>>(),
        [Some(0), Some(1), None, Some(1), Some(0)]
    );
    for (i, record) in records.into_iter().enumerate() {
        assert_eq!(pixels(record), store.image(i));
    }
    let of_test = Source::Parquet {
        path: folder.path().join("out"),
        split: "test".into(),
        image: "image".into(),
        label: None,
    };
    let message = of_test.records().err().unwrap().to_string();
    assert!(message.contains("expected files test-*.parquet, found train"), "{message}");
}

#[test]
fn tars_hold_picture_label_and_key_of_each() {
    let (folder, store, names) = written(SharedForm::Webdataset, 4);
    assert_eq!(names, ["train-00000.tar", "train-00001.tar"]);
    let mut members = BTreeMap::new();
    for name in &names {
        let mut archive =
            tar::Archive::new(fs_err::File::open(folder.path().join("out").join(name)).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            members.insert(entry.path().unwrap().display().to_string(), bytes);
        }
    }
    assert_eq!(members["00000004.cls"], b"0");
    assert!(!members.contains_key("00000002.cls"));
    assert_eq!(members["00000003.json"], br#"{"key":"a/3.jpg"}"#);
    let path = folder.path().join("out");
    let source = |label| Source::Tar { path: path.clone(), label };
    for (i, record) in source(Some(TarLabel::None)).records().unwrap().enumerate() {
        let record = record.unwrap();
        assert_eq!(record.label, None);
        assert_eq!(pixels(record), store.image(i));
    }
    // Without one label it is not the labelled set that it seems to be.
    let error = source(None).records().unwrap().next().unwrap().unwrap_err().to_string();
    assert!(error.ends_with("found none for 1 of 4, the first train-00000.tar/00000002"), "{error}");
    let names: Vec<String> = members.keys().filter(|name| !name.contains("00000002")).cloned().collect();
    let mut archive = tar::Builder::new(fs_err::File::create(path.join("all.tar")).unwrap());
    names.iter().for_each(|name| {
        let mut header = tar::Header::new_ustar();
        header.set_size(members[name].len() as u64);
        archive.append_data(&mut header, name, &members[name][..]).unwrap();
    });
    archive.finish().unwrap();
    let all = Source::Tar { path: path.join("all.tar"), label: None };
    let labels: Vec<Option<u32>> = all.records().unwrap().map(|record| record.unwrap().label).collect();
    assert_eq!(labels, [Some(0), Some(1), Some(1), Some(0)]);
    assert_eq!(all.passed_over().unwrap(), [(".json".to_owned(), 4)].into());
}

#[test]
fn columns_of_other_names_and_rows_without_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let schema =
        "message m { OPTIONAL group img { OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (STRING); }
        OPTIONAL INT64 fine; OPTIONAL BYTE_ARRAY plain; }";
    let mut writer = Writer::create(&path, schema).unwrap();
    // A level of 1 is a group that is there without its bytes.
    writer
        .write(&[
            Column::MaybeBytes(vec![None, None]),
            Column::MaybeStrings(vec![None, None]),
            Column::MaybeU64(vec![Some(7), None]),
            Column::MaybeBytes(vec![Some(b"x".to_vec()), None]),
        ])
        .unwrap();
    writer.finish().unwrap();
    let of = |image: &str, label: Option<&str>| Source::Parquet {
        path: path.clone(),
        split: String::new(),
        image: image.into(),
        label: label.map(str::to_owned),
    };
    let records: Vec<Record> = of("img", Some("fine")).records().unwrap().map(Result::unwrap).collect();
    assert_eq!(records[0].label, Some(7));
    assert!(matches!(&records[0].payload, Payload::Bad(why) if why.contains("no bytes")), "{records:?}");
    let records: Vec<Record> = of("plain", None).records().unwrap().map(Result::unwrap).collect();
    assert_eq!((records[0].label, &records[0].payload), (None, &Payload::Encoded(b"x".to_vec())));
    for (image, label, expected) in [
        ("image", None, "a column `image` of bytes"),
        ("fine", None, "a column `fine` of bytes"),
        ("plain", Some("plain"), "a column `plain` of integers"),
        ("plain", Some("none"), "a column `none` of integers"),
    ] {
        let message = of(image, label).records().err().unwrap().to_string();
        assert!(message.contains("a.parquet") && message.contains(expected), "{message}");
    }
}

/// Files of one set of which one is of other columns or classes, or of another split, would give wrong labels.
#[test]
fn files_that_do_not_fit_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, schema: &str, names: &str, columns: &[Column]| {
        let types = format!(
            r#"{{"info": {{"features": {{"label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#
        );
        let path = folder.path().join(name);
        let mut writer = Writer::create_with(&path, schema, &[(METADATA, types)]).unwrap();
        writer.write(columns).unwrap();
        writer.finish().unwrap();
        path
    };
    let labelled = "message m { OPTIONAL BYTE_ARRAY image; OPTIONAL INT64 label; }";
    let rows = |label| [Column::MaybeBytes(vec![Some(b"x".to_vec())]), Column::MaybeU64(vec![Some(label)])];
    let refusal = || parquet(folder.path().into()).records().err().unwrap().to_string();
    write("train-0.parquet", labelled, r#"["cat", "dog"]"#, &rows(1));
    let other = write("train-1.parquet", labelled, r#"["dog", "cat"]"#, &rows(1));
    let message = refusal();
    assert!(message.contains("train-1.parquet: expected the classes as in train-0.parquet"), "{message}");
    fs_err::remove_file(other).unwrap();
    let only_pictures = "message m { OPTIONAL BYTE_ARRAY image; }";
    let other = write("train-1.parquet", only_pictures, "[]", &rows(1)[..1]);
    let message = refusal();
    assert!(
        message.contains("expected a column of labels as in train-0.parquet: label, found none"),
        "{message}"
    );
    fs_err::remove_file(other).unwrap();
    let other = write("test-0.parquet", labelled, r#"["cat", "dog"]"#, &rows(0));
    let message = refusal();
    assert!(message.contains("expected files of one split") && message.contains("test, train"), "{message}");
    let of_train = |path: &Path| Source::Parquet {
        path: path.into(),
        split: "train".into(),
        image: "image".into(),
        label: None,
    };
    assert_eq!(of_train(folder.path()).n_images().unwrap(), Some(1));
    assert!(of_train(&other).n_images().unwrap_err().to_string().contains("a file of the split train"));
    write("train-0.parquet", labelled, r#"["cat", "dog"]"#, &rows(7));
    let last = of_train(folder.path()).records().unwrap().last().unwrap().unwrap_err().to_string();
    assert!(last.contains("expected labels below 2") && last.contains("found 7 in row 0"), "{last}");
}
