//! The CPU's kernels. Work is cut by sizes alone and every sum has a fixed order: the same values give the same bits, whatever the
//! number of threads.

mod batch_norm;
mod conv;
mod elementwise;
mod loss;
mod pictures;

pub(crate) use self::conv::{Fixed, Place};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};

pub(crate) use self::elementwise::adam;

use self::batch_norm::{Scaling, channels};
use crate::{
    activation::Activation,
    batch_norm::Statistics,
    geometry::Geometry,
    kernels::{AdamStep, Kernels, Norm, Product, Sum},
    storage::{read, write},
};

/// All cores of this machine.
pub(crate) struct Cpu;

fn made(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

impl Kernels for Cpu {
    fn dtype(&self) -> DType {
        DType::F32
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        made(values, shape)
    }

    fn activations(&self, pixels: &[u8], [n, c, h, w]: [usize; 4]) -> Result<Tensor> {
        made(pictures::activations(pixels, c, h * w), (n, h, w, c))
    }

    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Tensor> {
        x.to_dtype(dtype)
    }

    fn join(&self, x: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (n, k) = labels.dims2()?;
        let mut shape = x.dims().to_vec();
        let c = channels(&shape)?;
        if let Some(last) = shape.last_mut() {
            *last += k;
        }
        made(read([x, labels], |[x, labels]| elementwise::join(x, labels, [n, c, k]))?, shape)
    }

    fn prepared(&self, kernel: &Tensor) -> Result<Tensor> {
        Ok(kernel.clone())
    }

    fn convolve(&self, product: Product, g: &Geometry, input: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let operands = [input, kernel];
        match product {
            Product::Forward => {
                let maps = read(operands, |[images, kernel]| conv::forward(g, images, kernel))?;
                made(maps, (g.n, g.oh, g.ow, g.o))
            }
            Product::Data => {
                let images = read(operands, |[maps, kernel]| conv::input_gradient(g, maps, kernel))?;
                made(images, (g.n, g.h, g.w, g.c))
            }
        }
    }

    fn kernel_gradient(&self, g: &Geometry, images: &Tensor, maps: &Tensor, to: Sum<'_>) -> Result<()> {
        write(to.tensor, [images, maps], |sum, [images, maps]| {
            conv::kernel_gradient(g, images, maps, sum, to.adds);
        })
    }

    /// f64 (2, c): means and variances.
    fn statistics(&self, x: &Tensor) -> Result<Tensor> {
        let c = channels(x.dims())?;
        self.statistics_from(&read([x], |[x]| batch_norm::measure(x, c))?)
    }

    fn statistics_from(&self, given: &Statistics) -> Result<Tensor> {
        let values = [given.mean.as_slice(), &given.variance].concat();
        Tensor::from_vec(values, (2, given.mean.len()), &Device::Cpu)
    }

    fn statistics_to_host(&self, statistics: &Tensor) -> Result<Statistics> {
        let mut mean = statistics.flatten_all()?.to_vec1::<f64>()?;
        let variance = mean.split_off(mean.len() / 2);
        Ok(Statistics { mean, variance })
    }

    fn normalise(&self, x: &Tensor, norm: Norm<'_>, in_place: bool) -> Result<Tensor> {
        let statistics = self.statistics_to_host(norm.statistics)?;
        let c = channels(x.dims())?;
        if statistics.mean.len() != c {
            bail!("batch_norm: {c} channels, but statistics of {}", statistics.mean.len())
        }
        let scaling =
            read([norm.gain, norm.bias], |[gain, bias]| Scaling::new(&statistics, gain, bias, norm.slope))??;
        if !in_place {
            return made(read([x], |[x]| scaling.apply(x))?, x.shape());
        }
        write(x, [], |x, []| scaling.apply_in_place(x))?;
        Ok(x.clone())
    }

    fn normalise_backward(
        &self,
        [x, y, dy]: [&Tensor; 3],
        norm: Norm<'_>,
        sums: Option<[Sum<'_>; 2]>,
    ) -> Result<()> {
        let statistics = self.statistics_to_host(norm.statistics)?;
        let (dgain, dbias) = write(dy, [x, y, norm.gain], |dy, [x, y, gain]| {
            batch_norm::backward(norm.slope, &statistics, gain, [x, y], dy)
        })?;
        for (sum, values) in sums.into_iter().flatten().zip([dgain, dbias]) {
            write(sum.tensor, [], |to, []| elementwise::add_channels(to, &values, sum.adds))?;
        }
        Ok(())
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<()> {
        write(x, [], |x, []| elementwise::activate(x, activation))
    }

    fn activate_backward(&self, y: &Tensor, dy: &Tensor, activation: Activation) -> Result<()> {
        write(dy, [y], |dy, [y]| elementwise::activate_backward(y, dy, activation))
    }

    fn accumulate(&self, to: Sum<'_>, term: &Tensor) -> Result<()> {
        write(to.tensor, [term], |sum, [term]| elementwise::accumulate(sum, term, to.adds))
    }

    fn bce(&self, logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)> {
        let (loss, gradient) = read([logits], |[logits]| loss::bce(logits, target))?;
        Ok((made(vec![loss], ())?, made(gradient, logits.shape())?))
    }

    fn sum_of_squares(&self, tensors: &[&Tensor]) -> Result<f64> {
        tensors.iter().try_fold(0.0, |sum, tensor| {
            Ok(sum + read([&tensor.contiguous()?], |[values]| elementwise::sum_of_squares(values))?)
        })
    }

    fn max_pool(&self, maps: &[Tensor], grid: usize) -> Result<Tensor> {
        pictures::max_pool(maps, grid)
    }

    fn adam(
        &self,
        p: &Tensor,
        gradient: &Tensor,
        [mean, square]: &[Tensor; 2],
        step: AdamStep,
    ) -> Result<()> {
        write(p, [gradient], |p, [g]| {
            write(mean, [], |m, []| write(square, [], |v, []| elementwise::adam([p, m, v], g, step)))
        })??
    }
}
