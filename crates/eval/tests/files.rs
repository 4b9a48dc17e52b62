//! Feature files: what is written is what NumPy writes, and what cannot be used says why.

// Clippy allows this within test functions only, not in what they call.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use dcgan_eval::{EvalError, FeatureSet, FeatureWriter};

/// The bytes that `numpy.save` writes: its header is padded with spaces to 128 bytes.
fn npy(descr: &str, fortran_order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(
        format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}").bytes(),
    );
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn f4(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn i8_labels(n: i64) -> Vec<u8> {
    npy("<i8", "False", &format!("({n},)"), &(0..n).flat_map(i64::to_le_bytes).collect::<Vec<u8>>())
}

fn open(features: &[u8], labels: &[u8]) -> Result<FeatureSet, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("features.npy"), features).unwrap();
    std::fs::write(folder.path().join("labels.npy"), labels).unwrap();
    FeatureSet::open(folder.path())
}

/// The message without the folder in front of the file's name.
fn message(error: &EvalError) -> String {
    let message = error.to_string();
    let folder = message.rfind('/').map_or(0, |slash| slash + 1);
    message[folder..].into()
}

fn refusal(features: &[u8], labels: &[u8]) -> String {
    message(&open(features, labels).unwrap_err())
}

// The bytes `npy` builds are those of numpy.save (NumPy 2.4.6); of the labels only the values are compared, since the
// header's padding is a writer's choice.
#[test]
fn a_writer_writes_numpys_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/features");
    let mut writer = FeatureWriter::create(&out, 3).unwrap();
    writer.append(&[0.5, 1.0, 1.5], &[3]).unwrap();
    writer.append(&[2.0, 2.5, 3.0], &[0]).unwrap();
    assert!(!out.join("features.npy").exists());
    assert_eq!(writer.finish().unwrap(), 2);

    let expected = npy("<f4", "False", "(2, 3)", &f4(&[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]));
    assert_eq!(std::fs::read(out.join("features.npy")).unwrap(), expected);
    let expected = npy("<u4", "False", "(2,)", &[3, 0, 0, 0, 0, 0, 0, 0]);
    let labels = std::fs::read(out.join("labels.npy")).unwrap();
    assert_eq!(labels[labels.len() - 8..], expected[expected.len() - 8..]);
    assert_eq!(files(&out), ["features.npy", "labels.npy"]);

    let set = FeatureSet::open(&out).unwrap();
    assert_eq!((set.n_rows(), set.n_columns(), set.n_classes()), (2, 3, 4));
    assert_eq!(set.labels(), [3, 0]);
    assert_eq!(set.class_counts(), [1, 0, 0, 1]);
    assert_eq!(set.features(), ndarray::array![[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]]);
    set.check_finite().unwrap();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_unfinished_writer_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = FeatureWriter::create(folder.path(), 2).unwrap();
    writer.append(&[1.0, 2.0], &[0]).unwrap();
    drop(writer);
    assert!(files(folder.path()).is_empty());
    let empty = FeatureWriter::create(folder.path(), 2).unwrap().finish().unwrap_err();
    assert!(empty.to_string().ends_with("expected at least one row, found none"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_writer_refuses_wrong_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = FeatureWriter::create(folder.path(), 2).unwrap();
    let error = writer.append(&[1.0, 2.0, 3.0], &[0, 1]).unwrap_err();
    assert!(error.to_string().ends_with("expected 4 numbers for 2 rows of 2 columns, found 3"), "{error}");
    writer.append(&[1.0, 2.0], &[0]).unwrap();
    let error = writer.append(&[1.0, 2.0, 3.0, f32::NAN], &[0, 1]).unwrap_err();
    assert_eq!(message(&error), "features.npy: row 2, column 1: expected a finite number, found NaN");
    assert!(FeatureWriter::create(folder.path(), 0).is_err());
}

#[test]
fn every_integer_type_of_numpy_is_a_label() {
    let features = npy("<f4", "False", "(2, 1)", &f4(&[1.0, 2.0]));
    let cases: [(&str, &[u8]); 10] = [
        ("|u1", &[7, 1]),
        ("|i1", &[7, 1]),
        ("<u2", &[7, 0, 1, 0]),
        ("<i2", &[7, 0, 1, 0]),
        ("<u4", &[7, 0, 0, 0, 1, 0, 0, 0]),
        ("<i4", &[7, 0, 0, 0, 1, 0, 0, 0]),
        ("<u8", &[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("<i8", &[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        (">i4", &[0, 0, 0, 7, 0, 0, 0, 1]),
        (">u2", &[0, 7, 0, 1]),
    ];
    for (descr, data) in cases {
        let set = open(&features, &npy(descr, "False", "(2,)", data)).unwrap();
        assert_eq!(set.labels(), [7, 1], "{descr}");
    }
}

#[test]
fn f64_features_are_converted() {
    let data: Vec<u8> = [0.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let set = open(&npy("<f8", "False", "(1, 2)", &data), &i8_labels(1)).unwrap();
    assert_eq!(set.row(0), [0.5, -2.0]);
}

#[test]
fn unusable_files_say_what_was_expected_and_found() {
    let data = f4(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let good = npy("<f4", "False", "(2, 3)", &data);
    assert!(open(&good, &i8_labels(2)).is_ok());
    let cases = [
        (
            refusal(&npy(">f4", "False", "(2, 3)", &data), &i8_labels(2)),
            "features.npy: expected little-endian numbers, '<f4' or '<f8', found big-endian ones; save \
             features.astype('<f4')",
        ),
        (
            refusal(&npy("<i4", "False", "(2, 3)", &data), &i8_labels(2)),
            "features.npy: expected numbers of type '<f4' or '<f8', found '<i4'",
        ),
        (
            refusal(&npy("<f4", "True", "(2, 3)", &data), &i8_labels(2)),
            "features.npy: expected rows one after another (C order), \
             found Fortran order; save numpy.ascontiguousarray(features)",
        ),
        (
            refusal(&npy("<f4", "False", "(6,)", &data), &i8_labels(2)),
            "features.npy: expected a matrix (N, D), found 1 dimension(s)",
        ),
        (
            refusal(&good[..good.len() - 5], &i8_labels(2)),
            "features.npy: expected all the data that its header announces, \
             found 5 bytes fewer: the file is truncated",
        ),
        (
            refusal(&npy("<f4", "False", "(0, 3)", &[]), &i8_labels(0)),
            "features.npy: expected at least one row and one column, found shape (0, 3)",
        ),
        (refusal(&good, &i8_labels(3)), "labels.npy: expected 2 labels, one a row of features.npy, found 3"),
        (
            refusal(&good, &npy("<f4", "False", "(2,)", &f4(&[0.0, 1.0]))),
            "labels.npy: expected labels of an integer type, found '<f4'",
        ),
        (
            refusal(&good, &npy("|i1", "False", "(2,)", &[0, 255])),
            "labels.npy: row 1: expected a label in 0..10000, found -1",
        ),
        (
            refusal(&good, &i8_labels(2)[..140]),
            "labels.npy: expected all the data that its header announces, \
             found 12 of 16 bytes: the file is truncated",
        ),
        (
            refusal(&good, &npy("|u1", "False", "(2, 1)", &[0, 1])),
            "labels.npy: expected labels in one dimension, found 2 dimension(s)",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    assert!(refusal(b"not a NumPy file", &i8_labels(2)).starts_with("features.npy: expected a NumPy file"));
    assert!(refusal(b"", &i8_labels(2)).starts_with("features.npy: expected a NumPy file"));
}

#[test]
fn missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = FeatureSet::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("features.npy"), "{error}");
}

#[test]
fn the_first_row_that_is_not_finite_is_named() {
    let mut values = [0.0f32; 600];
    values[431] = f32::NEG_INFINITY;
    values[590] = f32::NAN;
    let set = open(&npy("<f4", "False", "(200, 3)", &f4(&values)), &i8_labels(200)).unwrap();
    let error = set.check_finite().unwrap_err();
    assert_eq!(message(&error), "features.npy: row 143, column 2: expected a finite number, found -inf");
}

#[test]
fn bf16_keeps_eight_significant_bits() {
    let features = npy("<f4", "False", "(2, 3)", &f4(&[1.0, 1.003, 1.005, -3e38, 0.0, 257.5]));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("features.npy"), features).unwrap();
    std::fs::write(folder.path().join("labels.npy"), i8_labels(2)).unwrap();
    // As torch.tensor([…]).bfloat16() rounds.
    let expected = ndarray::array![[1.0, 1.0, 1.0078125], [-3.00405527e38, 0.0, 258.0]];
    let set = FeatureSet::open(folder.path()).unwrap();
    assert_eq!(set.to_bf16().unwrap().mapv(|value| value.to_f32()), expected);
    let held = FeatureSet::from_arrays(&set.features().to_owned(), vec![0, 1]).unwrap();
    assert_eq!(held.to_bf16().unwrap(), set.to_bf16().unwrap());
}
