use super::super::{imagenet, tar_shards};
use super::*;
use crate::Record;

/// A header of one of a tar's types.
fn header(name: &str, entry_type: u8, n_bytes: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::new(entry_type));
    header.set_size(n_bytes as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn member(name: &str, entry_type: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, entry_type, contents.len()).as_bytes().to_vec();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn ended(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

/// The records of shards `0.tar`, `1.tar` and so on.
fn records_of(shards: &[&[u8]]) -> Vec<Result<Record>> {
    let folder = tempfile::tempdir().unwrap();
    for (i, bytes) in shards.iter().enumerate() {
        fs_err::write(folder.path().join(format!("{i}.tar")), bytes).unwrap();
    }
    tar_shards::records(folder.path(), None).unwrap().collect()
}

fn complaint(shards: &[&[u8]]) -> String {
    let last = records_of(shards).pop().unwrap();
    last.unwrap_err().to_string()
}

#[test]
fn an_archive_must_end_in_two_blocks_of_zeros_and_nothing_else() {
    let (a, b) = (member("a.png", b'0', b"one"), member("b.png", b'0', b"two"));
    let whole = ended(&[a.clone(), b.clone()]);
    assert_eq!(records_of(&[&whole, &[whole.clone(), vec![0; 100_000]].concat(), &[0; 1024]]).len(), 4);
    let joined = [ended(std::slice::from_ref(&a)), ended(std::slice::from_ref(&b))].concat();
    let lone = [a.clone(), vec![0; 512], ended(std::slice::from_ref(&b))].concat();
    let text = [whole.clone(), vec![0; 70_000], b"more".to_vec()].concat();
    let cases: [(&[u8], &str); 6] = [
        (&joined, "at byte 2048: expected a tar archive, found data behind its end: two archives joined? "),
        (&lone, "at byte 1536: expected a tar archive, found data behind its end: two archives joined? "),
        (&text, "at byte 73072: expected a tar archive, found data behind its end: two archives joined? "),
        (
            &whole[..2048],
            "at byte 2048: expected a tar archive, found the end of the file: the archive breaks off at a \
                          member's end (behind b.png)",
        ),
        (
            &whole[..2560],
            "at byte 2048: expected a tar archive, found a lone block of zeros and the end of the file \
                          (behind b.png)",
        ),
        (
            b"",
            "at byte 0: expected a tar archive, found the end of the file: the archive breaks off at a member's end \
               (before any member)",
        ),
    ];
    for (bytes, expected) in cases {
        let message = complaint(&[&whole, bytes]);
        assert!(message.contains(&format!("1.tar: {expected}")), "{message}\n{expected}");
    }
}

#[test]
fn the_ends_of_a_tar_of_tars_and_of_those_in_it_are_checked_with_their_places() {
    let synset = ended(&[member("n01440764_1.JPEG", b'0', b"one")]);
    let joined = [synset.clone(), synset.clone()].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.tar");
    let message = |bytes: &[u8]| {
        fs_err::write(&path, bytes).unwrap();
        let all: Result<Vec<Record>> = imagenet::tar_records(&path).and_then(Iterator::collect);
        all.unwrap_err().to_string()
    };
    let in_tar = |name: &str, bytes: &[u8]| ended(&[member(name, b'0', bytes)]);
    let cases = [
        (
            in_tar("n01440764.tar", &joined),
            "at byte 2560: expected a tar archive n01440764.tar, found data behind its end",
        ),
        (
            in_tar("n01440764.tar", b""),
            "at byte 512: expected a tar archive n01440764.tar, found the end of the file",
        ),
        (
            in_tar("n01440764.tar", &synset[..1024]),
            "expected a tar archive n01440764.tar, found the end of the file",
        ),
        (
            in_tar("n01440764.tar", &synset)[..2560].to_vec(),
            "at byte 2560: expected a tar archive, found the end of",
        ),
        (
            [in_tar("n01440764.tar", &synset), in_tar("n01484850.tar", &synset)].concat(),
            "at byte 3584: expected a tar archive, found data behind its end",
        ),
        (in_tar("n01440764.tar", &synset)[..2000].to_vec(), "found the end of the file within n01440764.tar"),
        (ended(&[member("n01440764.tar", b'2', b"")]), "found \"n01440764.tar\", a symbolic link to ; pack"),
    ];
    for (bytes, expected) in cases {
        let message = message(&bytes);
        assert!(message.contains(expected), "{message}\n{expected}");
    }
}

#[test]
fn contiguous_and_sparse_members_are_read_and_links_are_listed_with_the_reason() {
    let link = |name: &str, entry_type: u8, to: &str| {
        let mut header = header(name, entry_type, 0);
        header.set_link_name(to).unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    // 512 bytes, a hole of as many, and three bytes.
    let mut sparse = header("h/s.png", b'S', 515);
    let gnu = sparse.as_gnu_mut().unwrap();
    for (at, (start, n)) in gnu.sparse.iter_mut().zip([(0u64, 512u64), (1024, 3)]) {
        at.offset.copy_from_slice(format!("{start:011o}\0").as_bytes());
        at.numbytes.copy_from_slice(format!("{n:011o}\0").as_bytes());
    }
    gnu.realsize.copy_from_slice(format!("{:011o}\0", 1027).as_bytes());
    sparse.set_cksum();
    let mut sparse = [sparse.as_bytes().to_vec(), vec![7; 512], b"end".to_vec()].concat();
    sparse.resize(sparse.len().next_multiple_of(512), 0);
    let archive = ended(&[
        member("h.png/", b'5', b""),
        member("old.png/", b'0', b""),
        member("h/a.png", b'7', b"contiguous"),
        sparse,
        link("h/b.png", b'1', "h/a.png"),
        link("h/c\n.png", b'2', "a\n.png"),
        member("h/d.png", b'Z', b"what"),
        member("h/e.png", b'6', b""),
        link("notes.txt", b'1', "h/a.png"),
        member("z.png", b'0', b"last"),
    ]);
    let found: Vec<(String, Payload)> =
        records_of(&[&archive]).into_iter().map(|r| r.unwrap()).map(|r| (r.key, r.payload)).collect();
    let bad = |reason: &str| Payload::Bad(reason.to_owned());
    let dense = [vec![7; 512], vec![0; 512], b"end".to_vec()].concat();
    let expected = [
        ("0.tar/h/a.png", Payload::Encoded(b"contiguous".to_vec())),
        ("0.tar/h/s.png", Payload::Encoded(dense)),
        ("0.tar/h/b.png", bad("a hard link to h/a.png; pack the archive with --hard-dereference")),
        (r"0.tar/h/c\x0a.png", bad(r"a symbolic link to a\x0a.png; pack the archive with --dereference")),
        ("0.tar/h/d.png", bad("of the unknown type 'Z'")),
        ("0.tar/h/e.png", bad("a FIFO")),
        ("0.tar/z.png", Payload::Encoded(b"last".to_vec())),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((key, payload), (expected_key, expected_payload)) in found.iter().zip(&expected) {
        assert_eq!((key.as_str(), payload), (*expected_key, expected_payload));
    }
}

#[test]
fn a_sparse_member_in_pax_form_is_listed_by_its_own_name() {
    let record = |text: &str| format!("{} {text}\n", text.len() + 4);
    let pax = record("GNU.sparse.major=1") + &record("GNU.sparse.name=real/a.png");
    let archive = ended(&[member("x", b'x', pax.as_bytes()), member("./GNUSparseFile.1/a", b'0', b"1\n0\n")]);
    let found: Vec<Record> = records_of(&[&archive]).into_iter().map(|r| r.unwrap()).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "0.tar/real/a.png");
    assert!(matches!(&found[0].payload, Payload::Bad(why) if why.starts_with("a sparse file in PAX form")));
}

#[test]
fn names_and_pax_headers_of_more_than_a_mebibyte_are_refused() {
    let long = |n: usize| vec![b'a'; n];
    let last = member("z.png", b'0', b"last");
    let name = [long(5000), b".png".to_vec()].concat();
    let found = records_of(&[&ended(&[member("././@LongLink", b'L', &name), last.clone()])]);
    assert_eq!(found[0].as_ref().unwrap().key.len(), 5004 + "0.tar/".len());
    for entry_type in *b"LKx" {
        // A file of two mebibytes that claims a gibibyte: what is refused is refused before its end is found.
        let claim = header("././@LongLink", entry_type, 1 << 30).as_bytes().to_vec();
        let archive = [member("a.png", b'0', b"one"), claim, long(2 << 20)].concat();
        let message = complaint(&[&archive]);
        let expected = "0.tar: at byte 1024: expected a tar archive, found names or PAX headers of more than 1048576 bytes \
                        (behind a.png)";
        assert!(message.ends_with(expected), "{message}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        fs_err::write(&path, &archive).unwrap();
        let headers = visit_headers(&path, false, &mut |_| Ok(ControlFlow::Continue(())));
        assert!(headers.unwrap_err().to_string().ends_with(expected));
    }
    // Members are passed by at any length.
    let archive = ended(&[member("g", b'g', &long(3 << 20)), member("b.bin", b'0', &long(3 << 20)), last]);
    assert_eq!(records_of(&[&archive]).into_iter().filter(Result::is_ok).count(), 1);
}

#[test]
fn damage_is_named_with_the_member_before_it_and_without_control_characters() {
    let mut broken = member("b\u{1b}.png", b'0', b"two");
    broken[150] = b'!';
    let archive = ended(&[member("a\n.png", b'0', b"one"), broken]);
    let message = complaint(&[&archive]);
    assert!(message.contains("0.tar: at byte 1024: expected a tar archive, found "), "{message}");
    assert!(message.ends_with(r"(behind a\x0a.png)"), "{message}");
    assert!(!message.chars().any(char::is_control), "{message}");
    let cut = &ended(&[member("a\n.png", b'0', &[1; 600])])[..600];
    let message = complaint(&[cut]);
    let expected = r"0.tar: at byte 0: expected an image 0.tar/a\x0a.png of 600 bytes, found 88 and the end of the archive";
    assert!(message.ends_with(expected), "{message}");
}
