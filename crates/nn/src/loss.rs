//! Binary cross-entropy on logits: the mean over all logits x of max(x, 0) − x·t + ln(1 + e^−|x|), that is, of σ(x) against one
//! target t in `[0, 1]`. It is stable for logits of any size, unlike the form that takes a logarithm of σ(x).

use candle_core::Tensor;

use crate::{Result, device};

/// The loss as a number, and its gradient (σ(x) − t)/n, of the logits' shape. Waits for a GPU.
pub fn bce_with_gradient(logits: &Tensor, target: f32) -> Result<(f64, Tensor)> {
    let (loss, gradient) = bce(logits, target)?;
    Ok((f64::from(loss.to_scalar::<f32>()?), gradient))
}

/// The gradient alone; does not wait for a GPU.
pub fn bce_gradient(logits: &Tensor, target: f32) -> Result<Tensor> {
    Ok(bce(logits, target)?.1)
}

fn bce(logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)> {
    let logits = logits.detach().contiguous()?;
    Ok(device::kernels(logits.device())?.bce(&logits, target)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

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
        let x = Tensor::new(&[-200f32, -3.0, -0.5, 0.0, 0.5, 3.0, 200.0], &Device::Cpu).unwrap();
        let expected = [
            [0.0, 0.0067751247, 0.0539343813, 0.0714285714, 0.0889227616, 0.1360820181, 0.1428571429],
            [-0.1428571429, -0.1360820181, -0.0889227616, -0.0714285714, -0.0539343813, -0.0067751247, 0.0],
        ];
        for (target, gradient) in [0.0, 1.0].into_iter().zip(expected) {
            let (loss, ours) = bce_with_gradient(&x, target).unwrap();
            assert_close(&[loss as f32], &[29.319_782], 1e-6, "loss");
            assert_close(&flat(&ours), &gradient, 1e-6, "gradient");
            assert_eq!(flat(&bce_gradient(&x, target).unwrap()), flat(&ours));
        }
    }
}
