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
    let tensors = read(&path).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a.weight"]);
    assert_eq!(tensors["a.weight"].to_vec2::<f32>().unwrap(), [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.safetensors");
    crate::checkpoint::Checkpoint::default().save(&path).unwrap();
    let error = read(&path).unwrap_err().to_string();
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
