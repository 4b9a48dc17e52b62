//! Named f32 tensors of a file: PyTorch's `.pth` (a zip, and the form from before version 1.6, in which the released weights are)
//! and `.safetensors`. A tensor is read when it is asked for, so that the file is never in memory as a whole.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::pickle::{Object, Stack};
use fs_err::File;
use safetensors::{Dtype, tensor::Metadata};
use zip::ZipArchive;

use crate::error::{MetricsError, Result};

/// How files of the older form begin: a pickle of PyTorch's magic number and one of version 1001.
const LEGACY: [u8; 21] = [
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.', 0x80, 2, b'M', 0xe9,
    3, b'.',
];
/// The most bytes of a pickle or a header: that of Inception-v3 has about 100 kB.
const MOST_HEADER: u64 = 16 << 20;

/// The tensors of a file.
pub(crate) struct StateDict {
    path: PathBuf,
    file: BufReader<File>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    shape: Vec<usize>,
    /// f32, or what its numbers are instead.
    dtype: String,
    /// Its numbers lie one after another.
    is_in_rows: bool,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Bytes of the file.
    At(u64),
    /// Within a member of the zip.
    Member(String, u64),
}

impl StateDict {
    /// Reads which tensors there are.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !fs_err::metadata(path)?.is_file() {
            return Err(wrong(path, "a file of weights", "a folder or a device"));
        }
        let mut file = BufReader::new(File::open(path)?);
        let start = file.fill_buf()?.to_vec();
        let tensors = if start.starts_with(b"PK\x03\x04") {
            of_zip(path, &mut file)?
        } else if start.starts_with(&LEGACY) {
            of_legacy(path, &mut file)?
        } else if start.get(8) == Some(&b'{') {
            of_safetensors(path, &mut file)?
        } else {
            return Err(wrong(path, "a state dict that PyTorch saved (.pth), or .safetensors", "neither"));
        };
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Fails unless there is a tensor of this name and shape.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let expected = format!("a tensor `{name}` of shape {shape:?}");
        match self.tensors.get(name) {
            None => Err(wrong(&self.path, expected, "none of that name")),
            Some(entry) if entry.shape != shape => {
                Err(wrong(&self.path, expected, format!("shape {:?}", entry.shape)))
            }
            Some(entry) if entry.dtype != "f32" => {
                Err(wrong(&self.path, format!("{expected} of f32"), &entry.dtype))
            }
            Some(entry) if !entry.is_in_rows => {
                Err(wrong(&self.path, format!("{expected} in rows"), "a transposed or expanded one"))
            }
            Some(_) => Ok(()),
        }
    }

    /// The finite numbers of a tensor.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, shape)?;
        let place = self.tensors.get(name).map(|entry| entry.place.clone());
        let mut bytes = vec![0; shape.iter().product::<usize>() * 4];
        let cut = |error: std::io::Error| {
            wrong(&self.path, format!("the numbers of `{name}`"), format!("a damaged file: {error}"))
        };
        match place {
            Some(Place::At(offset)) => {
                self.file.seek(SeekFrom::Start(offset))?;
                self.file.read_exact(&mut bytes).map_err(cut)?;
            }
            Some(Place::Member(member, skipped)) => {
                let mut archive = ZipArchive::new(&mut self.file).map_err(|e| cut(e.into()))?;
                let mut member = archive.by_name(&member).map_err(|e| cut(e.into()))?;
                std::io::copy(&mut member.by_ref().take(skipped), &mut std::io::sink()).map_err(cut)?;
                member.read_exact(&mut bytes).map_err(cut)?;
                // To its end, where its checksum is compared.
                std::io::copy(&mut member, &mut std::io::sink()).map_err(cut)?;
            }
            None => {}
        }
        let (numbers, _) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(i) => Err(wrong(
                &self.path,
                format!("finite numbers in `{name}`"),
                format!("{} at place {i}", numbers[i]),
            )),
        }
    }
}

pub(crate) fn wrong(path: &Path, expected: impl ToString, found: impl ToString) -> MetricsError {
    MetricsError::File { path: path.to_owned(), expected: expected.to_string(), found: found.to_string() }
}

