//! The CPU's kernels, over maps of f32 or of bf16: what is computed is f32 either way but for the products of convolutions. Work is cut by sizes alone and every sum has a fixed order: the same values give the same bits, whatever the
//! number of threads.

mod batch_norm;
mod conv;
mod elementwise;
mod loss;
mod pictures;

pub(crate) use self::conv::{Fixed, Place};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use half::bf16;

pub(crate) use self::elementwise::adam;

use self::batch_norm::{Scaling, channels};
use crate::{
    activation::Activation,
    batch_norm::Statistics,
    element::Element,
    geometry::Geometry,
    kernels::{AdamStep, Kernels, Norm, Product, Sum},
    storage::{read, write},
};

/// All cores of this machine.
pub(crate) struct Cpu;

fn made<E: Element>(values: Vec<E>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

fn is_bf16(x: &Tensor) -> bool {
    x.dtype() == DType::BF16
}

/// a·b in f32.
fn wide_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.to_dtype(DType::F32)?.matmul(&b.to_dtype(DType::F32)?)
}

impl Kernels for Cpu {
    fn network_input(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
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

    fn matmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        wide_product(a, b)?.to_dtype(a.dtype())
    }

    fn join(&self, x: &Tensor, labels: &Tensor) -> Result<Tensor> {
        if is_bf16(x) { join::<bf16>(x, labels) } else { join::<f32>(x, labels) }
    }

    fn front(&self, kernel: &Tensor, dim: usize, n: usize) -> Result<Tensor> {
        kernel.narrow(dim, 0, n)?.contiguous()
    }

    fn blend(&self, to: &Tensor, factor: f32, x: Option<&Tensor>, weight: f32) -> Result<()> {
        match is_bf16(to) {
            true => blend::<bf16>(to, factor, x, weight),
            false => blend::<f32>(to, factor, x, weight),
        }
    }

    fn multiply(&self, x: &Tensor, by: &Tensor) -> Result<Tensor> {
        if is_bf16(x) { multiply::<bf16>(x, by) } else { multiply::<f32>(x, by) }
    }

    fn prepared(&self, kernel: &Tensor) -> Result<Tensor> {
        Ok(kernel.clone())
    }

    fn convolve(&self, product: Product, g: &Geometry, input: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        match is_bf16(input) {
            true => convolve::<bf16>(product, g, input, kernel),
            false => convolve::<f32>(product, g, input, kernel),
        }
    }

    fn kernel_gradient(&self, g: &Geometry, images: &Tensor, maps: &Tensor, to: Sum<'_>) -> Result<()> {
        let operands = [images, maps];
        match is_bf16(images) {
            true => write::<f32, bf16, 2, _>(to.tensor, operands, |sum, [images, maps]| {
                conv::kernel_gradient(g, images, maps, sum, to.adds);
            }),
            false => write::<f32, f32, 2, _>(to.tensor, operands, |sum, [images, maps]| {
                conv::kernel_gradient(g, images, maps, sum, to.adds);
            }),
        }
    }

    /// f64 (2, c): means and variances.
    fn statistics(&self, x: &Tensor) -> Result<Tensor> {
        let c = channels(x.dims())?;
        self.statistics_from(&match is_bf16(x) {
            true => read([x], |[x]: [&[bf16]; 1]| batch_norm::measure(x, c))?,
            false => read([x], |[x]: [&[f32]; 1]| batch_norm::measure(x, c))?,
        })
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
        match is_bf16(x) {
            true => scale::<bf16>(&scaling, x, in_place),
            false => scale::<f32>(&scaling, x, in_place),
        }
    }

