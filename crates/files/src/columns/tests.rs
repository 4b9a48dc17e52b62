use super::*;

fn written(schema: &str, columns: &[Column]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.parquet");
    let mut writer = Writer::create(&path, schema).unwrap();
    // Without columns there are no rows: a schema alone.
    for _ in 0..if columns.is_empty() { 0 } else { 2 } {
        writer.write(columns).unwrap();
    }
    writer.finish().unwrap();
    (folder, path)
}

fn all(path: &Path, name: &str, kind: Kind) -> Result<Vec<Column>> {
    let mut all = Vec::new();
    read(path, &[(name, kind)], |columns| all.extend(columns))?;
    Ok(all)
}

fn message(path: &Path, name: &str, kind: Kind) -> String {
    all(path, name, kind).unwrap_err().to_string()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// As pyarrow writes columns: all of them may be missing a value.
const NULLABLE: &str = "message schema {
    OPTIONAL BYTE_ARRAY key (STRING);
    OPTIONAL INT64 n;
    OPTIONAL INT32 small (INTEGER(32, false));
    OPTIONAL FLOAT x;
    OPTIONAL DOUBLE y;
    OPTIONAL group point { OPTIONAL INT32 element; }
}";

fn nullable(keys: &[Option<String>], n: &[Option<u64>]) -> (tempfile::TempDir, PathBuf) {
    written(
        NULLABLE,
        &[
            Column::MaybeStrings(keys.to_vec()),
            Column::MaybeU64(n.to_vec()),
            Column::MaybeU32(vec![Some(u32::MAX); keys.len()]),
            Column::MaybeF32(vec![Some(0.5); keys.len()]),
            Column::MaybeF64([Some(0.1), None].into_iter().cycle().take(keys.len()).collect()),
            Column::MaybeU32(vec![None; keys.len()]),
        ],
    )
}

#[test]
fn nullable_columns_are_read_as_such_and_where_no_value_is_missing_as_others() {
    let (_folder, path) = nullable(&[text("a"), text("b")], &[Some(1), None]);
    let strings = Column::Strings(vec!["a".into(), "b".into()]);
    assert_eq!(all(&path, "key", Kind::Strings).unwrap(), [strings.clone(), strings]);
    assert_eq!(all(&path, "n", Kind::MaybeU64).unwrap()[1], Column::MaybeU64(vec![Some(1), None]));
    assert_eq!(all(&path, "n", Kind::MaybeU32).unwrap()[0], Column::MaybeU32(vec![Some(1), None]));
    assert_eq!(all(&path, "small", Kind::U64).unwrap()[0], Column::U64(vec![u64::from(u32::MAX); 2]));
    assert_eq!(all(&path, "small", Kind::U32).unwrap()[0], Column::U32(vec![u32::MAX; 2]));
    assert_eq!(all(&path, "x", Kind::F32).unwrap()[0], Column::F32(vec![0.5; 2]));
    assert_eq!(all(&path, "y", Kind::MaybeF64).unwrap()[1], Column::MaybeF64(vec![Some(0.1), None]));
    assert!(Reader::open(&path).unwrap().has("key") && !Reader::open(&path).unwrap().has("element"));
}

#[test]
fn a_missing_value_and_one_out_of_range_are_errors_with_their_row() {
    let (_folder, path) = nullable(&[text("a"), None], &[Some(1), Some(1 << 32)]);
    let found = message(&path, "key", Kind::Strings);
    assert!(
        found.ends_with("some.parquet: expected column `key`: a value in every row, found null in row 1"),
        "{found}"
    );
    let found = message(&path, "n", Kind::U32);
    assert!(found.ends_with("column `n`: unsigned 32-bit integers, found 4294967296 in row 1"), "{found}");
    let (_folder, path) = nullable(&[text("a"), text("b")], &[Some(1), Some(-3_i64 as u64)]);
    let found = message(&path, "n", Kind::U64);
    assert!(found.ends_with("column `n`: unsigned 64-bit integers, found -3 in row 1"), "{found}");
}

