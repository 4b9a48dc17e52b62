//! What runs on a CUDA GPU: cuDNN's convolutions, cuBLAS's matrix products (through candle) and own [kernels](KERNELS).
//!
//! Everything is launched on the one stream of a device, in the order of the calls; nothing waits for it but reading a
//! result. Tensors are addressed by pointers into candle's storage: the memory of a tensor that is dropped goes back to the
//! pool in the stream's order too, so that what was launched before has it to the end.
//!
//! On a GPU the same run gives the same bits as long as cuDNN's search for the fastest algorithms ends alike.
#![allow(unsafe_code)]

mod conv;
mod cudnn;
mod load;
pub(crate) mod nccl;
mod ops;
#[cfg(test)]
mod tests;
mod upload;
mod values;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use candle_core::{
    CudaDevice, DType, Device, Result, Shape, Storage, Tensor,
    backend::BackendDevice,
    bail,
    cuda::cudarc::{
        driver::{
            CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, sys,
        },
        nvrtc::{CompileOptions, compile_ptx_with_opts},
    },
    cuda::{CudaStorageSlice, DeviceId},
    op::BackpropOp,
};

use crate::kernels::Math;

/// The source of the kernels.
const KERNELS: &str = concat!(include_str!("kernels.cu"), include_str!("launched.cu"));

/// What a device needs beside candle's.
pub(crate) struct Context {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    functions: Mutex<HashMap<String, CudaFunction>>,
    cudnn: Mutex<cudnn::Cudnn>,
    uploads: Mutex<upload::Uploads>,
    math: Math,
}

/// The contexts of the devices that were opened, kept to the end of the program.
static CONTEXTS: OnceLock<Mutex<HashMap<DeviceId, &'static Context>>> = OnceLock::new();

fn contexts() -> &'static Mutex<HashMap<DeviceId, &'static Context>> {
    CONTEXTS.get_or_init(Mutex::default)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error of one of CUDA's libraries.
fn failed(what: &str, error: impl std::fmt::Display) -> candle_core::Error {
    candle_core::Error::Msg(format!("{what}: {error}"))
}

/// Opens GPU `ordinal` with a stream of its own, or gives it again if it is open with the same precision.
pub(crate) fn open(ordinal: usize, math: Math) -> Result<Device> {
    let mut contexts = lock(contexts());
    let is_open = |context: &&&Context| context.stream.context().ordinal() == ordinal && context.math == math;
    if let Some(context) = contexts.values().find(is_open) {
        return Ok(Device::Cuda(context.device.clone()));
    }
    load::load().map_err(candle_core::Error::msg)?;
    let device = CudaDevice::new_with_stream(ordinal)?;
    // SAFETY: all work on this device goes through its one stream, so no other can be ahead of it.
    unsafe { device.disable_event_tracking() };
    let context = Context::new(&device, math)?;
    contexts.insert(device.id(), Box::leak(Box::new(context)));
    Ok(Device::Cuda(device))
}

impl Context {
    fn new(device: &CudaDevice, math: Math) -> Result<Self> {
        let stream = device.cuda_stream();
        keep_freed(&stream).map_err(|e| failed("the GPU's memory pool", e))?;
        let (major, minor) =
            stream.context().compute_capability().map_err(|e| failed("the GPU's compute capability", e))?;
        let options = CompileOptions {
            options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
            ..Default::default()
        };
        let ptx = compile_ptx_with_opts(KERNELS, options).map_err(|e| failed("compiling the kernels", e))?;
        let module = stream.context().load_module(ptx).map_err(|e| failed("loading the kernels", e))?;
        Ok(Self {
            device: device.clone(),
            cudnn: Mutex::new(cudnn::Cudnn::new(&stream)?),
            stream,
            module,
            functions: Mutex::default(),
            uploads: Mutex::default(),
            math,
        })
    }

    /// The context of a device that [`open`] gave.
    pub(crate) fn of(device: &CudaDevice) -> Result<&'static Self> {
        match lock(contexts()).get(&device.id()) {
            Some(context) => Ok(context),
            None => bail!("this GPU was not opened by `dcgan_nn::device`"),
        }
    }

    /// Memory of a new tensor, unset.
    fn empty(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        // SAFETY: the callers have a kernel write all of it.
        let storage = unsafe { self.device.alloc_uninit(&shape, dtype) }?;
        Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
    }

    /// Launches a kernel. The arguments must be those of its declaration, in order.
    fn launch(&self, name: &str, grid: (u32, u32), block: (u32, u32), arguments: &[Argument]) -> Result<()> {
        let mut functions = lock(&self.functions);
        if !functions.contains_key(name) {
            let function = self.module.load_function(name).map_err(|e| failed(name, e))?;
            functions.insert(name.to_owned(), function);
        }
        let mut builder = self.stream.launch_builder(&functions[name]);
        for argument in arguments {
            match argument {
                Argument::Pointer(value) => builder.arg(value),
                Argument::Int(value) => builder.arg(value),
                Argument::Long(value) => builder.arg(value),
                Argument::Float(value) => builder.arg(value),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid.0, grid.1, 1),
            block_dim: (block.0, block.1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the callers in this module pass what the kernel declares, over tensors of the sizes it is told.
        unsafe { builder.launch(config) }.map_err(|e| failed(name, e))?;
        Ok(())
    }

    /// Launches a kernel that takes one thread for each `width` of `n` values.
    fn launch_flat(&self, name: &str, n: usize, width: usize, arguments: &[Argument]) -> Result<()> {
        const THREADS: usize = 256;
        let blocks = n.div_ceil(THREADS * width);
        if blocks == 0 {
            return Ok(());
        }
        self.launch(name, (int(blocks)? as u32, 1), (THREADS as u32, 1), arguments)
    }
}

/// What a kernel is given.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Pointer(u64),
    Int(i32),
    Long(i64),
    Float(f32),
}

/// A size as CUDA's libraries take it.
fn int(n: usize) -> Result<i32> {
    i32::try_from(n)
        .map_err(|_| candle_core::Error::Msg(format!("{n} values are too many for the GPU's kernels")))
}

/// The name of a type in the names of kernels, and its bytes.
fn type_name(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F32 => Ok("float"),
        DType::BF16 => Ok("bf16"),
        _ => bail!("the GPU's kernels take f32 and bf16, not {dtype:?}"),
    }
}

