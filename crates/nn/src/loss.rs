//! Binary cross-entropy on logits.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use crate::{
    Result,
    storage::{slice, with_slice},
};

/// The mean over all logits x of max(x, 0) − x·t + ln(1 + e^−|x|), the binary cross-entropy of σ(x) against one
/// target t in `[0, 1]`, as a scalar. Stable for logits of any size, unlike the form that takes a logarithm of σ(x).
pub fn bce_with_logits(logits: &Tensor, target: f32) -> Result<Tensor> {
    Ok(logits.contiguous()?.apply_op1(BceWithLogits(target))?)
}

/// [`bce_with_logits`] as a number, and its gradient, of the logits' shape; carries no graph. Waits for a GPU.
pub fn bce_with_gradient(logits: &Tensor, target: f32) -> Result<(f64, Tensor)> {
    let logits = &logits.detach().contiguous()?;
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        let (loss, gradient) = crate::cuda::bce(logits, target)?;
        return Ok((f64::from(loss.to_scalar::<f32>()?), gradient));
    }
    let op = BceWithLogits(target);
    let loss = logits.apply_op1_no_bwd(&op)?.to_scalar::<f32>()?;
    Ok((f64::from(loss), op.gradient(logits, 1.0)?))
}

/// The gradient alone; does not wait for a GPU.
pub fn bce_gradient(logits: &Tensor, target: f32) -> Result<Tensor> {
    let logits = logits.detach().contiguous()?;
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return Ok(crate::cuda::bce(&logits, target)?.1);
    }
    Ok(BceWithLogits(target).gradient(&logits, 1.0)?)
}

struct BceWithLogits(f32);

impl BceWithLogits {
    fn gradient(&self, logits: &Tensor, scale: f32) -> candle_core::Result<Tensor> {
        let scale = scale / logits.elem_count() as f32;
        let dx = with_slice(logits, "bce_with_logits", |logits| {
            Ok(logits.iter().map(|&x| scale * (sigmoid(x) - self.0)).collect::<Vec<f32>>())
        })?;
        Tensor::from_vec(dx, logits.shape(), logits.device())
    }
}

impl CustomOp1 for BceWithLogits {
    fn name(&self) -> &'static str {
        "bce_with_logits"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = slice(logits, layout, self.name())?;
        let target = f64::from(self.0);
        let sum: f64 = logits
            .iter()
            .map(|&x| f64::from(x))
            .map(|x| x.max(0.0) - x * target + (-x.abs()).exp().ln_1p())
            .sum();
        let mean = sum / logits.len() as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.gradient(logits, gradient.to_scalar::<f32>()?)?))
    }
}

/// σ(x) = 1 / (1 + e^−x) without overflow.
fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::testing::{assert_close, flat};

    // import torch
    // x = torch.tensor([-200., -3., -.5, 0., .5, 3., 200.], requires_grad=True)
    // for t in (0., 1.):
    //     x.grad = None
    //     l = torch.nn.functional.binary_cross_entropy_with_logits(x, torch.full_like(x, t)); l.backward()
    //     print(l.item(), x.grad.tolist())
    #[test]
    fn agrees_with_pytorch_also_where_logits_are_large() {
        let x = Var::new(&[-200f32, -3.0, -0.5, 0.0, 0.5, 3.0, 200.0], &Device::Cpu).unwrap();
        let expected = [
            [0.0, 0.0067751247, 0.0539343813, 0.0714285714, 0.0889227616, 0.1360820181, 0.1428571429],
            [-0.1428571429, -0.1360820181, -0.0889227616, -0.0714285714, -0.0539343813, -0.0067751247, 0.0],
        ];
        for (target, gradient) in [0.0, 1.0].into_iter().zip(expected) {
            let ours = bce_with_logits(&x, target).unwrap();
            assert_close(&[ours.to_scalar().unwrap()], &[29.319_782], 1e-6, "loss");
            let gradients = ours.backward().unwrap();
            assert_close(&flat(gradients.get(&x).unwrap()), &gradient, 1e-6, "gradient");
            let (loss, without_graph) = bce_with_gradient(&x, target).unwrap();
            assert_close(&[loss as f32], &[29.319_782], 1e-6, "loss");
            assert_close(&flat(&without_graph), &gradient, 1e-6, "gradient without a graph");
            assert_eq!(flat(&bce_gradient(&x, target).unwrap()), flat(&without_graph));
        }
    }
}
