use candle_core::{Device, Tensor, Var};

use super::*;
use crate::testing::{assert_close, check_gradients, flat, tensor, values, var, weights};

/// One case: (n, h, w, c) of the input, output channels, kernel, stride, padding and, for a transposed convolution,
/// output padding; then [`summary`] of the output and of the gradients of the input and the kernel.
struct Case {
    x: [usize; 4],
    o: usize,
    k: [usize; 2],
    stride: usize,
    padding: usize,
    output_padding: Option<usize>,
    expected: [[f32; 3]; 3],
}

impl Case {
    fn tensors(&self) -> (Var, Var) {
        let (c, [kh, kw]) = (self.x[3], self.k);
        let shape = if self.output_padding.is_some() { [c, self.o, kh, kw] } else { [self.o, c, kh, kw] };
        let kernel = values(c * self.o * kh * kw + 3)[3..].to_vec();
        let kernel = from_pytorch(&Tensor::from_vec(kernel, &shape, &Device::Cpu).unwrap()).unwrap();
        (var(&self.x), Var::from_tensor(&kernel).unwrap())
    }

    fn convolution(&self) -> Convolution {
        Convolution { stride: self.stride, padding: self.padding, transposed: self.output_padding }
    }
}

fn conv2d(stride: usize, padding: usize) -> Convolution {
    Convolution { stride, padding, transposed: None }
}

/// Output, and the gradients of input and kernel for the output's gradient.
fn pass(
    convolution: Convolution,
    x: &Tensor,
    kernel: &Tensor,
    dy: impl Fn(&Tensor) -> Tensor,
) -> [Tensor; 3] {
    let y = convolution.forward(x, kernel).unwrap();
    let dy = dy(&y);
    let dkernel = kernel.detach().zeros_like().unwrap();
    convolution.kernel_gradient(x, &dy, &dkernel, false).unwrap();
    [y, convolution.input_gradient(x.dims(), kernel, &dy).unwrap(), dkernel]
}

/// Σ tᵢ·(i + 1)/n, Σ |tᵢ| and the last value: enough to tell any two orders of the values apart.
fn summary(t: &Tensor) -> [f32; 3] {
    let t = flat(t);
    let n = t.len() as f64;
    let weighted: f64 = t.iter().enumerate().map(|(i, &v)| f64::from(v) * (i + 1) as f64 / n).sum();
    let absolute: f64 = t.iter().map(|&v| f64::from(v.abs())).sum();
    [weighted as f32, absolute as f32, t[t.len() - 1]]
}

// import torch, torch.nn.functional as F; torch.set_default_dtype(torch.float64)
// def values(n, skip=0): ...  # crate::testing::values, without its first `skip`
// def case(n, h, w, c, o, kh, kw, s, p, out=None):
//     x = values(n*h*w*c).reshape(n, h, w, c).requires_grad_(True); X = x.permute(0, 3, 1, 2)
//     k = values(c*o*kh*kw, 3).reshape((o, c, kh, kw) if out is None else (c, o, kh, kw)).requires_grad_(True)
//     y = F.conv2d(X, k, stride=s, padding=p) if out is None else F.conv_transpose2d(X, k, stride=s, padding=p, output_padding=out)
//     y = y.permute(0, 2, 3, 1); (y * values(y.numel(), 7).reshape(y.shape)).sum().backward()
//     s = lambda t: [(t * torch.arange(1, t.numel()+1).reshape(t.shape) / t.numel()).sum(), t.abs().sum(), t.flatten()[-1]]
//     print(s(y), s(x.grad), s(k.grad))
#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |x, o, k, stride, padding, output_padding, expected| {
        Case { x, o, k, stride, padding, output_padding, expected }
    };
    vec![
        case([2, 8, 8, 3], 4, [5, 5], 2, 2, None, [[-14.3184, 225.00504, 0.0953], [-3.76049, 421.38587, 0.7183], [-0.94152, 241.70457, 0.09485]]),
        case([1, 7, 5, 1], 2, [3, 3], 1, 1, None, [[1.26221, 50.84125, 0.54142], [0.6665, 61.4873, 0.92645], [-6.51931, 30.34461, -0.14052]]),
        case([3, 9, 6, 2], 3, [4, 2], 3, 0, None, [[-1.02332, 51.34048, -2.71688], [0.21052, 63.27109, 0.0], [0.68378, 32.87679, -0.78435]]),
        case([2, 5, 5, 4], 1, [1, 1], 2, 0, None, [[-2.56159, 12.03712, -0.32157], [0.11366, 19.1648, 0.5014], [0.52263, 1.31645, 0.02128]]),
        case([1, 6, 7, 2], 2, [3, 5], 2, 2, None, [[-0.87378, 34.81207, 2.46204], [-1.82931, 81.69384, 0.39725], [-1.3313, 33.5166, 0.11086]]),
        case([2, 4, 4, 4], 3, [5, 5], 2, 2, Some(1), [[10.73712, 457.56369, -0.20207], [-5.45016, 221.62194, 1.58064], [1.87177, 221.41587, -0.74177]]),
        case([1, 3, 5, 1], 2, [3, 3], 1, 1, Some(0), [[0.5257, 19.29815, -0.52393], [0.83659, 20.85677, -0.99124], [-0.76124, 15.21084, 1.08222]]),
        case([2, 3, 2, 2], 3, [4, 4], 3, 1, Some(2), [[-0.93153, 167.92067, 0.0], [1.64731, 29.00686, 2.28466], [4.63633, 71.44338, 0.49958]]),
        case([1, 4, 4, 3], 1, [1, 1], 1, 0, Some(0), [[0.99618, 9.9062, 0.77456], [0.02653, 10.67247, -0.07436], [-0.4877, 0.69521, -0.36516]]),
    ]
}