fn of_zip(path: &Path, file: &mut BufReader<File>) -> Result<BTreeMap<String, Entry>> {
    let damaged = |e: zip::result::ZipError| wrong(path, "a .pth file", format!("a damaged zip: {e}"));
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let names: Vec<String> = archive.file_names().flatten().map(|name| name.into_owned()).collect();
    let Some(folder) = names.iter().find_map(|name| name.strip_suffix("data.pkl")) else {
        return Err(wrong(path, "a .pth file, with a member data.pkl", "a zip without one"));
    };
    let member = archive.by_name(&format!("{folder}data.pkl")).map_err(damaged)?;
    let object = unpickle(path, &mut BufReader::new(member).take(MOST_HEADER))?;
    let place =
        |storage: &Storage, skipped: u64| Ok(Place::Member(format!("{folder}data/{}", storage.key), skipped));
    entries(path, object, place)
}

fn of_legacy(path: &Path, file: &mut BufReader<File>) -> Result<BTreeMap<String, Entry>> {
    file.seek(SeekFrom::Start(LEGACY.len() as u64))?;
    let mut pickles = file.by_ref().take(MOST_HEADER);
    let _system = unpickle(path, &mut pickles)?;
    let object = unpickle(path, &mut pickles)?;
    let keys = unpickle(path, &mut pickles)?;
    let end = file.stream_position()?;
    let mut tensors =
        entries(path, object, |storage, skipped| Ok(Place::Member(storage.key.clone(), skipped)))?;
    // Storages follow in the order of their keys, each behind its number of values.
    let Object::List(keys) = keys else {
        return Err(wrong(path, "a list of storages", "something else"));
    };
    let mut sizes = BTreeMap::new();
    for entry in tensors.values() {
        if let Place::Member(key, _) = &entry.place {
            sizes.insert(key.clone(), bytes_of(&entry.dtype));
        }
    }
    let (mut starts, mut at) = (BTreeMap::new(), end);
    for key in keys {
        let Object::Unicode(key) = key else {
            return Err(wrong(path, "names of storages", "something else"));
        };
        let Some(Some(size)) = sizes.get(&key) else {
            return Err(wrong(path, "storages of numbers that some tensor has", format!("storage {key}")));
        };
        file.seek(SeekFrom::Start(at))?;
        let mut n = [0; 8];
        file.read_exact(&mut n)
            .map_err(|e| wrong(path, format!("storage {key}"), format!("a cut file: {e}")))?;
        starts.insert(key, at + 8);
        let next = u64::from_le_bytes(n).checked_mul(*size).and_then(|n| n.checked_add(at + 8));
        at = next.ok_or_else(|| wrong(path, "storages within the file", "a larger one"))?;
    }
    let n_bytes = file.get_ref().metadata()?.len();
    if n_bytes != at {
        return Err(wrong(path, format!("a state dict of {at} bytes"), format!("{n_bytes} bytes")));
    }
    for entry in tensors.values_mut() {
        if let Place::Member(key, skipped) = &entry.place {
            let start = starts.get(key).and_then(|start| start.checked_add(*skipped));
            entry.place =
                Place::At(start.ok_or_else(|| wrong(path, format!("storage {key}"), "none of that name"))?);
        }
    }
    Ok(tensors)
}

fn of_safetensors(path: &Path, file: &mut BufReader<File>) -> Result<BTreeMap<String, Entry>> {
    let wrong_header = |e: &dyn ToString| wrong(path, "a safetensors file", e.to_string());
    let mut header = vec![0; 8];
    file.read_exact(&mut header)?;
    let len = header.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    if len > MOST_HEADER {
        return Err(wrong_header(&format!("a header of {len} bytes")));
    }
    header.resize(8 + len as usize, 0);
    file.read_exact(&mut header[8..]).map_err(|e| wrong_header(&e))?;
    let metadata: Metadata = serde_json::from_slice(&header[8..]).map_err(|e| wrong_header(&e))?;
    let end = metadata.tensors().values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    let (found, expected) = (file.get_ref().metadata()?.len(), (8 + len).saturating_add(end));
    if found != expected {
        return Err(wrong(path, format!("a safetensors file of {expected} bytes"), format!("{found} bytes")));
    }
    let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let dtype = match info.dtype {
            Dtype::F32 => "f32".to_owned(),
            other => format!("{other:?}"),
        };
        let place = Place::At(8 + len + info.data_offsets.0 as u64);
        (name, Entry { shape: info.shape.clone(), dtype, is_in_rows: true, place })
    };
    Ok(metadata.tensors().into_iter().map(entry).collect())
}

