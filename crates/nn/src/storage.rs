//! The f32 values of CPU tensors as slices.

use std::cell::Cell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

/// Calls `f` with the values of contiguous tensors.
pub(crate) fn read<const N: usize, T>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> T) -> Result<T> {
    let storages = tensors.map(Tensor::storage_and_layout);
    let mut slices = [&[][..]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&storages) {
        *slice = match (&**storage, layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => &storage.as_slice::<f32>()?[start..end],
            _ => bail!("expected a contiguous tensor on the CPU, found strides {:?}", layout.stride()),
        };
    }
    Ok(f(slices))
}

/// Calls `f` with the values of a contiguous tensor, to be written, and of others. (candle lends the former to an operation alone.)
pub(crate) fn write<const N: usize, T>(
    tensor: &Tensor,
    others: [&Tensor; N],
    f: impl FnOnce(&mut [f32], [&[f32]; N]) -> T,
) -> Result<T> {
    let (f, result) = (Cell::new(Some(f)), Cell::new(None));
    tensor.inplace_op1(&Write(|values: &mut [f32]| {
        if let Some(f) = f.take() {
            result.set(Some(read(others, |others| f(values, others))?));
        }
        Ok(())
    }))?;
    match result.take() {
        Some(result) => Ok(result),
        None => bail!("the operation was not run"),
    }
}

struct Write<F>(F);

impl<F: Fn(&mut [f32]) -> Result<()>> InplaceOp1 for Write<F> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(values), Some((start, end))) => (self.0)(&mut values[start..end]),
            _ => bail!("expected a contiguous tensor of f32"),
        }
    }
}
