//! The values of CPU tensors as slices.

use std::{cell::Cell, marker::PhantomData};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

use crate::element::Element;

/// Calls `f` with the values of contiguous tensors.
pub(crate) fn read<E: Element, const N: usize, T>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[E]; N]) -> T,
) -> Result<T> {
    let storages = tensors.map(Tensor::storage_and_layout);
    let mut slices = [&[][..]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&storages) {
        *slice = match (&**storage, layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => &storage.as_slice::<E>()?[start..end],
            _ => bail!("expected a contiguous tensor on the CPU, found strides {:?}", layout.stride()),
        };
    }
    Ok(f(slices))
}

/// Calls `f` with the values of a contiguous tensor, to be written, and of others. (candle lends the former to an operation alone.)
pub(crate) fn write<W: Element, E: Element, const N: usize, T>(
    tensor: &Tensor,
    others: [&Tensor; N],
    f: impl FnOnce(&mut [W], [&[E]; N]) -> T,
) -> Result<T> {
    let (f, result) = (Cell::new(Some(f)), Cell::new(None));
    let write = |values: &mut [W]| {
        if let Some(f) = f.take() {
            result.set(Some(read(others, |others| f(values, others))?));
        }
        Ok(())
    };
    tensor.inplace_op1(&Write(write, PhantomData))?;
    match result.take() {
        Some(result) => Ok(result),
        None => bail!("the operation was not run"),
    }
}

struct Write<F, W>(F, PhantomData<W>);

impl<W: Element, F: Fn(&mut [W]) -> Result<()>> InplaceOp1 for Write<F, W> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (W::of_storage(storage), layout.contiguous_offsets()) {
            (Some(values), Some((start, end))) => (self.0)(&mut values[start..end]),
            _ => bail!("expected a contiguous tensor of {:?}", W::DTYPE),
        }
    }
}
