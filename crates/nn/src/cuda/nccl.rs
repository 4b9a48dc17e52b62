//! Means over GPUs, by NCCL, in the order of each one's stream.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::atomic::{AtomicBool, Ordering},
};

use candle_core::{DType, Device, Result, Tensor, bail};

use super::{Context, failed, load, pointer};

/// What tells the GPUs of one training from those of others.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Id([c_char; Id::LEN]);

impl Id {
    const LEN: usize = 128;

    /// A new one.
    pub(crate) fn new() -> Result<Self> {
        let mut id = Self([0; Self::LEN]);
        // SAFETY: a place for an id.
        told("NCCL's id", unsafe { ncclGetUniqueId(&mut id) })?;
        Ok(id)
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.map(|byte| byte as u8).to_vec()
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Self> {
        match <[u8; Self::LEN]>::try_from(bytes) {
            Ok(bytes) => Ok(Self(bytes.map(|byte| byte as c_char))),
            Err(_) => bail!("expected an id of NCCL's, {} bytes, found {}", Self::LEN, bytes.len()),
        }
    }
}

const FLOAT32: c_int = 7;
const AVERAGE: c_int = 4;

unsafe extern "C" {
    fn ncclGetUniqueId(id: *mut Id) -> c_int;
    fn ncclCommInitRank(comm: *mut *mut c_void, count: c_int, id: Id, number: c_int) -> c_int;
    fn ncclAllReduce(
        from: u64,
        to: u64,
        n: usize,
        dtype: c_int,
        operation: c_int,
        comm: *mut c_void,
        stream: *mut c_void,
    ) -> c_int;
    fn ncclGroupStart() -> c_int;
    fn ncclGroupEnd() -> c_int;
    fn ncclCommAbort(comm: *mut c_void) -> c_int;
    fn ncclGetErrorString(error: c_int) -> *const c_char;
}

fn told(what: &str, error: c_int) -> Result<()> {
    if error == 0 {
        return Ok(());
    }
    // SAFETY: a string that is always there.
    let reason = unsafe { CStr::from_ptr(ncclGetErrorString(error)) };
    Err(failed(what, reason.to_string_lossy()))
}

/// Loads NCCL.
///
/// # Errors
/// That it is missing, or why it cannot be loaded.
pub(crate) fn load() -> std::result::Result<(), String> {
    load::load_nccl()
}

/// The GPUs of one training, as one of them has them.
pub(crate) struct Gpus {
    context: &'static Context,
    comm: *mut c_void,
    is_over: AtomicBool,
}

// SAFETY: NCCL takes calls from any thread; that to end is meant to come from another one.
unsafe impl Send for Gpus {}
// SAFETY: as above.
unsafe impl Sync for Gpus {}

impl Gpus {
    /// Joins the others, and waits for them; NCCL must be loaded.
    pub(crate) fn join(device: &Device, id: Id, number: usize, count: usize) -> Result<Self> {
        let Device::Cuda(device) = device else { bail!("NCCL is for GPUs") };
        let context = Context::of(device)?;
        context.stream.context().bind_to_thread().map_err(|e| failed("NCCL", e))?;
        let mut comm = std::ptr::null_mut();
        // SAFETY: a place for what NCCL gives.
        told("joining the other GPUs", unsafe {
            ncclCommInitRank(&mut comm, count as c_int, id, number as c_int)
        })?;
        Ok(Self { context, comm, is_over: AtomicBool::new(false) })
    }

    /// Replaces f32 tensors by their means; nothing is waited for.
    pub(crate) fn mean(&self, tensors: &[&Tensor]) -> Result<()> {
        if self.is_over.load(Ordering::SeqCst) {
            bail!("a mean over GPUs: another part has ended")
        }
        let stream = self.context.stream.cu_stream().cast();
        // SAFETY: the calls of a group may come in any number.
        told("NCCL", unsafe { ncclGroupStart() })?;
        for tensor in tensors {
            let (at, n) = (pointer(tensor)?, tensor.elem_count());
            if tensor.dtype() != DType::F32 {
                bail!("a mean over GPUs: expected f32, found {:?}", tensor.dtype())
            }
            // SAFETY: a tensor of so many values, in place.
            let reduced = unsafe { ncclAllReduce(at, at, n, FLOAT32, AVERAGE, self.comm, stream) };
            told("a mean over GPUs", reduced)?;
        }
        // SAFETY: a group was started.
        told("a mean over GPUs", unsafe { ncclGroupEnd() })
    }

    /// Ends what is under way, here and for whoever waits for it.
    pub(crate) fn abort(&self) {
        if !self.is_over.swap(true, Ordering::SeqCst) {
            // SAFETY: it is given back once; what is asked of it afterwards is refused.
            unsafe { ncclCommAbort(self.comm) };
        }
    }
}

impl Drop for Gpus {
    fn drop(&mut self) {
        self.abort();
    }
}