#[test]
fn a_row_is_counted_over_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.parquet");
    let mut writer = Writer::create(&path, "message schema { OPTIONAL BYTE_ARRAY key (STRING); }").unwrap();
    for keys in [vec![text("a"); 3], vec![text("b"), None]] {
        writer.write(&[Column::MaybeStrings(keys)]).unwrap();
    }
    writer.finish().unwrap();
    assert!(message(&path, "key", Kind::Strings).ends_with("found null in row 4"));
}

#[test]
fn a_missing_column_and_one_of_another_type_are_errors_with_its_name() {
    let (_folder, path) = nullable(&[text("a")], &[None]);
    for (name, kind, expected) in [
        (
            "keys",
            Kind::Strings,
            "a column `keys` of text, found [\"key\", \"n\", \"small\", \"x\", \"y\", \"point.element\"]",
        ),
        ("element", Kind::U32, "a column `element` of integers, found [\"key\""),
        ("n", Kind::MaybeStrings, "a column `n` of text, found INT64"),
        ("x", Kind::U32, "a column `x` of integers, found FLOAT"),
        ("x", Kind::MaybeF64, "a column `x` of 64-bit floats, found FLOAT"),
        ("y", Kind::MaybeF32, "a column `y` of 32-bit floats, found DOUBLE"),
        ("key", Kind::F32, "a column `key` of 32-bit floats, found BYTE_ARRAY (String)"),
    ] {
        let found = message(&path, name, kind);
        assert!(found.contains(&format!("some.parquet: expected {expected}")), "{found}");
    }
    let schema = "message schema { REQUIRED INT32 day (DATE); REQUIRED INT32 n; REPEATED INT32 many; REQUIRED INT32 n; }";
    let (_folder, path) = written(schema, &[]);
    assert!(message(&path, "day", Kind::U32).ends_with("found INT32 (Date)"));
    assert!(message(&path, "many", Kind::U32).ends_with("found lists of INT32"));
    assert!(message(&path, "n", Kind::U32).ends_with("found 2 of that name"));
}

/// A date and time as old Spark writes it, of a type whose pages make the library panic.
#[test]
fn a_column_of_96_bits_is_an_ordinary_error() {
    let (_folder, path) = written("message schema { OPTIONAL INT96 key; }", &[]);
    assert!(message(&path, "key", Kind::Strings).ends_with("expected a column `key` of text, found INT96"));
}

#[test]
fn every_compression_is_read() {
    use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.parquet");
        let schema =
            Arc::new(parse_message_type("message schema { REQUIRED BYTE_ARRAY key (STRING); }").unwrap());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = std::fs::File::create(&path).unwrap();
        let mut file = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
        let mut group = file.next_row_group().unwrap();
        write_any(&mut group, &Column::Strings(vec!["a".repeat(1000)])).unwrap();
        group.close().unwrap();
        file.close().unwrap();
        assert_eq!(all(&path, "key", Kind::Strings).unwrap(), [Column::Strings(vec!["a".repeat(1000)])]);
    }
}

/// Twenty million equal numbers in one page take some hundred bytes: no table of keys is like that.
#[test]
fn a_file_of_more_rows_than_its_bytes_can_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.parquet");
    let schema = Arc::new(parse_message_type("message schema { REQUIRED INT32 n; }").unwrap());
    let n_rows = 20_000_000;
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(n_rows)
        .set_write_batch_size(n_rows)
        .build();
    let file = std::fs::File::create(&path).unwrap();
    let mut file = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    write_any(&mut group, &Column::U32(vec![7; n_rows])).unwrap();
    group.close().unwrap();
    file.close().unwrap();
    let n_bytes = std::fs::metadata(&path).unwrap().len();
    let found = message(&path, "n", Kind::U32);
    let expected =
        format!("some.parquet: expected at most {} rows in {n_bytes} bytes, found {n_rows}", 1000 * n_bytes);
    assert!(found.contains(&expected), "{found}");
}
