//! Archives, sound and hostile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_fetch::{Event, FetchError, Limits, Result, unpack_tar_gz, unpack_zip};
use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

const LIMITS: Limits = Limits { entries: 20, bytes: 1 << 22, ratio: 100 };

type Unpack = fn(&Path, &Path, Limits, &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<()>;

/// Unpacks bytes into a folder beside them, which is returned with what came of it.
fn unpack(bytes: &[u8], how: Unpack) -> (tempfile::TempDir, PathBuf, Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (folder.path().join("archive"), folder.path().join("inner/target"));
    std::fs::write(&archive, bytes).unwrap();
    let result = how(&archive, &target, LIMITS, &mut |_| ControlFlow::Continue(()));
    // Whatever was in the archive, nothing may lie outside.
    let beside: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    assert_eq!(std::fs::read_dir(folder.path().join("inner")).unwrap().count(), 1);
    (folder, target, result)
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of one entry, with a name that the library itself would not write.
fn tar_entry(name: &str, kind: tar::EntryType, contents: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("../../outside").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    gz(&[entries.concat(), vec![0; 1024]].concat())
}

fn zip_of(entries: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents, options) in entries {
        writer.start_file(*name, *options).unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn plain() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated)
}

#[test]
fn files_and_folders_come_out_as_they_went_in() {
    use tar::EntryType as Kind;
    let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = tar_of(&[
        tar_entry("./", Kind::Directory, b""),
        tar_entry("a/", Kind::Directory, b""),
        tar_entry("a/one", Kind::Regular, b"1"),
        tar_entry("./a/b/two", Kind::Regular, &noise),
        tar_entry("pax_global_header", Kind::XGlobalHeader, b"17 comment=12345\n"),
        tar_entry("empty", Kind::Regular, b""),
    ]);
    let zip = zip_of(&[("a/one", b"1", plain()), ("a/b/two", &noise, plain()), ("empty", b"", plain())]);
    for (bytes, how) in [(tar, unpack_tar_gz as Unpack), (zip, unpack_zip)] {
        let (_folder, target, result) = unpack(&bytes, how);
        result.unwrap();
        assert_eq!(std::fs::read(target.join("a/one")).unwrap(), b"1");
        assert_eq!(std::fs::read(target.join("a/b/two")).unwrap(), noise);
        assert_eq!(std::fs::read(target.join("empty")).unwrap(), b"");
    }
}

#[test]
fn no_path_leaves_the_folder() {
    let names = ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil", "c:evil", "..", ".", "/"];
    for name in names {
        let tar = tar_of(&[tar_entry(name, tar::EntryType::Regular, b"evil")]);
        let zip = zip_of(&[(name, b"evil", plain())]);
        for (bytes, how) in [(tar, unpack_tar_gz as Unpack), (zip, unpack_zip)] {
            let (_folder, _, result) = unpack(&bytes, how);
            let error = result.unwrap_err();
            assert!(matches!(error, FetchError::Archive { .. }), "{name}: {error}");
        }
    }
    assert!(!Path::new("/tmp/evil").exists());
}

#[test]
fn links_devices_and_pipes_are_refused() {
    use tar::EntryType as Kind;
    for kind in [Kind::Symlink, Kind::Link, Kind::Char, Kind::Block, Kind::Fifo] {
        let (_folder, target, result) = unpack(&tar_of(&[tar_entry("a", kind, b"")]), unpack_tar_gz);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("entry a: expected a file or a folder, found"), "{error}");
        assert_eq!(std::fs::read_dir(target).unwrap().count(), 0);
    }
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_symlink("a", "../../outside", plain()).unwrap();
    let (_folder, _, result) = unpack(&writer.finish().unwrap().into_inner(), unpack_zip);
    assert!(result.unwrap_err().to_string().contains("expected a file or a folder, found mode 120000"));
}

