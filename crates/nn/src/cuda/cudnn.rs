//! cuDNN's three products of a convolution, over NHWC images and maps and KRSC kernels.

use std::{collections::HashMap, ffi::c_void, mem::MaybeUninit, sync::Arc};

use candle_core::{
    DType, Result,
    cuda::cudarc::{
        cudnn::{result as cudnn, result::CudnnError, sys},
        driver::{CudaSlice, CudaStream, DevicePtr},
    },
};

use super::failed;
use crate::{geometry::Geometry, kernels::Math};

/// Most memory an algorithm may work in, in bytes.
const MOST_WORKSPACE: usize = 1 << 30;
/// Algorithms asked for: more than there are.
const N_ALGORITHMS: usize = 10;

/// What cuDNN's calls return.
type Called<T> = std::result::Result<T, CudnnError>;

/// Which of a convolution's three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// Images and kernel to maps.
    Forward,
    /// Maps (or their gradient) and kernel to images: a transposed convolution.
    Data,
    /// Images and maps' gradient to the kernel's.
    Filter,
}

/// The algorithm a search chose.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Data(sys::cudnnConvolutionBwdDataAlgo_t),
    Filter(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// An algorithm, its memory and its precision.
type Chosen = (Algorithm, usize, sys::cudnnMathType_t);

/// Memory to work in, and its bytes.
type Room = (*mut c_void, usize);

/// One product of one shape, ready to run. Plans are kept to the end of the program.
#[derive(Debug, Clone, Copy)]
struct Plan {
    shapes: Shapes,
    algorithm: Algorithm,
    workspace: usize,
}

/// cuDNN's descriptions of a convolution's operands.
#[derive(Debug, Clone, Copy)]
struct Shapes {
    images: sys::cudnnTensorDescriptor_t,
    maps: sys::cudnnTensorDescriptor_t,
    kernel: sys::cudnnFilterDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
}

/// Where the operands are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operands {
    pub(super) images: u64,
    pub(super) kernel: u64,
    pub(super) maps: u64,
}

impl Operands {
    fn pointers(self) -> [*mut c_void; 3] {
        [self.images, self.kernel, self.maps].map(|at| at as *mut c_void)
    }
}

/// A handle, the plans made so far and the memory that algorithms work in.
pub(super) struct Cudnn {
    handle: sys::cudnnHandle_t,
    stream: Arc<CudaStream>,
    /// None where there is no way.
    plans: HashMap<(Direction, Geometry, DType), Option<Plan>>,
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: cuDNN's handles and descriptors may be used by any thread, one at a time; a mutex holds this.
unsafe impl Send for Cudnn {}

impl Cudnn {
    pub(super) fn new(stream: &Arc<CudaStream>) -> Result<Self> {
        let named = |e: CudnnError| failed("cuDNN", e);
        stream.context().bind_to_thread().map_err(|e| failed("cuDNN", e))?;
        let handle = cudnn::create_handle().map_err(named)?;
        // SAFETY: both were just made, and live as long as this does.
        unsafe { cudnn::set_stream(handle, stream.cu_stream().cast()) }.map_err(named)?;
        Ok(Self { handle, stream: stream.clone(), plans: HashMap::new(), workspace: None })
    }

    /// Runs one product, the fastest way there is; the first time for its sizes that is searched for. False, and nothing
    /// done, where there is none in bf16.
    pub(super) fn run(
        &mut self,
        direction: Direction,
        g: &Geometry,
        dtype: DType,
        math: Math,
        at: Operands,
    ) -> Result<bool> {
        let named = |e: CudnnError| failed(&format!("cuDNN, {direction:?} of {g:?}"), e);
        self.stream.context().bind_to_thread().map_err(|e| failed("cuDNN", e))?;
        let Some(plan) = self.plan((direction, *g, dtype), math, at).map_err(named)? else {
            return Ok(false);
        };
        let workspace = self.workspace(plan.workspace)?;
        self.launch(plan, workspace, at).map_err(named)?;
        Ok(true)
    }

    /// The plan of earlier runs, or one that is searched for now.
    fn plan(&mut self, key: (Direction, Geometry, DType), math: Math, at: Operands) -> Called<Option<Plan>> {
        if let Some(plan) = self.plans.get(&key) {
            return Ok(*plan);
        }
        let (direction, g, dtype) = key;
        let plan = match self.search(direction, Shapes::of(&g, dtype, math)?, at) {
            Ok(plan) => Some(plan),
            Err(_) if dtype == DType::BF16 => None,
            Err(error) => return Err(error),
        };
        self.plans.insert(key, plan);
        Ok(plan)
    }

