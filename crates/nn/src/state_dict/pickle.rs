//! The tensors that a pickled dictionary names.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use candle_core::pickle::{Object, Stack};

use super::entry::{Entry, Place, wrong};
use crate::Result;

/// Reads one pickle.
pub(super) fn unpickle(path: &Path, from: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    let read = stack.read_loop(from).and_then(|()| stack.finalize());
    read.map_err(|e| {
        wrong(path, "a state dict that PyTorch saved", format!("a pickle that is no such thing: {e}"))
    })
}

/// A storage as a pickle names it.
pub(super) struct Storage {
    pub(super) key: String,
    dtype: String,
}

/// Bytes of a value, where the kind is known.
pub(super) fn bytes_of(dtype: &str) -> Option<u64> {
    match dtype {
        "f32" | "IntStorage" => Some(4),
        "DoubleStorage" | "LongStorage" => Some(8),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

/// The tensors of a dictionary; other values are passed over.
pub(super) fn entries(
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
