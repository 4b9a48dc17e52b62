//! The values of a CPU tensor as a slice.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// The f32 values behind a contiguous layout.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("{op}: expected a contiguous tensor"),
    }
}

/// The f32 values behind a contiguous layout, to be written.
pub(crate) fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout, op: &str) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("{op}: expected a contiguous tensor of f32"),
    }
}

/// Calls `f` with the values of a contiguous CPU tensor.
pub(crate) fn with_slice<T>(tensor: &Tensor, op: &str, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout, op)?),
        _ => bail!("{op}: this kernel runs on the CPU"),
    }
}
