//! The tensors that a pickled dictionary names.

use std::collections::BTreeMap;
use std::path::Path;

use super::entry::{Entry, Place, wrong};
use super::pickle::{Id, Object, Pickle};
use crate::Result;

/// Names that an error lists, at most.
const LISTED: usize = 8;

/// A storage as a pickle names it.
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) dtype: String,
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

/// The tensors of a dictionary; other values are passed over. Where it holds dictionaries in place of tensors, as checkpoints do, those of
/// the one called `within`, or of the only one.
pub(super) fn entries(
    path: &Path,
    pickle: &Pickle,
    within: Option<&str>,
    place: impl Fn(&Storage, u64) -> Result<Place>,
) -> Result<BTreeMap<String, Entry>> {
    let Some(pairs) = pickle.dict(pickle.top()) else {
        return Err(wrong(path, "a state dict", "another object, such as a whole network or TorchScript"));
    };
    let inner = inner(pickle, pairs);
    let (names, found) = (listed(inner.iter().map(|(name, _)| *name)), || listed(keys(pickle, pairs)));
    let of = |(_, pairs): &(&str, &[[Id; 2]])| of_dict(path, pickle, pairs, &place);
    let tensors = if within.is_none() { of_dict(path, pickle, pairs, &place)? } else { BTreeMap::new() };
    match (within, &inner[..]) {
        (Some(within), _) => match inner.iter().find(|(name, _)| *name == within) {
            Some(inner) => of(inner),
            None => Err(wrong(path, format!("a dictionary of tensors called `{within}` in it"), found())),
        },
        (None, _) if !tensors.is_empty() => Ok(tensors),
        (None, [only]) => of(only),
        (None, []) => Err(wrong(
            path,
            "a state dict, as `torch.save(network.state_dict(), …)` writes it",
            format!("no tensors: {}", found()),
        )),
        (None, _) => Err(wrong(
            path,
            "one state dict, or the name of one of its dictionaries",
            format!("several of tensors: {names}"),
        )),
    }
}

/// The dictionaries in a dictionary that have tensors.
fn inner<'a>(pickle: &'a Pickle, pairs: &'a [[Id; 2]]) -> Vec<(&'a str, &'a [[Id; 2]])> {
    let has_tensors = |pairs: &&[[Id; 2]]| pairs.iter().any(|[_, value]| called(pickle, *value).is_some());
    let inner =
        |[name, value]: &[Id; 2]| Some((pickle.text(*name)?, pickle.dict(*value).filter(has_tensors)?));
    pairs.iter().filter_map(inner).collect()
}

fn of_dict(
    path: &Path,
    pickle: &Pickle,
    pairs: &[[Id; 2]],
    place: &impl Fn(&Storage, u64) -> Result<Place>,
) -> Result<BTreeMap<String, Entry>> {
    let mut tensors = BTreeMap::new();
    for [name, value] in pairs {
        let Some(name) = pickle.text(*name) else { continue };
        match entry(pickle, *value, place).transpose()? {
            Some(entry) => {
                tensors.insert(name.to_owned(), entry);
            }
            // Left out, it would make another network, in silence.
            None if is_tensor(pickle, name, *value) => {
                let expected =
                    format!("`{name}` as a plain tensor of numbers, as `torch.save` writes `tensor.clone()`");
                return Err(wrong(path, expected, "one of another form"));
            }
            None => {}
        }
    }
    Ok(tensors)
}

fn keys<'a>(pickle: &'a Pickle, pairs: &'a [[Id; 2]]) -> impl Iterator<Item = &'a str> {
    pairs.iter().filter_map(|[name, _]| pickle.text(*name))
}

/// "`a`, `b` and 3 more".
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.escape_debug())).collect();
    match names.len() {
        0 => "nothing with a name".to_owned(),
        n if n > LISTED => format!("{} and {} more", names[..LISTED].join(", "), n - LISTED),
        _ => names.join(", "),
    }
}

/// Whether a value that is read as no tensor is, or stands for, one: PyTorch rebuilds it, or it has the name of a layer's.
fn is_tensor(pickle: &Pickle, name: &str, value: Id) -> bool {
    let is_rebuilt = match pickle.object(value) {
        Object::Called([callable, _]) => {
            pickle.class(*callable).is_some_and(|class| class.starts_with("_rebuild"))
        }
        _ => false,
    };
    is_rebuilt || [".weight", ".bias"].iter().any(|part| name.ends_with(part))
}

/// The arguments of `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)`, which may have a parameter around it.
fn called(pickle: &Pickle, mut value: Id) -> Option<&[Id]> {
    for _ in 0..2 {
        let Object::Called([callable, args]) = pickle.object(value) else { return None };
        let args = pickle.tuple(*args)?;
        match pickle.class(*callable)? {
            "_rebuild_tensor_v2" => return Some(args),
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => value = *args.first()?,
            _ => return None,
        }
    }
    None
}

fn entry(
    pickle: &Pickle,
    value: Id,
    place: &impl Fn(&Storage, u64) -> Result<Place>,
) -> Option<Result<Entry>> {
    let [storage, offset, shape, strides, ref rest @ ..] = *called(pickle, value)? else { return None };
    // Behind what is of no matter here: that it is the negative, or the conjugate, of what is stored.
    let is_changed = rest.get(2).is_some_and(|id| pickle.dict(*id).is_none_or(|pairs| !pairs.is_empty()));
    if is_changed || is_view(pickle, pickle.object(storage)) {
        return None;
    }
    let offset = u64::try_from(pickle.int(offset)?).ok()?;
    let (shape, strides) = (pickle.sizes(shape)?, pickle.sizes(strides)?);
    let storage = named(pickle, pickle.object(storage))?;
    let skipped = offset.checked_mul(bytes_of(&storage.dtype)?)?;
    let is_in_rows = is_in_rows(&shape, &strides);
    Some(place(&storage, skipped).map(|place| Entry { shape, dtype: storage.dtype, is_in_rows, place }))
}

/// In the older form a storage may be part of another one.
fn is_view(pickle: &Pickle, object: &Object) -> bool {
    let Object::Storage(id) = object else { return false };
    pickle.tuple(*id).and_then(|parts| parts.get(5)).is_some_and(|id| pickle.tuple(*id).is_some())
}

/// All storages that a pickle names, in whatever tensor.
pub(super) fn storages(pickle: &Pickle) -> impl Iterator<Item = Storage> {
    pickle.objects().iter().filter_map(|object| named(pickle, object))
}

fn named(pickle: &Pickle, object: &Object) -> Option<Storage> {
    let Object::Storage(id) = object else { return None };
    let [_, kind, key, ..] = *pickle.tuple(*id)? else { return None };
    let kind = pickle.class(kind)?;
    let dtype = if kind == "FloatStorage" { "f32" } else { kind }.to_owned();
    Some(Storage { key: pickle.text(key)?.to_owned(), dtype })
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