fn unpickle(path: &Path, from: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    let read = stack.read_loop(from).and_then(|()| stack.finalize());
    read.map_err(|e| {
        wrong(path, "a state dict that PyTorch saved", format!("a pickle that is no such thing: {e}"))
    })
}

/// A storage as a pickle names it.
struct Storage {
    key: String,
    dtype: String,
}

/// Bytes of a value, where the kind is known.
fn bytes_of(dtype: &str) -> Option<u64> {
    match dtype {
        "f32" | "IntStorage" => Some(4),
        "DoubleStorage" | "LongStorage" => Some(8),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

/// The tensors of a dictionary; other values are passed over.
fn entries(
    path: &Path,
    object: Object,
    place: impl Fn(&Storage, u64) -> Result<Place>,
) -> Result<BTreeMap<String, Entry>> {
    let pairs = match object {
        Object::Dict(pairs) => pairs,
        // With the dictionary's own attributes behind it, such as `_metadata`.
        Object::Build { callable, .. } if matches!(*callable, Object::Dict(_)) => match *callable {
            Object::Dict(pairs) => pairs,
            _ => Vec::new(),
        },
        _ => {
            return Err(wrong(
                path,
                "a state dict",
                "another object, such as a whole network or TorchScript",
            ));
        }
    };
    let mut tensors = BTreeMap::new();
    for (name, value) in pairs {
        if let Object::Unicode(name) = name
            && let Some(entry) = entry(value, &place).transpose()?
        {
            tensors.insert(name, entry);
        }
    }
    Ok(tensors)
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, or a parameter around it.
fn entry(value: Object, place: &impl Fn(&Storage, u64) -> Result<Place>) -> Option<Result<Entry>> {
    let (callable, args) = value.reduce().ok()?;
    let (_, class) = callable.class().ok()?;
    let args = args.tuple().ok()?;
    if class == "_rebuild_parameter" {
        return entry(args.into_iter().next()?, place);
    }
    if class != "_rebuild_tensor_v2" {
        return None;
    }
    let [storage, offset, shape, strides, ..] =
        <[Object; 4]>::try_from(args.into_iter().take(4).collect::<Vec<_>>()).ok()?;
    let offset = u64::try_from(offset.int_or_long().ok()?).ok()?;
    let (shape, strides) = (Vec::<usize>::try_from(shape).ok()?, Vec::<usize>::try_from(strides).ok()?);
    let id = storage.persistent_load().ok()?.tuple().ok()?;
    let [_, kind, key, ..] = <[Object; 3]>::try_from(id.into_iter().take(3).collect::<Vec<_>>()).ok()?;
    let (_, kind) = kind.class().ok()?;
    let dtype = if kind == "FloatStorage" { "f32".to_owned() } else { kind };
    let storage = Storage { key: key.unicode().ok()?, dtype };
    let skipped = offset.checked_mul(bytes_of(&storage.dtype)?)?;
    let is_in_rows = is_in_rows(&shape, &strides);
    Some(place(&storage, skipped).map(|place| Entry { shape, dtype: storage.dtype, is_in_rows, place }))
}

fn is_in_rows(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    let fits = |(&size, &stride): (&usize, &usize)| {
        let fits = size == 1 || stride == expected;
        expected = expected.saturating_mul(size);
        fits
    };
    shape.len() == strides.len() && shape.iter().zip(strides).rev().all(fits)
}

#[cfg(test)]
mod tests;
