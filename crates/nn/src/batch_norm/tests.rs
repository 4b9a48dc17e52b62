use super::*;
use crate::testing::{assert_close, check_gradients, flat, tensor, values, var};
use candle_core::{Device, Var};

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
    let y = batch_norm(&x, &gain, &bias, 0.2).unwrap();
    let expected = [-0.071684, 2.013684, 1.387937, -0.142893, 0.93307, 0.72508, -0.214102, -0.029509];
    assert_close(&flat(&y)[..8], &expected, 1e-5, "y");
    let weights = Tensor::from_vec(values(43)[7..].to_vec(), y.shape(), &Device::Cpu).unwrap();
    let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = |v: &Var| flat(gradients.get(v).unwrap());
    let expected = [0.147976, 0.423914, 1.766801, -0.044009, -1.096045, 1.0468, -0.235995, 0.213474];
    assert_close(&gradient(&x)[..8], &expected, 1e-5, "dx");
    assert_close(&gradient(&gain), &[-2.468647, -2.603321, -0.552], 1e-5, "dgain");
    assert_close(&gradient(&bias), &[-1.443275, -2.06685, 1.495522], 1e-5, "dbias");
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (shape, slope) in [([3, 4, 2, 5], 0.2), ([7, 1, 1, 4], 0.0), ([2, 3, 3, 1], 1.0)] {
        let x = var(&shape);
        let (gain, bias) = parameters(shape[3]);
        check_gradients(&[&x, &gain, &bias], 1, 2e-3, 2e-2, || batch_norm(&x, &gain, &bias, slope));
    }
}

#[test]
fn sums_over_many_chunks_do_not_depend_on_the_thread_count() {
    let x = tensor(&[64, 16, 16, 8]);
    let (gain, bias) = parameters(8);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (flat(&batch_norm(&x, &gain, &bias, 0.2).unwrap()), statistics(&x).unwrap()))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_large_mean_keeps_the_variance_exact() {
    let x = (tensor(&[1000, 2]) * 1e-2).unwrap();
    let expected = statistics(&x).unwrap();
    let moved = statistics(&(&x + 1e3).unwrap()).unwrap();
    for (a, b) in expected.variance.iter().zip(moved.variance) {
        // f32 itself holds 1000.01 only to 3e-5.
        assert!((a / b - 1.0).abs() < 1e-2, "{a} {b}");
    }
}

#[test]
fn given_statistics_are_used_and_mismatches_refused() {
    let x = tensor(&[2, 2, 2, 3]);
    let (gain, bias) = parameters(3);
    let own = statistics(&x).unwrap();
    let with = batch_norm_with(&x, &gain, &bias, &own, 0.2).unwrap();
    assert_eq!(flat(&with), flat(&batch_norm(&x, &gain, &bias, 0.2).unwrap()));
    let (gain, bias) = parameters(4);
    assert!(batch_norm(&x, &gain, &bias, 0.2).is_err());
}
