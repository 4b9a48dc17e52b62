use super::*;

/// ```python
/// state = {"a.weight": torch.arange(6.).reshape(2, 3) / 4, "n": torch.tensor(7), "half": torch.tensor([1.5, 2.5]).half(),
///          "turned": torch.arange(4.).reshape(2, 2).T, "tail": torch.arange(5.)[3:]}
/// torch.save(state, "zip.pth"); torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
/// ```
const FORMS: [(&str, &[u8]); 2] = [
    ("zip.pth", include_bytes!("../testdata/zip.pth")),
    ("legacy.pth", include_bytes!("../testdata/legacy.pth")),
];

#[test]
fn both_forms_of_pth_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in FORMS {
        let path = folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        let mut state = StateDict::open(&path).unwrap();
        assert_eq!(state.names().collect::<Vec<_>>(), ["a.weight", "half", "n", "tail", "turned"]);
        assert_eq!(state.read("tail", &[2]).unwrap(), [3.0, 4.0]);
        assert_eq!(state.read("a.weight", &[2, 3]).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
        let mut message = |name: &str, shape: &[usize]| state.read(name, shape).unwrap_err().to_string();
        assert!(message("a.weight", &[3, 2]).ends_with("`a.weight` of shape [3, 2], found shape [2, 3]"));
        assert!(message("b", &[1]).ends_with("found none of that name"));
        assert!(message("half", &[2]).ends_with("of f32, found HalfStorage"));
        assert!(message("turned", &[2, 2]).ends_with("a transposed or expanded one"));
    }
}

/// A file cut anywhere, or with any byte changed, is read or refused, and a changed number of the zip is found by its checksum.
#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pth");
    for (name, bytes) in FORMS {
        let read = |bytes: &[u8]| {
            fs_err::write(&path, bytes).unwrap();
            StateDict::open(&path).and_then(|mut state| state.read("tail", &[2]))
        };
        for len in (0..bytes.len()).step_by(7) {
            assert!(read(&bytes[..len]).is_err(), "{name} cut after {len} bytes");
        }
        for at in (0..bytes.len()).step_by(3) {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x11;
            let numbers = read(&bytes);
            assert!(
                name != "zip.pth" || numbers.is_err() || numbers.unwrap() == [3.0, 4.0],
                "{name}, byte {at}"
            );
        }
    }
}

/// `torch.save({"module.a.weight": torch.arange(6.).reshape(2, 3) / 2, "module.bn.num_batches_tracked": torch.tensor(3)}, …)`
#[test]
fn all_tensors_are_read_but_counters() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata/state_dict.pth");
    let tensors = read(&path, None).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a.weight"]);
    assert_eq!(tensors["a.weight"].to_vec2::<f32>().unwrap(), [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.safetensors");
    crate::checkpoint::Checkpoint::default().save(&path).unwrap();
    let error = read(&path, None).unwrap_err().to_string();
    assert!(
        error.contains("none.safetensors: expected a state dict") && error.ends_with("found no tensors"),
        "{error}"
    );
}

/// The size of `tail`, 2, claimed to be 1,073,741,823.
#[test]
fn a_huge_claim_is_refused_before_memory_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.pth");
    let mut bytes = FORMS[1].1.to_vec();
    let size = bytes.windows(3).rposition(|window| window == b"K\x02\x85").unwrap();
    bytes.splice(size..size + 2, *b"J\xff\xff\xff\x3f");
    fs_err::write(&path, bytes).unwrap();
    let mut state = StateDict::open(&path).unwrap();
    assert_eq!(state.shape("tail").unwrap(), [0x3fff_ffff]);
    let error = state.read("tail", &[0x3fff_ffff]).unwrap_err().to_string();
    assert!(error.contains("expected `tail` within the file's"), "{error}");
}

/// What becomes of a member.
type Change<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;

