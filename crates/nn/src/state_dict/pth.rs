//! PyTorch's `.pth`, in the form of a zip and in the older one.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;
use zip::ZipArchive;

use super::entry::{Entry, MOST_HEADER, Place, wrong};
use super::pickle::{Object, unpickle};
use super::tensors::{Storage, bytes_of, entries, storages};
use crate::Result;

/// How files of the older form begin: a pickle of PyTorch's magic number and one of version 1001.
pub(super) const LEGACY: [u8; 21] = [
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.', 0x80, 2, b'M', 0xe9,
    3, b'.',
];

/// The tensors, and whether their numbers are big-endian.
pub(super) fn of_zip(
    path: &Path,
    file: &mut BufReader<File>,
    within: Option<&str>,
) -> Result<(BTreeMap<String, Entry>, bool)> {
    let damaged = |e: zip::result::ZipError| wrong(path, "a .pth file", format!("a damaged zip: {e}"));
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let names: Vec<String> = archive.file_names().flatten().map(|name| name.into_owned()).collect();
    let Some(folder) = names.iter().find_map(|name| name.strip_suffix("data.pkl")) else {
        return Err(wrong(path, "a .pth file, with a member data.pkl", "a zip without one"));
    };
    let member = archive.by_name(&format!("{folder}data.pkl")).map_err(damaged)?;
    let object = unpickle(path, &mut BufReader::new(member).take(MOST_HEADER))?;
    // A file from before version 2.1 has no such member.
    let order = format!("{folder}byteorder");
    let mut found = Vec::new();
    if names.contains(&order) {
        let member = archive.by_name(&order).map_err(damaged)?;
        let read = member.take(64).read_to_end(&mut found);
        read.map_err(|e| wrong(path, "a .pth file", format!("a damaged zip: {e}")))?;
    }
    let is_big_endian = match &found[..] {
        b"" | b"little" => false,
        b"big" => true,
        other => {
            let expected = format!("`little` or `big` in its member {order}");
            return Err(wrong(path, expected, format!("`{}`", other.escape_ascii())));
        }
    };
    let place =
        |storage: &Storage, skipped: u64| Ok(Place::Member(format!("{folder}data/{}", storage.key), skipped));
    Ok((entries(path, &object, within, place)?, is_big_endian))
}

/// In the older form numbers are little-endian, whatever the machine.
pub(super) fn of_legacy(
    path: &Path,
    file: &mut BufReader<File>,
    within: Option<&str>,
) -> Result<BTreeMap<String, Entry>> {
    file.seek(SeekFrom::Start(LEGACY.len() as u64))?;
    let mut pickles = file.by_ref().take(MOST_HEADER);
    let _system = unpickle(path, &mut pickles)?;
    let object = unpickle(path, &mut pickles)?;
    let keys = unpickle(path, &mut pickles)?;
    let end = file.stream_position()?;
    let mut tensors =
        entries(path, &object, within, |storage, skipped| Ok(Place::Member(storage.key.clone(), skipped)))?;
    // Storages follow in the order of their keys, each behind its number of values.
    let Object::List(names) = keys.object(keys.top()) else {
        return Err(wrong(path, "a list of storages", "something else"));
    };
    let sizes: BTreeMap<String, Option<u64>> =
        storages(&object).map(|storage| (storage.key, bytes_of(&storage.dtype))).collect();
    let (mut places, mut at) = (BTreeMap::new(), end);
    for name in names {
        let Some(key) = keys.text(*name).map(str::to_owned) else {
            return Err(wrong(path, "names of storages", "something else"));
        };
        let Some(Some(size)) = sizes.get(&key) else {
            return Err(wrong(path, "storages of numbers that some tensor has", format!("storage {key}")));
        };
        file.seek(SeekFrom::Start(at))?;
        let mut n = [0; 8];
        file.read_exact(&mut n)
            .map_err(|e| wrong(path, format!("storage {key}"), format!("a cut file: {e}")))?;
        let first = at + 8;
        let next = u64::from_le_bytes(n).checked_mul(*size).and_then(|n| n.checked_add(at + 8));
        at = next.ok_or_else(|| wrong(path, "storages within the file", "a larger one"))?;
        places.insert(key, first..at);
    }
    let n_bytes = file.get_ref().metadata()?.len();
    if n_bytes != at {
        return Err(wrong(path, format!("a state dict of {at} bytes"), format!("{n_bytes} bytes")));
    }
    for entry in tensors.values_mut() {
        if let Place::Member(key, skipped) = &entry.place {
            let storage =
                places.get(key).ok_or_else(|| wrong(path, format!("storage {key}"), "none of that name"))?;
            entry.place = Place::At(storage.start.saturating_add(*skipped)..storage.end);
        }
    }
    Ok(tensors)
}
