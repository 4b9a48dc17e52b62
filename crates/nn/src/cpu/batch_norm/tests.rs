use candle_core::{Device, Result, Tensor, Var};

use super::*;
use crate::{
    cpu::Cpu,
    kernels::{Kernels, Norm, Sum},
    testing::{assert_close, check_gradients, flat, tensor, values, var, weights},
};

fn statistics(x: &Tensor) -> Statistics {
    Cpu.statistics_to_host(&Cpu.statistics(x).unwrap()).unwrap()
}

fn normalised(x: &Tensor, (gain, bias): (&Tensor, &Tensor), slope: f32) -> Result<Tensor> {
    let statistics = &Cpu.statistics(x)?;
    Cpu.normalise(x, Norm { statistics, gain, bias, slope, across: None }, false)
}

/// The gradients of x, gain and bias for the gradient [`weights`] of the output.
fn gradients(x: &Tensor, (gain, bias): (&Tensor, &Tensor), slope: f32) -> [Tensor; 3] {
    let statistics = &Cpu.statistics(x).unwrap();
    let norm = Norm { statistics, gain, bias, slope, across: None };
    let y = Cpu.normalise(x, norm, false).unwrap();
    let dy = weights(&y);
    let [dgain, dbias] = [gain, bias].map(|t| t.detach().zeros_like().unwrap());
    let sums = [&dgain, &dbias].map(|tensor| Sum { tensor, adds: false });
    Cpu.normalise_backward([x, &y, &dy], norm, Some(sums)).unwrap();
    [dy, dgain, dbias]
}

fn parameters(c: usize) -> (Var, Var) {
    let gain = values(c).iter().map(|v| v + 1.0).collect::<Vec<_>>();
    let bias = values(c + 5)[5..].to_vec();
    let var = |values: Vec<f32>| Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
    (var(gain), var(bias))
}

// x = values(36).reshape(2, 2, 3, 3)   # values: crate::testing::values, float64, channels last
// m, v = x.mean((0, 1, 2)), x.var((0, 1, 2), unbiased=False)
// y = F.leaky_relu(g * (x - m) / torch.sqrt(v + 1e-8) + b, 0.2)
// (y * values(43)[7:].reshape(y.shape)).sum().backward()
#[test]
fn agrees_with_pytorch() {
    let x = var(&[2, 2, 3, 3]);
    let (gain, bias) = parameters(3);
    let y = normalised(&x, (&gain, &bias), 0.2).unwrap();
    let expected = [-0.071684, 2.013684, 1.387937, -0.142893, 0.93307, 0.72508, -0.214102, -0.029509];
    assert_close(&flat(&y)[..8], &expected, 1e-5, "y");
    let [dx, dgain, dbias] = gradients(&x, (&gain, &bias), 0.2);
    let expected = [0.147976, 0.423914, 1.766801, -0.044009, -1.096045, 1.0468, -0.235995, 0.213474];
    assert_close(&flat(&dx)[..8], &expected, 1e-5, "dx");
    assert_close(&flat(&dgain), &[-2.468647, -2.603321, -0.552], 1e-5, "dgain");
    assert_close(&flat(&dbias), &[-1.443275, -2.06685, 1.495522], 1e-5, "dbias");
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (shape, slope) in [([3, 4, 2, 5], 0.2), ([7, 1, 1, 4], 0.0), ([2, 3, 3, 1], 1.0)] {
        let x = var(&shape);
        let (gain, bias) = parameters(shape[3]);
        let ours = gradients(&x, (&gain, &bias), slope);
        check_gradients(&[&x, &gain, &bias], &ours, 1, 2e-3, 2e-2, || {
            Ok(normalised(&x, (&gain, &bias), slope)?)
        });
    }
}

#[test]
fn sums_over_many_chunks_do_not_depend_on_the_thread_count() {
    let x = tensor(&[64, 16, 16, 8]);
    let (gain, bias) = parameters(8);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (flat(&normalised(&x, (&gain, &bias), 0.2).unwrap()), statistics(&x)))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_large_mean_keeps_the_variance_exact() {
    let x = (tensor(&[1000, 2]) * 1e-2).unwrap();
    let expected = statistics(&x);
    let moved = statistics(&(&x + 1e3).unwrap());
    for (a, b) in expected.variance.iter().zip(moved.variance) {
        // f32 itself holds 1000.01 only to 3e-5.
        assert!((a / b - 1.0).abs() < 1e-2, "{a} {b}");
    }
}

#[test]
fn given_statistics_are_used_and_mismatches_refused() {
    let x = tensor(&[2, 2, 2, 3]);
    let (gain, bias) = parameters(3);
    let own = statistics(&x);
    let given = Cpu.statistics_from(&own).unwrap();
    let norm = Norm { statistics: &given, gain: &gain, bias: &bias, slope: 0.2, across: None };
    let with = Cpu.normalise(&x, norm, true).unwrap();
    assert_eq!(flat(&with), flat(&x), "in place");
    let x = tensor(&[2, 2, 2, 3]);
    assert_eq!(flat(&with), flat(&normalised(&x, (&gain, &bias), 0.2).unwrap()));
    assert!(Cpu.normalise(&tensor(&[2, 2, 3, 2]), norm, false).is_err());
    let (gain, bias) = parameters(4);
    assert!(normalised(&x, (&gain, &bias), 0.2).is_err());
}