/// The members of a zip, and some changed or added.
fn rezipped(bytes: &[u8], changed: &[(&str, Change<'_>)]) -> Vec<u8> {
    use std::io::Write as _;

    let mut archive = ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let folder = names.iter().find_map(|name| name.strip_suffix("data.pkl")).unwrap().to_owned();
    let changes = |name: &str| changed.iter().find(|(of, _)| format!("{folder}{of}") == name);
    for name in &names {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        out.start_file(name.as_str(), stored).unwrap();
        out.write_all(&changes(name).map_or(bytes.clone(), |(_, change)| change(bytes))).unwrap();
    }
    for (of, change) in changed.iter().filter(|(of, _)| !names.contains(&format!("{folder}{of}"))) {
        out.start_file(format!("{folder}{of}"), stored).unwrap();
        out.write_all(&change(Vec::new())).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// As a big-endian machine writes it: the numbers' bytes turned round, and a member that says so.
#[test]
fn big_endian_numbers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.pth");
    let turned =
        |bytes: Vec<u8>| bytes.chunks_exact(4).flat_map(|n| n.iter().rev().copied()).collect::<Vec<u8>>();
    let big = |_: Vec<u8>| b"big".to_vec();
    fs_err::write(&path, rezipped(FORMS[0].1, &[("data/0", &turned), ("byteorder", &big)])).unwrap();
    let mut state = StateDict::open(&path).unwrap();
    assert_eq!(state.read("a.weight", &[2, 3]).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
    let other = |_: Vec<u8>| b"middle".to_vec();
    fs_err::write(&path, rezipped(FORMS[0].1, &[("byteorder", &other)])).unwrap();
    let message = StateDict::open(&path).unwrap_err().to_string();
    assert!(
        message.contains("expected `little` or `big` in its member ") && message.ends_with("found `middle`"),
        "{message}"
    );
}

/// ```python
/// g, d = {"0.weight": torch.arange(4.).reshape(2, 2)}, {"0.weight": torch.arange(6.).half(), "1.weight": torch.ones(1)}
/// torch.save({"netG": g, "netD": d, "epoch": 3}, "several.pth"); torch.save({"state_dict": g, "epoch": 3}, "one.pth")
/// # and both with _use_new_zipfile_serialization=False
/// ```
#[test]
fn state_dicts_within_checkpoints_are_read_by_name() {
    let path = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata").join(name);
    for (one, several) in [("one.pth", "several.pth"), ("one_legacy.pth", "several_legacy.pth")] {
        let tensors = read(&path(one), None).unwrap();
        assert_eq!(tensors["0.weight"].to_vec2::<f32>().unwrap(), [[0.0, 1.0], [2.0, 3.0]]);
        let message = |within| StateDict::open_within(&path(several), within).unwrap_err().to_string();
        let told = message(None);
        let expected = "expected one state dict, or the name of one of its dictionaries, found several of tensors: `netG`, `netD`";
        assert!(told.ends_with(expected), "{told}");
        let told = message(Some("netE"));
        let expected = "expected a dictionary of tensors called `netE` in it, found `netG`, `netD`, `epoch`";
        assert!(told.ends_with(expected), "{told}");
        let mut d = StateDict::open_within(&path(several), Some("netD")).unwrap();
        assert_eq!(d.read("1.weight", &[1]).unwrap(), [1.0]);
        assert_eq!(read(&path(several), Some("netG")).unwrap()["0.weight"].dims(), [2, 2]);
    }
    let told = StateDict::open_within(&path("one.pth"), Some("epoch")).unwrap_err().to_string();
    assert!(told.ends_with("called `epoch` in it, found `state_dict`, `epoch`"), "{told}");
}

/// Tuples in tuples, a million deep, as a value beside tensors and as the whole file.
#[test]
fn a_million_nested_objects_overflow_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.pth");
    let deep = [&b"N"[..], &b"\x85".repeat(1_000_000)].concat();
    let alone = |_: Vec<u8>| [&deep[..], b"."].concat();
    fs_err::write(&path, rezipped(FORMS[0].1, &[("data.pkl", &alone)])).unwrap();
    let message = StateDict::open(&path).unwrap_err().to_string();
    assert!(message.contains("deep.pth: expected a state dict, found another object"), "{message}");
    // Set as one more item, before the end.
    let beside =
        |pickle: Vec<u8>| [&pickle[..pickle.len() - 1], b"X\x04\x00\x00\x00deep", &deep, b"s."].concat();
    fs_err::write(&path, rezipped(FORMS[0].1, &[("data.pkl", &beside)])).unwrap();
    assert_eq!(StateDict::open(&path).unwrap().read("tail", &[2]).unwrap(), [3.0, 4.0]);
}

/// What is read as something else, or left out, makes another network.
///
/// ```python
/// torch.save({"0.weight": torch._neg_view(torch.ones(2))}, "neg.pth")
/// torch.save({"a.weight": torch.ones(2), "module.a.weight": torch.zeros(2)}, "doubled.pth")
/// p = torch.nn.Parameter(torch.ones(2)); p.note = 1; torch.save({"a.weight": p}, "noted.pth")
/// ```
#[test]
fn tensors_of_other_forms_are_refused_by_name() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata");
    assert_eq!(read(&data.join("noted.pth"), None).unwrap()["a.weight"].to_vec1::<f32>().unwrap(), [1.0; 2]);
    let message = |path: &Path| read(path, None).unwrap_err().to_string();
    let told = message(&data.join("neg.pth"));
    assert!(told.contains("neg.pth: expected `0.weight` as a plain tensor"), "{told}");
    let told = message(&data.join("doubled.pth"));
    assert!(told.ends_with("expected one network, found `a.weight` and `module.a.weight`"), "{told}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.pth");
    // Another function makes the tensors.
    let other = |pickle: Vec<u8>| {
        let at = pickle.windows(18).position(|name| name == b"_rebuild_tensor_v2").unwrap();
        [&pickle[..at], b"_rebuild_tensor_v9", &pickle[at + 18..]].concat()
    };
    fs_err::write(&path, rezipped(FORMS[0].1, &[("data.pkl", &other)])).unwrap();
    let told = message(&path);
    assert!(told.contains("expected `a.weight` as a plain tensor"), "{told}");
    // A value more than the storage has, behind which others lie.
    let mut bytes = FORMS[1].1.to_vec();
    let size = bytes.windows(3).rposition(|window| window == b"K\x02\x85").unwrap();
    bytes[size + 1] = 3;
    fs_err::write(&path, bytes).unwrap();
    let told = StateDict::open(&path).unwrap().read("tail", &[3]).unwrap_err().to_string();
    assert!(told.ends_with("expected the 12 bytes of `tail` within its storage, found 8 bytes"), "{told}");
}
