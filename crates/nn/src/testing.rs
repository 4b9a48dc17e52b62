//! What the tests of several modules share.

use candle_core::{Device, Tensor, Var};

use crate::Result;

/// Fixed values in (-1, 1), shuffled enough to tell indices apart: frac(0.37 + 0.618034·i)·2 − 1, in f64 like NumPy's.
pub(crate) fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (((0.37 + 0.618034 * i as f64).fract()) * 2.0 - 1.0) as f32).collect()
}

pub(crate) fn tensor(shape: &[usize]) -> Tensor {
    Tensor::from_vec(values(shape.iter().product()), shape, &Device::Cpu).unwrap()
}

pub(crate) fn var(shape: &[usize]) -> Var {
    Var::from_tensor(&tensor(shape)).unwrap()
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.contiguous().unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn assert_close(ours: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}: lengths");
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}[{i}]: ours {a}, expected {b}");
    }
}

/// The weights of [`probe`].
pub(crate) fn weights(output: &Tensor) -> Tensor {
    let weights = values(output.elem_count() + 7)[7..].to_vec();
    Tensor::from_vec(weights, output.shape(), &Device::Cpu).unwrap()
}

/// Σ output·r with fixed r, in f64: a loss whose gradient, r, reaches every output with a different weight.
pub(crate) fn probe(output: &Tensor) -> f64 {
    flat(output).iter().zip(flat(&weights(output))).map(|(&o, w)| f64::from(o) * f64::from(w)).sum()
}

/// Checks `gradients` of `f`'s [`probe`], one for every variable, at every `stride`-th element against central differences
/// of half-width `h`.
pub(crate) fn check_gradients(
    variables: &[&Var],
    gradients: &[Tensor],
    stride: usize,
    h: f32,
    tolerance: f64,
    f: impl Fn() -> Result<Tensor>,
) {
    assert_eq!(variables.len(), gradients.len());
    for (v, (variable, gradient)) in variables.iter().zip(gradients).enumerate() {
        let (ours, original) = (flat(gradient), flat(variable));
        for i in (0..original.len()).step_by(stride) {
            let at = |delta: f32| {
                let mut moved = original.clone();
                moved[i] += delta;
                variable.set(&Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap()).unwrap();
                probe(&f().unwrap())
            };
            let numeric = (at(h) - at(-h)) / (2.0 * f64::from(h));
            let error = (f64::from(ours[i]) - numeric).abs();
            assert!(
                error <= tolerance * numeric.abs().max(1.0),
                "variable {v}[{i}]: ours {}, numeric {numeric}",
                ours[i]
            );
        }
        variable.set(&Tensor::from_vec(original, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}
