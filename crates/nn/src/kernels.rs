//! What a device does for a network, as one trait: the CPU implements it in [`cpu`](crate::cpu), a GPU in `cuda`. Layers, losses and
//! Adam know this trait alone.

use candle_core::{DType, Result, Tensor};

use crate::{activation::Activation, batch_norm::Statistics, geometry::Geometry};

/// How precisely networks compute. Weights, statistics, gradients of weights and Adam are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Math {
    /// f32 throughout.
    F32,
    /// f32 whose products are of 10-bit fractions where that is faster (TF32).
    #[default]
    Tf32,
    /// Maps and products of bf16, sums of f32.
    Bf16,
}

/// Which of a convolution's products: a transposed convolution's forward pass is the input gradient of a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Product {
    /// Images and kernel to maps.
    Forward,
    /// Maps, or their gradient, and kernel to images.
    Data,
}

/// Replaces numbers by their means over the parts of a minibatch that several devices share, of as many rows each.
pub(crate) type Mean<'a> = &'a dyn Fn(&mut [f64]) -> Result<()>;

/// The batch norm of one pass: its statistics as the device has them, what is learnt, and the slope of the activation behind it.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) statistics: &'a Tensor,
    pub(crate) gain: &'a Tensor,
    pub(crate) bias: &'a Tensor,
    pub(crate) slope: f32,
    /// Where the statistics are those of all parts.
    pub(crate) across: Option<Mean<'a>>,
}

/// Where gradients are written to, or added.
#[derive(Clone, Copy)]
pub(crate) struct Sum<'a> {
    pub(crate) tensor: &'a Tensor,
    pub(crate) adds: bool,
}

/// The numbers of one update of Adam: g ← g + l2·p; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − rate·m/(√(v·square_scale) + eps).
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    pub(crate) rate: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) square_scale: f32,
    pub(crate) eps: f32,
    pub(crate) l2: f32,
}

/// All tensors are contiguous, on one device and without a graph; nothing here waits for a GPU but what says so.
pub(crate) trait Kernels {
    /// A network's input in training: on a GPU of the type that it was opened for, on the CPU as it is.
    fn network_input(&self, x: &Tensor) -> Result<Tensor>;

    /// f32 values as a tensor.
    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor>;

    /// uint8 pixels (n, c, h, w) → maps (n, h, w, c) in [-1, 1].
    fn activations(&self, pixels: &[u8], size: [usize; 4]) -> Result<Tensor>;

    /// A tensor as one of `dtype`: itself, or f32 made narrower.
    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Tensor>;

    /// `x` (n, …, c) and labels (n, k) → (n, …, c + k): the labels of a row behind every one of its c channels.
    fn join(&self, x: &Tensor, labels: &Tensor) -> Result<Tensor>;

    /// The first `n` of dimension `dim`, of a kernel as it is or as [`Self::prepared`] gave it, which it then stays.
    fn front(&self, kernel: &Tensor, dim: usize, n: usize) -> Result<Tensor>;

    /// to ← factor·to + weight·x, or + weight without x; in place.
    fn blend(&self, to: &Tensor, factor: f32, x: Option<&Tensor>, weight: f32) -> Result<()>;

    /// x times the values of `by`, again and again; of the type of both.
    fn multiply(&self, x: &Tensor, by: &Tensor) -> Result<Tensor>;

    /// a·b, of the type of both.
    fn matmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// A convolution's kernel as [`Self::convolve`] takes it best, of the same shape.
    fn prepared(&self, kernel: &Tensor) -> Result<Tensor>;

    /// Images (forward) or maps (data) and a kernel (kh, kw, c, o) → the other of the two, of the input's type.
    fn convolve(&self, product: Product, g: &Geometry, input: &Tensor, kernel: &Tensor) -> Result<Tensor>;

    /// Images and maps' gradient → the gradient of the kernel.
    fn kernel_gradient(&self, g: &Geometry, images: &Tensor, maps: &Tensor, to: Sum<'_>) -> Result<()>;

    /// The statistics of `x`: (…, c) over everything but its last dimension, as [`Norm`] has them.
    fn statistics(&self, x: &Tensor) -> Result<Tensor>;

    /// Given statistics as [`Norm`] has them.
    fn statistics_from(&self, given: &Statistics) -> Result<Tensor>;

    /// And back; waits for a GPU.
    fn statistics_to_host(&self, statistics: &Tensor) -> Result<Statistics>;

    /// Batch norm and activation of `x`, written to a new tensor, or over `x`.
    fn normalise(&self, x: &Tensor, norm: Norm<'_>, in_place: bool) -> Result<Tensor>;

    /// Of [x, y, dy] turns dy into dx in place, for the y that [`Self::normalise`] made of x by the batch's own statistics; the
    /// gradients of gain and bias go to `sums`.
    fn normalise_backward(
        &self,
        values: [&Tensor; 3],
        norm: Norm<'_>,
        sums: Option<[Sum<'_>; 2]>,
    ) -> Result<()>;

    /// The activation, in place.
    fn activate(&self, x: &Tensor, activation: Activation) -> Result<()>;

    /// Turns dy into dx in place, from the activation's output.
    fn activate_backward(&self, y: &Tensor, dy: &Tensor, activation: Activation) -> Result<()>;

    /// Writes or adds a tensor of as many values.
    fn accumulate(&self, to: Sum<'_>, term: &Tensor) -> Result<()>;

    /// Writes or adds a·b.
    fn accumulate_product(&self, to: Sum<'_>, a: &Tensor, b: &Tensor) -> Result<()>;

    /// The mean binary cross-entropy of logits against one target, a scalar, and its gradient.
    fn bce(&self, logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)>;

    /// Σx² over all of f32 `tensors`; waits for a GPU, once.
    fn sum_of_squares(&self, tensors: &[&Tensor]) -> Result<f64>;

    /// Max-pools each of `maps` (n, h, w, c) to `grid`×`grid` and joins them: (n, Σ c·grid²), each in NCHW order.
    fn max_pool(&self, maps: &[Tensor], grid: usize) -> Result<Tensor>;

    /// An update of a parameter and its two moments, in place; all are f32.
    fn adam(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        moments: &[Tensor; 2],
        step: AdamStep,
    ) -> Result<()>;
}
