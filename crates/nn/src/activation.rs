//! LeakyReLU and ReLU, and their guided form for visualising.

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

/// As [`leaky_relu`], but backwards a *guided* ReLU (Springenberg et al. 2015, section 6.2 of the paper): only a positive
/// gradient passes, and only where the input was positive,
/// dx = dy where x > 0 and dy > 0, and 0 elsewhere.
///
/// Guided back-propagation is stated for ReLU. Of a LeakyReLU the same rule is taken: what its slope lets through of negative
/// inputs is left out.
pub fn guided_leaky_relu(x: &Tensor, slope: f32) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(GuidedLeakyRelu(LeakyRelu(slope)))?)
}

struct GuidedLeakyRelu(LeakyRelu);

impl CustomOp1 for GuidedLeakyRelu {
    fn name(&self) -> &'static str {
        "guided_leaky_relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(x, layout)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let dy = gradient.contiguous()?;
        let dx: Vec<f32> = with_slice(x, self.name(), |x| {
            with_slice(&dy, self.name(), |dy| {
                Ok(x.iter().zip(dy).map(|(&x, &dy)| if x > 0.0 { dy.max(0.0) } else { 0.0 }).collect())
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, Var};

    use super::*;
    use crate::conv::{conv2d, from_pytorch};
    use crate::testing::{assert_close, check_gradients, flat, values, var};

    #[test]
    fn guided_gradients_known_by_hand() {
        let x = Var::new(&[3.0_f32, 3.0, -3.0, -3.0, 0.0], &Device::Cpu).unwrap();
        let y = guided_leaky_relu(&x, 0.2).unwrap();
        assert_close(&flat(&y), &[3.0, 3.0, -0.6, -0.6, 0.0], 1e-6, "forward");
        let weights = Tensor::new(&[2.0_f32, -2.0, 2.0, -2.0, 2.0], &Device::Cpu).unwrap();
        let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(gradients.get(&x).unwrap()), [2.0, 0.0, 0.0, 0.0, 0.0]);
    }

    // PyTorch 2.15, float64; values(n, k) as in `testing`, from i = k on:
    //   class Guided(torch.autograd.Function):
    //       @staticmethod
    //       def forward(ctx, x): ctx.save_for_backward(x); return F.leaky_relu(x, 0.2)
    //       @staticmethod
    //       def backward(ctx, dy): x, = ctx.saved_tensors; return dy.clamp(min=0) * (x > 0)
    //   x = values(2*8*8, 0).view(1, 2, 8, 8); w1 = values(3*2*25, 1).view(3, 2, 5, 5); w2 = values(4*3*25, 2).view(4, 3, 5, 5)
    //   h = Guided.apply(F.conv2d(x, w1, stride=2, padding=2)); h = Guided.apply(F.conv2d(h, w2, stride=2, padding=2))
    //   h[0, 0, 1, 0].backward(); g = x.grad.permute(0, 2, 3, 1).flatten()
    //   print(h[0, 0, 1, 0], (g != 0).sum(), g.sum(), (g * torch.arange(1, 129) / 128).sum())
    #[test]
    fn guided_gradients_agree_with_pytorch() {
        let shifted = |n: usize, k: usize| values(n + k)[k..].to_vec();
        let planes =
            |values: Vec<f32>, shape: [usize; 4]| Tensor::from_vec(values, &shape, &Device::Cpu).unwrap();
        let x = planes(shifted(128, 0), [1, 2, 8, 8]).permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let kernels = [planes(shifted(150, 1), [3, 2, 5, 5]), planes(shifted(300, 2), [4, 3, 5, 5])];
        let mut h = x.as_tensor().clone();
        for kernel in kernels {
            h = guided_leaky_relu(&conv2d(&h, &from_pytorch(&kernel).unwrap(), 2, 2).unwrap(), 0.2).unwrap();
        }
        let unit = h.narrow(1, 1, 1).unwrap().narrow(2, 0, 1).unwrap().narrow(3, 0, 1).unwrap();
        let gradients = unit.sum_all().unwrap().backward().unwrap();
        let gradient = flat(gradients.get(&x).unwrap());
        let weighted: f32 = gradient.iter().enumerate().map(|(i, g)| g * (i + 1) as f32 / 128.0).sum();
        let non_zero = gradient.iter().filter(|&&g| g != 0.0).count();
        let ours = [flat(&unit)[0], non_zero as f32, gradient.iter().sum(), weighted];
        assert_close(&ours, &PYTORCH, 1e-4, "unit, non-zero, sum, weighted sum");
    }

    const PYTORCH: [f32; 4] = [3.030_024_2, 80.0, -4.481_623_4, -1.501_781_2];

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