    /// Runs a plan.
    fn launch(&self, plan: Plan, workspace: *mut c_void, at: Operands) -> Called<()> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let (one, zero) = ((&raw const one).cast(), (&raw const zero).cast());
        let [images, kernel, maps] = at.pointers();
        let Shapes { images: x, maps: y, kernel: w, convolution } = plan.shapes;
        // SAFETY: the descriptors are those of the operands, which `convolve` and `kernel_gradient` made of these shapes.
        unsafe {
            match plan.algorithm {
                Algorithm::Forward(algorithm) => cudnn::convolution_forward(
                    self.handle,
                    one,
                    x,
                    images,
                    w,
                    kernel,
                    convolution,
                    algorithm,
                    workspace,
                    plan.workspace,
                    zero,
                    y,
                    maps,
                ),
                Algorithm::Data(algorithm) => cudnn::convolution_backward_data(
                    self.handle,
                    one,
                    w,
                    kernel,
                    y,
                    maps,
                    convolution,
                    algorithm,
                    workspace,
                    plan.workspace,
                    zero,
                    x,
                    images,
                ),
                Algorithm::Filter(algorithm) => cudnn::convolution_backward_filter(
                    self.handle,
                    one,
                    x,
                    images,
                    y,
                    maps,
                    convolution,
                    algorithm,
                    workspace,
                    plan.workspace,
                    zero,
                    w,
                    kernel,
                ),
            }
        }
    }

    /// Memory of at least `n_bytes` to work in, shared by all plans: they run one after the other.
    fn workspace(&mut self, n_bytes: usize) -> Result<*mut c_void> {
        if n_bytes == 0 {
            return Ok(std::ptr::null_mut());
        }
        let memory = match self.workspace.take().filter(|workspace| workspace.len() >= n_bytes) {
            Some(workspace) => workspace,
            // What runs in the old memory has it to its end: it is freed in the stream's order.
            // SAFETY: algorithms write what they read of it.
            None => unsafe { self.stream.alloc::<u8>(n_bytes) }
                .map_err(|e| failed("memory for cuDNN to work in", e))?,
        };
        let start = self.start_of(&memory);
        self.workspace = Some(memory);
        Ok(start)
    }

    fn start_of(&self, memory: &CudaSlice<u8>) -> *mut c_void {
        memory.device_ptr(&self.stream).0 as *mut c_void
    }

    /// Times every algorithm on the operands themselves (the result is overwritten) and takes the fastest of those that
    /// always give the same bits, or of all where there is none.
    fn search(&self, direction: Direction, shapes: Shapes, at: Operands) -> Called<Plan> {
        // SAFETY: cuDNN takes memory as it is; the scratch is freed in the stream's order.
        let scratch = unsafe { self.stream.alloc::<u8>(MOST_WORKSPACE) }.ok();
        let memory = scratch.as_ref().map_or(std::ptr::null_mut(), |memory| self.start_of(memory));
        let n_bytes = scratch.as_ref().map_or(0, CudaSlice::len);
        let found = self.find(direction, shapes, at, (memory, n_bytes))?;
        let Some((algorithm, workspace, math)) = found else {
            return Err(CudnnError(sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED));
        };
        // SAFETY: the descriptor was made by `Shapes::of`.
        unsafe { cudnn::set_convolution_math_type(shapes.convolution, math)? };
        Ok(Plan { shapes, algorithm, workspace })
    }

    /// The algorithm, its memory and its precision.
    fn find(&self, direction: Direction, shapes: Shapes, at: Operands, room: Room) -> Called<Option<Chosen>> {
        match direction {
            Direction::Forward => self.find_forward(shapes, at, room),
            Direction::Data => self.find_data(shapes, at, room),
            Direction::Filter => self.find_filter(shapes, at, room),
        }
    }

    fn find_forward(&self, shapes: Shapes, at: Operands, (memory, n_bytes): Room) -> Called<Option<Chosen>> {
        let [images, kernel, maps] = at.pointers();
        let Shapes { images: x, maps: y, kernel: w, convolution } = shapes;
        // SAFETY: the operands are as described, and the room is for as many results as are asked for.
        let found = best(n_bytes, |n, room| unsafe {
            sys::cudnnFindConvolutionForwardAlgorithmEx(
                self.handle,
                x,
                images,
                w,
                kernel,
                convolution,
                y,
                maps,
                N_ALGORITHMS as i32,
                n,
                room,
                memory,
                n_bytes,
            )
        })?;
        Ok(found.map(|found| (Algorithm::Forward(found.algo), found.memory, found.mathType)))
    }