#[test]
fn agree_with_pytorch() {
    for (i, case) in cases().iter().enumerate() {
        let (x, kernel) = case.tensors();
        let [y, dx, dkernel] = pass(case.convolution(), &x, &kernel, weights);
        let ours = [&y, &dx, &dkernel.permute((3, 2, 0, 1)).unwrap()].map(summary);
        for (part, (ours, expected)) in ours.iter().zip(&case.expected).enumerate() {
            assert_close(ours, expected, 1e-4, &format!("case {i}, part {part}"));
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for case in cases() {
        let (x, kernel) = case.tensors();
        let convolution = case.convolution();
        let [_, dx, dkernel] = pass(convolution, &x, &kernel, weights);
        check_gradients(&[&x, &kernel], &[dx, dkernel], 5, 1e-2, 1e-3, || convolution.forward(&x, &kernel));
    }
}

#[test]
fn agree_with_candles_own() {
    let (x, kernel) = (tensor(&[3, 16, 16, 8]), tensor(&[12, 8, 5, 5]));
    let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let ours = conv2d(2, 2).forward(&x, &from_pytorch(&kernel).unwrap()).unwrap();
    let candles = nchw.conv2d(&kernel, 2, 2, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
    assert_close(&flat(&ours), &flat(&candles), 1e-4, "conv2d");
    let kernel = tensor(&[8, 12, 5, 5]);
    let transposed = Convolution { transposed: Some(1), ..conv2d(2, 2) };
    let ours = transposed.forward(&x, &from_pytorch(&kernel).unwrap()).unwrap();
    let candles = nchw.conv_transpose2d(&kernel, 2, 1, 2, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
    assert_close(&flat(&ours), &flat(&candles), 1e-4, "conv_transpose2d");
}

// Winograd's tiles against candle's direct convolution, whole tiles and parts of them; sums of 9·32 products of values in
// (-1, 1).
#[test]
fn tiles_agree_with_candles_own() {
    for (h, w, padding) in [(16, 16, 1), (8, 8, 1), (7, 5, 1), (6, 9, 0), (5, 4, 2)] {
        let (x, kernel) = (var(&[3, h, w, 32]), var(&[48, 32, 3, 3]));
        let own = Var::from_tensor(&from_pytorch(&kernel).unwrap()).unwrap();
        let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let candles = nchw.conv2d(&kernel, padding, 1, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
        let [ours, dx, dkernel] = pass(conv2d(1, padding), &x, &own, |y| tensor(y.dims()));
        assert_close(&flat(&ours), &flat(&candles), 1e-4, "forward");
        let graph = (&candles * tensor(candles.dims())).unwrap().sum_all().unwrap().backward().unwrap();
        assert_close(&flat(&dx), &flat(graph.get(&x).unwrap()), 1e-4, "input gradient");
        let expected = from_pytorch(graph.get(&kernel).unwrap()).unwrap();
        assert_close(&flat(&dkernel), &flat(&expected), 2e-4, "kernel gradient");
    }
}

#[test]
fn bits_do_not_depend_on_the_thread_count() {
    let few = (var(&[20, 16, 16, 3]), var(&[5, 5, 3, 8]), 2);
    let many = (var(&[20, 16, 16, 16]), var(&[5, 5, 16, 80]), 2);
    let tiles = (var(&[20, 16, 16, 32]), var(&[3, 3, 32, 32]), 1);
    let folded = (var(&[20, 16, 16, 32]), var(&[5, 5, 32, 80]), 2);
    for (x, kernel, stride) in [few, many, tiles, folded] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let convolution = conv2d(stride, kernel.dims()[0] / 2);
                pass(convolution, &x, &kernel, |y| (y * 2.0).unwrap()).map(|t| flat(&t))
            })
        };
        assert!(run(1) == run(3), "stride {stride}");
    }
}

/// A picture's maps are the same bits in whatever company it is run.
#[test]
fn bits_do_not_depend_on_the_other_pictures() {
    for (c, k, stride) in [(3, 5, 2), (32, 5, 2), (32, 4, 2), (32, 3, 1), (32, 3, 2)] {
        let (x, kernel) = (tensor(&[70, 16, 16, c]), tensor(&[k, k, c, 48]));
        let [convolution, transposed] =
            [None, Some(stride - 1)].map(|transposed| Convolution { stride, padding: 1, transposed });
        let turned = kernel.transpose(2, 3).unwrap().contiguous().unwrap();
        for (convolution, kernel) in [(convolution, &kernel), (transposed, &turned)] {
            let together = convolution.forward(&x, kernel).unwrap();
            let alone = convolution.forward(&x.narrow(0, 68, 1).unwrap(), kernel).unwrap();
            let what = format!("{c} channels, {k}x{k}, stride {stride}");
            assert!(flat(&together.narrow(0, 68, 1).unwrap()) == flat(&alone), "{what}");
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let message = |r: Result<Tensor>| r.unwrap_err().to_string();
    let x = tensor(&[1, 4, 4, 2]);
    let error = message(conv2d(1, 1).forward(&x, &tensor(&[3, 3, 5, 3])));
    assert!(error.contains("the kernel takes 5 channels, the input has 2"), "{error}");
    let error = message(conv2d(1, 1).forward(&x, &tensor(&[9, 9, 2, 3])));
    assert!(error.contains("kernel 9x9"), "{error}");
    let error =
        message(Convolution { transposed: Some(2), ..conv2d(2, 1) }.forward(&x, &tensor(&[3, 3, 3, 2])));
    assert!(error.contains("output padding 2"), "{error}");
}