/// Where the values of a contiguous tensor begin. Good as long as the tensor lives, and for all that is launched before it is
/// dropped.
fn pointer(tensor: &Tensor) -> Result<u64> {
    fn first<T>(slice: &CudaSlice<T>, offset: usize, stream: &CudaStream) -> u64 {
        // No event is recorded: tracking is off.
        slice.device_ptr(stream).0 + (offset * size_of::<T>()) as u64
    }
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("expected a tensor on the GPU") };
    let Some((offset, _)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor, found strides {:?} of {:?}", layout.stride(), layout.dims())
    };
    let stream = &storage.device.cuda_stream();
    match &storage.slice {
        CudaStorageSlice::F32(slice) => Ok(first(slice, offset, stream)),
        CudaStorageSlice::BF16(slice) => Ok(first(slice, offset, stream)),
        CudaStorageSlice::F64(slice) => Ok(first(slice, offset, stream)),
        _ => bail!("the GPU's kernels take f32, f64 and bf16"),
    }
}

/// Has the driver keep freed memory for the next allocation, also when somebody waits for the stream.
fn keep_freed(stream: &CudaStream) -> std::result::Result<(), String> {
    if !stream.context().has_async_alloc() {
        return Ok(());
    }
    let told = |result: sys::CUresult| match result {
        sys::CUresult::CUDA_SUCCESS => Ok(()),
        error => Err(format!("{error:?}")),
    };
    let mut pool = std::ptr::null_mut();
    let mut threshold = u64::MAX;
    // SAFETY: the pool is the device's own, and the attribute is a 64-bit number.
    unsafe {
        told(sys::cuDeviceGetDefaultMemPool(&mut pool, stream.context().cu_device()))?;
        told(sys::cuMemPoolSetAttribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw mut threshold).cast(),
        ))
    }
}