    fn find_data(&self, shapes: Shapes, at: Operands, (memory, n_bytes): Room) -> Called<Option<Chosen>> {
        let [images, kernel, maps] = at.pointers();
        let Shapes { images: x, maps: y, kernel: w, convolution } = shapes;
        // SAFETY: as in `find_forward`.
        let found = best(n_bytes, |n, room| unsafe {
            sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                self.handle,
                w,
                kernel,
                y,
                maps,
                convolution,
                x,
                images,
                N_ALGORITHMS as i32,
                n,
                room,
                memory,
                n_bytes,
            )
        })?;
        Ok(found.map(|found| (Algorithm::Data(found.algo), found.memory, found.mathType)))
    }

    fn find_filter(&self, shapes: Shapes, at: Operands, (memory, n_bytes): Room) -> Called<Option<Chosen>> {
        let [images, kernel, maps] = at.pointers();
        let Shapes { images: x, maps: y, kernel: w, convolution } = shapes;
        // SAFETY: as in `find_forward`.
        let found = best(n_bytes, |n, room| unsafe {
            sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                self.handle,
                x,
                images,
                y,
                maps,
                convolution,
                w,
                kernel,
                N_ALGORITHMS as i32,
                n,
                room,
                memory,
                n_bytes,
            )
        })?;
        Ok(found.map(|found| (Algorithm::Filter(found.algo), found.memory, found.mathType)))
    }
}

/// What the results of the three searches have in common.
trait Found: Copy {
    /// It ran, in memory of `n_bytes`.
    fn works(&self, n_bytes: usize) -> bool;
    /// It gives the same bits each time.
    fn repeats(&self) -> bool;
}

macro_rules! found {
    ($($result:ty),*) => {
        $(impl Found for $result {
            fn works(&self, n_bytes: usize) -> bool {
                self.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS && self.memory <= n_bytes
            }

            fn repeats(&self) -> bool {
                self.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
            }
        })*
    };
}
found!(
    sys::cudnnConvolutionFwdAlgoPerf_t,
    sys::cudnnConvolutionBwdDataAlgoPerf_t,
    sys::cudnnConvolutionBwdFilterAlgoPerf_t
);

/// Calls a search, which writes how many results it has, fastest first, and those.
fn best<R: Found>(
    n_bytes: usize,
    search: impl FnOnce(*mut i32, *mut R) -> sys::cudnnStatus_t,
) -> Called<Option<R>> {
    let mut room = [const { MaybeUninit::<R>::uninit() }; N_ALGORITHMS];
    let mut n = 0;
    search(&raw mut n, room.as_mut_ptr().cast()).result()?;
    // SAFETY: the search wrote the first n.
    let results = room.iter().take(n.max(0) as usize).map(|result| unsafe { result.assume_init() });
    let works: Vec<R> = results.filter(|result| result.works(n_bytes)).collect();
    Ok(works.iter().find(|result| result.repeats()).or(works.first()).copied())
}

impl Shapes {
    fn of(g: &Geometry, dtype: DType, math: Math) -> Called<Self> {
        let format = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let (float, bf16) =
            (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16);
        let data = if dtype == DType::BF16 { bf16 } else { float };
        // `convolve` has seen that no size is too large.
        let [n, h, w, c, kh, kw, stride, padding, oh, ow, o] =
            [g.n, g.h, g.w, g.c, g.kh, g.kw, g.stride, g.padding, g.oh, g.ow, g.o].map(|size| size as i32);
        let math = match (math, dtype) {
            (Math::F32, DType::F32) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            (_, DType::F32) => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            _ => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        };
        // SAFETY: each descriptor is set right after it was made.
        unsafe {
            let images = cudnn::create_tensor_descriptor()?;
            cudnn::set_tensor4d_descriptor(images, format, data, [n, c, h, w])?;
            let maps = cudnn::create_tensor_descriptor()?;
            cudnn::set_tensor4d_descriptor(maps, format, data, [n, o, oh, ow])?;
            let kernel = cudnn::create_filter_descriptor()?;
            cudnn::set_filter4d_descriptor(kernel, data, format, [o, c, kh, kw])?;
            let convolution = cudnn::create_convolution_descriptor()?;
            let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            cudnn::set_convolution2d_descriptor(
                convolution,
                padding,
                padding,
                stride,
                stride,
                1,
                1,
                mode,
                float,
            )?;
            cudnn::set_convolution_math_type(convolution, math)?;
            Ok(Self { images, maps, kernel, convolution })
        }
    }
}
