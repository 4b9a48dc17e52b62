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

/// Σ f(…)·r with fixed r, in f64: a loss whose gradient reaches every output with a different weight.
pub(crate) fn probe(output: &Tensor) -> f64 {
    let weights = values(output.elem_count() + 7);
    flat(output).iter().zip(&weights[7..]).map(|(&o, &w)| f64::from(o) * f64::from(w)).sum()
}

/// Checks the gradients of `f`'s [`probe`] for every variable at every `stride`-th element against central differences
/// of half-width `h`.
pub(crate) fn check_gradients(
    variables: &[&Var],
    stride: usize,
    h: f32,
    tolerance: f64,
    f: impl Fn() -> Result<Tensor>,
) {
    let output = f().unwrap();
    let weights = values(output.elem_count() + 7)[7..].to_vec();
    let weights = Tensor::from_vec(weights, output.shape(), &Device::Cpu).unwrap();
    let gradients = (output * weights).unwrap().sum_all().unwrap().backward().unwrap();
    for (v, variable) in variables.iter().enumerate() {
        let ours = flat(gradients.get(variable).unwrap());
        let original = flat(variable);
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
