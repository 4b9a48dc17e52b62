use super::*;
use crate::Picture;

fn picture(value: u8) -> Picture {
    Picture { channels: 3, height: 2, width: 4, pixels: vec![value; 24] }
}

fn written(n: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(folder.path()).unwrap();
    for i in 0..n {
        writer.append(&format!("k{i}"), (i > 0).then_some(u32::from(i)), "test", &picture(i)).unwrap();
    }
    writer.append_bad("k,\"x\"", "a \"reason\", with a comma").unwrap();
    writer.finish(StoreDescription { source: "test".into(), ..Default::default() }).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_store_is_read_as_it_was_written() {
    let folder = written(5);
    assert_eq!(names(folder.path()), [BAD, IMAGES, INDEX, META]);
    let store = ImageStore::open(folder.path()).unwrap();
    assert_eq!((store.len(), store.channels(), store.height(), store.width()), (5, 3, 2, 4));
    assert_eq!(store.image(4), [4; 24]);
    assert_eq!(store.pixels().len(), 5 * 24);
    assert_eq!(store.labels().unwrap(), [None, Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(store.keys().unwrap(), ["k0", "k1", "k2", "k3", "k4"]);
    assert_eq!(store.sources().unwrap(), ["test"; 5]);
    assert_eq!(store.meta().n_bad, 1);
    let mut batch = vec![9; 100];
    store.gather(&[3, 1, 3], &mut batch);
    assert_eq!(batch, [[3; 24], [1; 24], [3; 24]].concat());
    let bad = std::fs::read_to_string(folder.path().join(BAD)).unwrap();
    assert_eq!(bad, "key,reason\n\"k,\"\"x\"\"\",\"a \"\"reason\"\", with a comma\"\n");
}

#[test]
fn files_that_disagree_are_refused() {
    let folder = written(5);
    let other = written(4);
    std::fs::copy(other.path().join(INDEX), folder.path().join(INDEX)).unwrap();
    let complaint = ImageStore::open(folder.path()).unwrap_err().to_string();
    assert!(complaint.ends_with("index.parquet: expected 5 rows, one an image, found 4"), "{complaint}");
    std::fs::copy(other.path().join(META), folder.path().join(META)).unwrap();
    let complaint = ImageStore::open(folder.path()).unwrap_err().to_string();
    assert!(complaint.ends_with("[4, 3, 2, 4], found shape [5, 3, 2, 4]"), "{complaint}");
    let meta = std::fs::read_to_string(other.path().join(META)).unwrap();
    std::fs::write(folder.path().join(META), meta.replace("\"n_images\": 4", "\"n_images\": 0")).unwrap();
    assert!(ImageStore::open(folder.path()).unwrap_err().to_string().contains("n_images"));
    std::fs::write(folder.path().join(META), meta.replace("n_bad", "n_worse")).unwrap();
    assert!(ImageStore::open(folder.path()).unwrap_err().to_string().contains("meta.json"));
    std::fs::remove_file(folder.path().join(META)).unwrap();
    assert!(ImageStore::open(folder.path()).unwrap_err().to_string().contains("meta.json"));
}

#[test]
fn a_picture_of_another_shape_is_refused_and_nothing_of_it_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::create(folder.path()).unwrap();
    writer.append("a", None, "", &picture(1)).unwrap();
    let other = Picture { channels: 3, height: 4, width: 2, pixels: vec![0; 24] };
    assert!(matches!(writer.append("b", None, "", &other), Err(ImagesError::BadPicture { .. })));
    assert_eq!(writer.finish(StoreDescription::default()).unwrap().n_images, 1);
}

#[test]
fn a_writer_that_is_given_up_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let new = parent.path().join("new");
    let mut writer = StoreWriter::create(&new).unwrap();
    writer.append("a", None, "", &picture(1)).unwrap();
    drop(writer);
    assert!(!new.exists());
    let empty = StoreWriter::create(&new).unwrap().finish(StoreDescription::default());
    assert!(matches!(empty, Err(ImagesError::NoImages { .. })));
    assert!(!new.exists());

    let old = written(2);
    drop(StoreWriter::create(old.path()).unwrap());
    assert_eq!(ImageStore::open(old.path()).unwrap().len(), 2);
    assert_eq!(names(old.path()).len(), 4);
}

#[test]
fn a_store_is_replaced_while_a_reader_keeps_the_old_one() {
    let folder = written(2);
    let old = ImageStore::open(folder.path()).unwrap();
    let mut writer = StoreWriter::create(folder.path()).unwrap();
    writer.append("new", None, "", &picture(77)).unwrap();
    writer.finish(StoreDescription::default()).unwrap();
    assert_eq!(old.image(1), [1; 24]);
    assert_eq!(ImageStore::open(folder.path()).unwrap().image(0), [77; 24]);
}

#[test]
fn a_label_without_a_class_name_is_named_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let picture = Picture { channels: 1, height: 1, width: 1, pixels: vec![0] };
    for (last, is_right) in [(1, true), (2, false)] {
        let mut writer = StoreWriter::create(folder.path()).unwrap();
        for (key, label) in [("a", Some(0)), ("b", None), ("c", Some(last))] {
            writer.append(key, label, "", &picture).unwrap();
        }
        let class_names = Some(vec!["cat".to_owned(), "dog".to_owned()]);
        writer.finish(StoreDescription { class_names, ..StoreDescription::default() }).unwrap();
        let store = ImageStore::open(folder.path()).unwrap();
        match store.labels() {
            Ok(labels) => assert!(is_right && labels == [Some(0), None, Some(1)]),
            Err(e) => {
                let expected = "index.parquet: expected labels below 2, the number of class names in meta.json, found 2 in row 2";
                assert!(!is_right && e.to_string().ends_with(expected), "{e}");
                let source = crate::Source::Store { path: folder.path().to_path_buf() };
                assert_eq!(source.records().err().unwrap().to_string(), e.to_string());
            }
        }
    }
}
