//! From memory to the GPU without waiting for it.

use candle_core::{
    Result,
    cuda::cudarc::driver::{
        CudaEvent, CudaSlice, DevicePtrMut, DeviceRepr, DriverError, PinnedHostSlice, result,
    },
};

use super::{Context, failed, lock};

/// Copies under way at once: one more waits for the oldest.
const BUFFERS: usize = 8;

/// Memory that the GPU reads by itself, used in turn. (From any other, a copy waits for all that was launched before.)
#[derive(Default)]
pub(super) struct Uploads {
    buffers: Vec<Buffer>,
    next: usize,
}

struct Buffer {
    memory: PinnedHostSlice<u8>,
    /// After the last copy from it. (The memory has an event of its own, but where events are not tracked nothing records it.)
    copied: CudaEvent,
}

impl Buffer {
    fn new(context: &Context, n_bytes: usize) -> std::result::Result<Self, DriverError> {
        let driver = context.stream.context();
        // SAFETY: what is read of it is written first.
        let memory = unsafe { driver.alloc_pinned_with_flags(n_bytes.max(1), 0) }?;
        Ok(Self { memory, copied: driver.new_event(None)? })
    }
}

/// Copies values to the GPU, in the order of its stream; they may be changed at once.
pub(super) fn upload<T: DeviceRepr>(context: &Context, values: &[T]) -> Result<CudaSlice<T>> {
    copy(context, values).map_err(|e| failed("copying to the GPU", e))
}

fn copy<T: DeviceRepr>(context: &Context, values: &[T]) -> std::result::Result<CudaSlice<T>, DriverError> {
    let (stream, n_bytes) = (&context.stream, size_of_val(values));
    let mut uploads = lock(&context.uploads);
    let slot = uploads.next;
    uploads.next = (slot + 1) % BUFFERS;
    if let Some(buffer) = uploads.buffers.get(slot) {
        buffer.copied.synchronize()?;
    }
    match uploads.buffers.get_mut(slot) {
        None => uploads.buffers.push(Buffer::new(context, n_bytes)?),
        Some(buffer) if buffer.memory.len() < n_bytes => *buffer = Buffer::new(context, n_bytes)?,
        Some(_) => {}
    }
    let Buffer { memory, copied } = &mut uploads.buffers[slot];
    // SAFETY: plain values as bytes.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), n_bytes) };
    let source = &mut memory.as_mut_slice()?[..n_bytes];
    source.copy_from_slice(bytes);
    // SAFETY: all of it is written below.
    let mut slice = unsafe { stream.alloc::<T>(values.len()) }?;
    // SAFETY: the target has as many bytes; the source is not touched before `copied`.
    unsafe { result::memcpy_htod_async(slice.device_ptr_mut(stream).0, source, stream.cu_stream()) }?;
    copied.record(stream)?;
    Ok(slice)
}