    fn normalise_backward(
        &self,
        values: [&Tensor; 3],
        norm: Norm<'_>,
        sums: Option<[Sum<'_>; 2]>,
    ) -> Result<()> {
        let (dgain, dbias) = match is_bf16(values[0]) {
            true => self.normalise_backward_of::<bf16>(values, norm)?,
            false => self.normalise_backward_of::<f32>(values, norm)?,
        };
        for (sum, values) in sums.into_iter().flatten().zip([dgain, dbias]) {
            write::<f32, f32, 0, _>(sum.tensor, [], |to, []| {
                elementwise::add_channels(to, &values, sum.adds);
            })?;
        }
        Ok(())
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<()> {
        match is_bf16(x) {
            true => write::<bf16, bf16, 0, _>(x, [], |x, []| elementwise::activate(x, activation)),
            false => write::<f32, f32, 0, _>(x, [], |x, []| elementwise::activate(x, activation)),
        }
    }

    fn activate_backward(&self, y: &Tensor, dy: &Tensor, activation: Activation) -> Result<()> {
        match is_bf16(y) {
            true => write::<bf16, bf16, 1, _>(dy, [y], |dy, [y]| {
                elementwise::activate_backward(y, dy, activation);
            }),
            false => write::<f32, f32, 1, _>(dy, [y], |dy, [y]| {
                elementwise::activate_backward(y, dy, activation);
            }),
        }
    }

    fn accumulate(&self, to: Sum<'_>, term: &Tensor) -> Result<()> {
        let term = term.to_dtype(DType::F32)?;
        write::<f32, f32, 1, _>(to.tensor, [&term], |sum, [term]| elementwise::accumulate(sum, term, to.adds))
    }

    fn accumulate_product(&self, to: Sum<'_>, a: &Tensor, b: &Tensor) -> Result<()> {
        self.accumulate(to, &wide_product(a, b)?)
    }

    fn bce(&self, logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)> {
        let wide = logits.to_dtype(DType::F32)?;
        let (loss, gradient) = read([&wide], |[logits]| loss::bce(logits, target))?;
        let gradient = made::<f32>(gradient, logits.shape())?.to_dtype(logits.dtype())?;
        Ok((made::<f32>(vec![loss], ())?, gradient))
    }

    fn sum_of_squares(&self, tensors: &[&Tensor]) -> Result<f64> {
        tensors.iter().try_fold(0.0, |sum, tensor| {
            Ok(sum + read([&tensor.contiguous()?], |[values]| elementwise::sum_of_squares(values))?)
        })
    }

    fn max_pool(&self, maps: &[Tensor], grid: usize) -> Result<Tensor> {
        match maps.first().is_some_and(is_bf16) {
            true => pictures::max_pool::<bf16>(maps, grid),
            false => pictures::max_pool::<f32>(maps, grid),
        }
    }

    fn adam(
        &self,
        p: &Tensor,
        gradient: &Tensor,
        [mean, square]: &[Tensor; 2],
        step: AdamStep,
    ) -> Result<()> {
        write::<f32, f32, 1, _>(p, [gradient], |p, [g]| {
            write::<f32, f32, 0, _>(mean, [], |m, []| {
                write::<f32, f32, 0, _>(square, [], |v, []| elementwise::adam([p, m, v], g, step))
            })
        })??
    }
}

impl Cpu {
    fn normalise_backward_of<E: Element>(
        &self,
        [x, y, dy]: [&Tensor; 3],
        norm: Norm<'_>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let statistics = self.statistics_to_host(norm.statistics)?;
        let gain: Vec<f32> = read([norm.gain], |[gain]: [&[f32]; 1]| gain.to_vec())?;
        write(dy, [x, y], |dy: &mut [E], [x, y]: [&[E]; 2]| {
            batch_norm::backward(norm.slope, &statistics, &gain, [x, y], dy, norm.across)
        })?
    }
}

fn join<E: Element>(x: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (n, k) = labels.dims2()?;
    let mut shape = x.dims().to_vec();
    let c = channels(&shape)?;
    if let Some(last) = shape.last_mut() {
        *last += k;
    }
    made::<E>(read([x, labels], |[x, labels]| elementwise::join(x, labels, [n, c, k]))?, shape)
}

fn blend<E: Element>(to: &Tensor, factor: f32, x: Option<&Tensor>, weight: f32) -> Result<()> {
    match x {
        Some(x) => {
            write::<E, E, 1, _>(to, [x], |to, [x]| elementwise::blend(to, factor, |i| weight * x[i].wide()))
        }
        None => write::<E, E, 0, _>(to, [], |to, []| elementwise::blend(to, factor, |_| weight)),
    }
}

fn multiply<E: Element>(x: &Tensor, by: &Tensor) -> Result<Tensor> {
    made::<E>(read([x, by], |[x, by]| elementwise::multiply::<E>(x, by))?, x.shape())
}

fn convolve<E: conv::Multiplied>(
    product: Product,
    g: &Geometry,
    input: &Tensor,
    kernel: &Tensor,
) -> Result<Tensor> {
    let run = |[input]: [&[E]; 1]| {
        read([kernel], |[kernel]| match product {
            Product::Forward => (conv::forward(g, input, kernel), (g.n, g.oh, g.ow, g.o)),
            Product::Data => (conv::input_gradient(g, input, kernel), (g.n, g.h, g.w, g.c)),
        })
    };
    let (values, shape) = read([input], run)??;
    made(values, shape)
}

fn scale<E: Element>(scaling: &Scaling, x: &Tensor, in_place: bool) -> Result<Tensor> {
    if !in_place {
        return made::<E>(read([x], |[x]| scaling.apply(x))?, x.shape());
    }
    write::<E, E, 0, _>(x, [], |x, []| scaling.apply_in_place(x))?;
    Ok(x.clone())
}