#[test]
fn bombs_are_stopped() {
    // By size: 5 MB of noise; by ratio: zeros; by number: 21 empty files.
    let noise: Vec<u8> = (0..5 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let zeros = vec![0; 7 << 20];
    let names: Vec<String> = (0..21).map(|i| format!("f{i}")).collect();
    for contents in [&noise, &zeros] {
        let tar = tar_of(&[tar_entry("a", tar::EntryType::Regular, contents)]);
        for (bytes, how) in
            [(tar, unpack_tar_gz as Unpack), (zip_of(&[("a", contents.as_slice(), plain())]), unpack_zip)]
        {
            let (_folder, target, result) = unpack(&bytes, how);
            assert!(result.unwrap_err().to_string().contains("bytes in all, found more"));
            assert!(std::fs::metadata(target.join("a")).unwrap().len() <= LIMITS.bytes);
        }
    }
    let many: Vec<Vec<u8>> = names.iter().map(|name| tar_entry(name, tar::EntryType::Regular, b"")).collect();
    let many_zipped: Vec<(&str, &[u8], SimpleFileOptions)> =
        names.iter().map(|name| (name.as_str(), &b""[..], plain())).collect();
    for (bytes, how) in [(tar_of(&many), unpack_tar_gz as Unpack), (zip_of(&many_zipped), unpack_zip)] {
        let error = unpack(&bytes, how).2.unwrap_err().to_string();
        assert!(error.contains("expected at most 20 entries"), "{error}");
    }
    // A name of 16 MiB, which a tar may have.
    let name = tar_entry("././@LongLink", tar::EntryType::GNULongName, &vec![b'a'; 16 << 20]);
    let error = unpack(&tar_of(&[name]), unpack_tar_gz).2.unwrap_err().to_string();
    assert!(error.contains("headers of more than 1048576 bytes"), "{error}");
}

#[test]
fn damage_and_repetition_are_errors() {
    let once = tar_entry("a", tar::EntryType::Regular, b"one");
    let error = unpack(&tar_of(&[once.clone(), once.clone()]), unpack_tar_gz).2.unwrap_err().to_string();
    assert!(error.contains("expected each file once"), "{error}");
    let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = tar_of(&[tar_entry("a", tar::EntryType::Regular, &noise)]);
    let zip = zip_of(&[("a", &noise, plain())]);
    for (whole, how) in [(tar, unpack_tar_gz as Unpack), (zip, unpack_zip)] {
        unpack(&whole, how).2.unwrap();
        for n in [0, 1, 30, whole.len() / 2, whole.len() - 9] {
            assert!(unpack(&whole[..n], how).2.is_err(), "{n}");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        assert!(unpack(&flipped, how).2.is_err());
    }
}

/// A zip of one stored file of 4.5 GiB of zeros: large enough for zip64, and hardly there.
#[test]
fn a_zip_beyond_four_gibibytes_is_streamed_and_stays_sparse() {
    let folder = tempfile::tempdir().unwrap();
    let n_bytes: u64 = (9 << 29) + 3;
    let path = folder.path().join("big.zip");
    sparse_zip(&path, n_bytes);
    let target = folder.path().join("out");
    let limits = Limits { entries: 2, bytes: 1 << 33, ratio: 2 };
    let mut last = 0;
    unpack_zip(&path, &target, limits, &mut |event| {
        if let Event::Progress { done, total, .. } = event {
            assert!(done >= last && done <= total.unwrap());
            last = done;
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let found = std::fs::metadata(target.join("db/data.mdb")).unwrap();
    assert_eq!(found.len(), n_bytes);
    #[cfg(unix)]
    assert!(std::os::unix::fs::MetadataExt::blocks(&found) * 512 < 1 << 22);
}

/// Writes the records of a zip64 by hand, because a library would write out the zeros.
fn sparse_zip(path: &Path, n_bytes: u64) {
    let name = b"db/data.mdb";
    let crc = crc32_of_zeros(n_bytes);
    let extra = |with_offset: bool| {
        let mut extra = 1u16.to_le_bytes().to_vec();
        extra.extend((if with_offset { 24u16 } else { 16 }).to_le_bytes());
        extra.extend(n_bytes.to_le_bytes());
        extra.extend(n_bytes.to_le_bytes());
        if with_offset {
            extra.extend(0u64.to_le_bytes());
        }
        extra
    };
    let all = u32::MAX.to_le_bytes();
    // Version, flags, method (stored), time, date, CRC-32, both sizes, lengths of name and extra field.
    let common = |extra: &[u8]| {
        let mut bytes = [45u16, 0, 0, 0, 33].map(u16::to_le_bytes).concat();
        bytes.extend(crc.to_le_bytes());
        bytes.extend([all, all].concat());
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend((extra.len() as u16).to_le_bytes());
        bytes
    };
    let local = [&b"PK\x03\x04"[..], &common(&extra(false)), name, &extra(false)].concat();
    let directory = [
        &b"PK\x01\x02\x2d\x03"[..],
        &common(&extra(true)),
        // Comment, disk, internal attributes, external attributes (a regular file), offset.
        &[0; 6],
        &(0o100_644u32 << 16).to_le_bytes(),
        &all,
        name,
        &extra(true),
    ]
    .concat();
    let start = local.len() as u64 + n_bytes;
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44u64.to_le_bytes());
    end.extend([45u16, 45].map(u16::to_le_bytes).concat());
    end.extend([0u32, 0].map(u32::to_le_bytes).concat());
    end.extend([1, 1, directory.len() as u64, start].map(u64::to_le_bytes).concat());
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend((start + directory.len() as u64).to_le_bytes());
    end.extend(1u32.to_le_bytes());
    end.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff");
    end.extend([all, all].concat());
    end.extend([0; 2]);
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&local).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(&directory).unwrap();
    file.write_all(&end).unwrap();
}

fn crc32_of_zeros(n_bytes: u64) -> u32 {
    let mut crc = flate2::Crc::new();
    let chunk = vec![0; 1 << 20];
    let mut left = n_bytes;
    while left > 0 {
        let n = left.min(1 << 20);
        crc.update(&chunk[..n as usize]);
        left -= n;
    }
    crc.sum()
}
