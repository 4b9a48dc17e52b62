//! LeakyReLU and ReLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Result,
    storage::{slice, with_slice},
};

/// Values a task handles.
const CHUNK: usize = 1 << 14;

/// max(x, slope·x), element by element: LeakyReLU for 0 < slope < 1, ReLU for slope 0.
pub fn leaky_relu(x: &Tensor, slope: f32) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(LeakyRelu(slope))?)
}

struct LeakyRelu(f32);

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = slice(x, layout, self.name())?;
        let mut y = vec![0.0; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x > 0.0 { x } else { self.0 * x });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = gradient.contiguous()?;
        let dx = with_slice(x, self.name(), |x| {
            with_slice(&dy, self.name(), |dy| {
                let mut dx = vec![0.0; x.len()];
                dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK)).for_each(
                    |((dx, x), dy)| {
                        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                            *dx = if x > 0.0 { dy } else { self.0 * dy };
                        }
                    },
                );
                Ok(dx)
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradients, flat, var};

    #[test]
    fn values_and_gradient() {
        let x = var(&[2, 3, 5]);
        for slope in [0.0, 0.2] {
            let y = flat(&leaky_relu(&x, slope).unwrap());
            for (y, x) in y.iter().zip(flat(&x)) {
                assert_eq!(*y, x.max(slope * x));
            }
            check_gradients(&[&x], 1, 1e-3, 1e-3, || leaky_relu(&x, slope));
        }
    }
}
