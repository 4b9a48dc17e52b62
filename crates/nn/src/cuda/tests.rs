//! CPU and GPU agree. Without a GPU these tests say so and pass; where `DCGAN_REQUIRE_GPU` is set they fail.

use candle_core::{DType, Tensor, Var};

use crate::{
    activation::Activation,
    adam::{Adam, AdamConfig},
    arithmetic::{blend, multiply},
    batch_norm::Statistics,
    conv::Convolution,
    device::{self, Device, DeviceChoice, Math},
    labels::one_hot,
    layer::{Gradients, Layer, Map, gradients_of, prepare, stack_backward, stack_trace},
    loss::{bce_gradient, bce_with_gradient},
    norm::norm,
    pixels::{to_activations, to_pixels},
    pool::max_pool,
    testing::{flat, tensor, values},
};

fn gpu(math: Math) -> Option<Device> {
    match DeviceChoice::Cuda(0, math).open() {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(std::env::var_os("DCGAN_REQUIRE_GPU").is_none(), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// How far results may be apart, as a share of the expected values' root mean square: bf16 has 8 bits of fraction,
/// TF32 10; f32 sums are taken in another order.
const TOLERANCES: [(Math, f32); 3] = [(Math::F32, 1e-4), (Math::Tf32, 5e-3), (Math::Bf16, 5e-2)];

fn host(tensor: &Tensor) -> Vec<f32> {
    flat(&tensor.to_device(&Device::CPU).unwrap().to_dtype(DType::F32).unwrap())
}

fn assert_near(ours: &Tensor, expected: &Tensor, tolerance: f32, what: &str) {
    assert_eq!(ours.dims(), expected.dims(), "{what}");
    let (ours, expected) = (host(ours), host(expected));
    let scale = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
    for (i, (a, b)) in ours.iter().zip(&expected).enumerate() {
        // Written so that a NaN fails.
        assert!(
            (a - b).abs() <= tolerance * scale.max(b.abs()).max(1e-6),
            "{what}[{i}]: GPU {a}, CPU {b}, scale {scale}"
        );
    }
}

/// Fixed values that differ from those of another `k`.
fn filled(shape: &[usize], k: usize) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec(values(n + k)[k..].to_vec(), shape, &Device::CPU).unwrap()
}

fn on(device: &Device, tensor: &Tensor, math: Math) -> Tensor {
    let there = device::tensor(flat(tensor), tensor.dims(), device).unwrap();
    if math == Math::Bf16 { device.network_input(&there).unwrap() } else { there }
}

#[test]
fn convolutions_agree() {
    // Input, other channels, kernel, stride, padding, output padding of a transposed one.
    type Case = ([usize; 4], usize, usize, usize, usize, Option<usize>);
    let cases: [Case; 9] = [
        ([2, 16, 16, 3], 8, 5, 2, 2, None),
        ([2, 8, 8, 16], 32, 5, 2, 2, None),
        ([3, 8, 8, 8], 16, 3, 1, 1, None),
        ([2, 8, 8, 8], 8, 3, 2, 1, None),
        ([1, 7, 5, 1], 2, 3, 1, 1, None),
        ([2, 4, 4, 32], 16, 5, 2, 2, Some(1)),
        ([2, 8, 8, 8], 3, 5, 2, 2, Some(1)),
        ([2, 8, 8, 8], 16, 3, 1, 1, Some(0)),
        ([1, 3, 2, 5], 3, 4, 3, 1, Some(2)),
    ];
    for (math, tolerance) in TOLERANCES {
        let Some(gpu) = gpu(math) else { return };
        for (i, (x, other, k, stride, padding, transposed)) in cases.into_iter().enumerate() {
            let convolution = Convolution { stride, padding, transposed };
            let kernel = match transposed {
                None => filled(&[k, k, x[3], other], 3),
                Some(_) => filled(&[k, k, other, x[3]], 3),
            };
            let x = filled(&x, 0);
            let y = convolution.forward(&x, &kernel).unwrap();
            let dy = filled(y.dims(), 7);
            let [x_there, dy_there] = [&x, &dy].map(|t| on(&gpu, t, math));
            let kernel_there = on(&gpu, &kernel, Math::F32);
            let what = |part: &str| format!("{math:?}, case {i}, {part}");
            let layer = Layer {
                map: Map::Convolution(convolution),
                kernel: kernel_there.clone(),
                norm: None,
                activation: Activation::Leaky(1.0),
            };
            let prepared = layer.prepared().unwrap().kernel;
            assert_eq!(prepared.dims(), kernel.dims());
            for (kernel_there, order) in [(&kernel_there, "as it is"), (&prepared, "prepared")] {
                let ours = convolution.forward(&x_there, kernel_there).unwrap();
                assert_near(&ours, &y, tolerance, &what(&format!("forward, kernel {order}")));
                let ours = convolution.input_gradient(x.dims(), kernel_there, &dy_there).unwrap();
                let expected = convolution.input_gradient(x.dims(), &kernel, &dy).unwrap();
                assert_near(&ours, &expected, tolerance, &what(&format!("input gradient, kernel {order}")));
            }
            let expected = kernel.zeros_like().unwrap();
            let ours = Tensor::zeros(kernel.dims(), DType::F32, &gpu).unwrap();
            for adds in [false, true] {
                convolution.kernel_gradient(&x, &dy, &expected, adds).unwrap();
                convolution.kernel_gradient(&x_there, &dy_there, &ours, adds).unwrap();
                assert_near(&ours, &expected, tolerance, &what(&format!("kernel gradient, adds {adds}")));
            }
        }
    }
}

/// The four kinds of layers of a generator or the three of a discriminator; channel counts that are multiples of 4, or not.
fn stack(device: &Device, transposed: bool, c: usize) -> Vec<Layer> {
    let convolution = |transposed| Map::Convolution(Convolution { stride: 2, padding: 2, transposed });
    let mut k = 0;
    let mut make = |shape: &[usize]| {
        k += 1;
        let tensor = filled(shape, k);
        device::tensor(flat(&tensor), shape, device).unwrap()
    };
    let mut layer = |map, kernel: &[usize], norm: Option<usize>, activation| {
        let kernel = make(kernel);
        let norm = norm.map(|c| (make(&[c]), make(&[c])));
        Layer { map, kernel, norm, activation }
    };
    match transposed {
        true => vec![
            layer(Map::Linear, &[5, 2 * 2 * c], Some(2 * 2 * c), Activation::Leaky(0.0)),
            layer(convolution(Some(1)), &[5, 5, c, c], Some(c), Activation::Leaky(0.0)),
            layer(convolution(Some(1)), &[5, 5, 3, c], None, Activation::Tanh),
        ],
        false => vec![
            layer(convolution(None), &[5, 5, 3, c], None, Activation::Leaky(0.2)),
            layer(convolution(None), &[5, 5, c, c], Some(c), Activation::Leaky(0.2)),
            layer(Map::Linear, &[2 * 2 * c, 1], None, Activation::Leaky(1.0)),
        ],
    }
}

#[test]
fn layers_agree() {
    // Batch norm's sharp bend makes single gradients jump where values are close to 0: less digits, less sharp.
    for (math, tolerance) in [(Math::F32, 2e-3)] {
        let Some(gpu) = gpu(math) else { return };
        for (transposed, c) in [(true, 8), (true, 3), (false, 8), (false, 5)] {
            let what = |part: &str| format!("{math:?}, transposed {transposed}, {c} channels, {part}");
            let x = if transposed { filled(&[6, 5], 40) } else { filled(&[6, 8, 8, 3], 40) };
            let (here, there) = (stack(&Device::CPU, transposed, c), stack(&gpu, transposed, c));
            let x_there = on(&gpu, &x, math);
            let traces = stack_trace(&here, &x).unwrap();
            let expected = traces.last().unwrap().output().clone();
            let dy = filled(expected.dims(), 17);
            let mut gradients = gradients_of(&here).unwrap();
            let dx = stack_backward(&here, traces, &dy.copy().unwrap(), Some(&mut gradients), true)
                .unwrap()
                .unwrap();
            for (there, kind) in [(&there, "as they are"), (&prepare(&there).unwrap(), "prepared")] {
                let mut y = x_there.clone();
                for layer in there {
                    y = layer.output(&y, None).unwrap();
                }
                assert_near(&y, &expected, tolerance, &what(&format!("output, {kind}")));
                let mut ours = gradients_of(&stack(&gpu, transposed, c)).unwrap();
                for times in [1.0, 2.0] {
                    let traces = stack_trace(there, &x_there).unwrap();
                    assert_near(
                        traces.last().unwrap().output(),
                        &expected,
                        tolerance,
                        &what("traced output"),
                    );
                    let dy = on(&gpu, &dy, math);
                    let ours_dx = stack_backward(there, traces, &dy, Some(&mut ours), true).unwrap().unwrap();
                    assert_near(&ours_dx, &dx, tolerance, &what("input gradient"));
                    let pairs = ours
                        .iter()
                        .flat_map(Gradients::tensors)
                        .zip(gradients.iter().flat_map(Gradients::tensors));
                    for (i, (ours, expected)) in pairs.enumerate() {
                        let expected = (expected * times).unwrap();
                        assert_near(
                            ours,
                            &expected,
                            tolerance,
                            &what(&format!("parameter {i}, {times} times")),
                        );
                    }
                }
                // As in G's update: no gradients of D's own.
                let traces = stack_trace(there, &x_there).unwrap();
                let alone = stack_backward(there, traces, &on(&gpu, &dy, math), None, true).unwrap().unwrap();
                assert_near(&alone, &dx, tolerance, &what("input gradient alone"));
            }
        }
    }
}

#[test]
fn bf16_layers_are_near() {
    let Some(gpu) = gpu(Math::Bf16) else { return };
    for transposed in [true, false] {
        let x = if transposed { filled(&[32, 5], 40) } else { filled(&[32, 8, 8, 3], 40) };
        let (here, there) =
            (stack(&Device::CPU, transposed, 8), prepare(&stack(&gpu, transposed, 8)).unwrap());
        let traces = stack_trace(&here, &x).unwrap();
        let expected = host(traces.last().unwrap().output());
        let ours = stack_trace(&there, &on(&gpu, &x, Math::F32)).unwrap();
        assert_eq!(ours.last().unwrap().output().dtype(), DType::BF16);
        let ours = host(ours.last().unwrap().output());
        let (mut dot, mut a, mut b) = (0.0, 0.0, 0.0);
        for (x, y) in ours.iter().zip(&expected) {
            (dot, a, b) = (dot + x * y, a + x * x, b + y * y);
        }
        assert!(dot / (a * b).sqrt() > 0.999, "transposed {transposed}: cosine {}", dot / (a * b).sqrt());
    }
}

#[test]
fn batch_statistics_agree_and_given_ones_are_used() {
    let Some(gpu) = gpu(Math::F32) else { return };
    // Many rows of few channels, few rows of many, a mean far from 0, and a channel count of no multiple of 4.
    for (shape, shift) in
        [([40, 9, 9, 8], 0.0), ([7, 1, 1, 300], 0.0), ([5, 6, 6, 12], 100.0), ([5, 3, 3, 7], -3.0)]
    {
        let x = (filled(&shape, 1) + shift).unwrap();
        let c = shape[3];
        let of = |device: &Device| {
            let there = |tensor: &Tensor| device::tensor(flat(tensor), tensor.dims(), device).unwrap();
            let identity = there(&filled(&[1, 1, c, c], 5));
            Layer {
                map: Map::Convolution(Convolution { stride: 1, padding: 0, transposed: None }),
                kernel: identity,
                norm: Some((there(&filled(&[c], 2)), there(&filled(&[c], 3)))),
                activation: Activation::Leaky(0.2),
            }
        };
        let (y, used) = of(&Device::CPU).output_and_statistics(&x, None, None).unwrap();
        let (ours, ours_used) = of(&gpu).output_and_statistics(&on(&gpu, &x, Math::F32), None, None).unwrap();
        let (used, ours_used) = (used.unwrap(), ours_used.unwrap());
        assert_near(&ours, &y, 2e-3, &format!("{shape:?}"));
        for (i, (a, b)) in ours_used.mean.iter().zip(&used.mean).enumerate() {
            assert!(
                (a - b).abs() <= 1e-4 * used.variance[i].sqrt().max(b.abs()),
                "{shape:?} mean {i}: {a}, {b}"
            );
        }
        for (i, (a, b)) in ours_used.variance.iter().zip(&used.variance).enumerate() {
            assert!((a - b).abs() <= 1e-3 * b, "{shape:?} variance {i}: {a}, {b}");
        }
        let given = Statistics { mean: vec![0.25; c], variance: vec![4.0; c] };
        let expected = of(&Device::CPU).output(&x, Some(&given)).unwrap();
        let ours = of(&gpu).output(&on(&gpu, &x, Math::F32), Some(&given)).unwrap();
        assert_near(&ours, &expected, 2e-3, &format!("{shape:?}, given"));
    }
}

#[test]
fn the_loss_and_its_gradient_agree() {
    let Some(gpu) = gpu(Math::F32) else { return };
    for n in [1, 7, 300] {
        let mut logits: Vec<f32> = values(n).iter().map(|v| 8.0 * v).collect();
        logits[0] = 200.0;
        for target in [0.0, 1.0] {
            let here = Tensor::from_slice(&logits, (n, 1), &Device::CPU).unwrap();
            let there = device::tensor(logits.clone(), &[n, 1], &gpu).unwrap();
            let (loss, gradient) = bce_with_gradient(&here, target).unwrap();
            let (ours, ours_gradient) = bce_with_gradient(&there, target).unwrap();
            assert!((loss - ours).abs() <= 1e-5 * loss.max(1.0), "{n} {target}: {ours}, {loss}");
            assert_near(&ours_gradient, &gradient, 1e-4, "gradient");
            assert_eq!(host(&bce_gradient(&there, target).unwrap()), host(&ours_gradient));
        }
    }
}

#[test]
fn norms_agree() {
    let Some(gpu) = gpu(Math::F32) else { return };
    let tensors = [filled(&[3], 0), filled(&[300, 1001], 1), filled(&[], 2)];
    let there: Vec<Tensor> = tensors.iter().map(|tensor| on(&gpu, tensor, Math::F32)).collect();
    let (ours, expected) = (norm(&there).unwrap(), norm(&tensors).unwrap());
    assert!((ours / expected - 1.0).abs() < 1e-12, "{ours} {expected}");
}

#[test]
fn adam_agrees_and_its_state_moves_between_devices() {
    let Some(gpu) = gpu(Math::F32) else { return };
    let path = std::path::Path::new("c");
    for shape in [&[3, 5][..], &[8, 4], &[1]] {
        let start = filled(shape, 0);
        let make = |device: &Device| {
            let var = Var::from_tensor(&start.to_device(device).unwrap()).unwrap();
            (Adam::new(vec![("p".into(), var.clone())], AdamConfig { l2: 0.1, ..AdamConfig::default() }), var)
        };
        let ((mut here, p), (mut there, q)) = (make(&Device::CPU), make(&gpu));
        for step in 0..6 {
            let gradient = filled(shape, step);
            here.step_with([Some(&gradient)]).unwrap();
            there.step_with([Some(&gradient.to_device(&gpu).unwrap())]).unwrap();
            assert_near(&q, &p, 1e-6, &format!("{shape:?}, step {step}"));
            if step == 3 {
                // The GPU's moments to the CPU and the CPU's to the GPU.
                let [mut from_here, mut from_there] = [Default::default(), Default::default()];
                here.save("a", &mut from_here).unwrap();
                there.save("a", &mut from_there).unwrap();
                here.load("a", &from_there, path).unwrap();
                there.load("a", &from_here, path).unwrap();
            }
        }
    }
}

#[test]
fn pixels_and_pools_agree_to_the_bit() {
    let Some(gpu) = gpu(Math::F32) else { return };
    let pixels: Vec<u8> = (0..2 * 3 * 8 * 4).map(|i| (i * 7 % 256) as u8).collect();
    let [here, there] =
        [&Device::CPU, &gpu].map(|device| to_activations(&pixels, [2, 3, 8, 4], device).unwrap());
    assert_eq!(host(&here), host(&there));
    assert_eq!(to_pixels(&there).unwrap(), pixels);
    let maps = [filled(&[3, 8, 8, 2], 0), filled(&[3, 4, 4, 5], 3), filled(&[3, 16, 8, 1], 4)];
    let moved: Vec<Tensor> = maps.iter().map(|maps| on(&gpu, maps, Math::F32)).collect();
    assert_eq!(host(&max_pool(&moved, 4).unwrap()), host(&max_pool(&maps, 4).unwrap()));
    assert!(max_pool(&[on(&gpu, &tensor(&[1, 6, 8, 1]), Math::F32)], 4).is_err());
}

#[test]
fn bf16_is_rounded_to_the_nearest() {
    let Some(gpu) = gpu(Math::Bf16) else { return };
    let mut numbers: Vec<f32> =
        values(997).iter().enumerate().map(|(i, v)| v * 10f32.powi(i as i32 % 60 - 30)).collect();
    numbers.extend([0.0, -0.0, 1.00390625, 1.01171875, f32::INFINITY, 3.4e38]);
    let n = numbers.len();
    let expected = Tensor::from_slice(&numbers, n, &Device::CPU).unwrap().to_dtype(DType::BF16).unwrap();
    let ours = gpu.network_input(&device::tensor(numbers, &[n], &gpu).unwrap()).unwrap();
    assert_eq!(host(&ours), host(&expected));
}

#[test]
fn many_uploads_keep_their_values() {
    let Some(gpu) = gpu(Math::F32) else { return };
    let all: Vec<(Vec<f32>, Tensor)> = (0..40)
        .map(|i| {
            let values = vec![i as f32; 100 + 1000 * (i % 7)];
            let there = device::tensor(values.clone(), &[values.len()], &gpu).unwrap();
            (values, there)
        })
        .collect();
    for (values, there) in all {
        assert_eq!(host(&there), values);
    }
    assert!(device::tensor(vec![0.0; 3], &[2], &gpu).is_err());
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(gpu) = gpu(Math::F32) else { return };
    let x = on(&gpu, &tensor(&[1, 4, 4, 2]), Math::F32);
    let kernel = on(&gpu, &tensor(&[3, 3, 5, 3]), Math::F32);
    assert!(Convolution { stride: 1, padding: 1, transposed: None }.forward(&x, &kernel).is_err());
    let message = DeviceChoice::Cuda(99, Math::F32).open().unwrap_err().to_string();
    assert!(message.starts_with("device `cuda:99/f32`: "), "{message}");
}

#[test]
fn blends_products_and_labels_agree_on_the_gpu() {
    for (math, tolerance) in TOLERANCES {
        let Some(gpu) = gpu(math) else { return };
        let (a, x, by) = (filled(&[3, 5, 7, 6], 0), filled(&[3, 5, 7, 6], 1), filled(&[6], 2));
        let [to, x_there] = [&a, &x].map(|t| on(&gpu, t, math));
        let expected = multiply(&x, &by).unwrap();
        let ours = multiply(&x_there, &on(&gpu, &by, Math::F32)).unwrap();
        assert_near(&ours, &expected, tolerance, &format!("{math:?}, product"));
        blend(&a, 0.9, Some(&x), 0.1).unwrap();
        blend(&to, 0.9, Some(&x_there), 0.1).unwrap();
        blend(&a, 0.5, None, 0.5).unwrap();
        blend(&to, 0.5, None, 0.5).unwrap();
        assert_near(&to, &a, tolerance, &format!("{math:?}, blend"));

        let labels = one_hot(&[1, 0, 3], 4, &Device::CPU).unwrap();
        let convolution = |transposed| Map::Convolution(Convolution { stride: 2, padding: 2, transposed });
        let layers = [
            (Map::Linear, vec![3, 6], vec![6 + 4, 5]),
            (convolution(None), vec![3, 8, 6, 5], vec![5, 5, 5 + 4, 7]),
            (convolution(Some(1)), vec![3, 4, 4, 5], vec![5, 5, 7, 5 + 4]),
        ];
        for (i, (map, x, kernel)) in layers.into_iter().enumerate() {
            let x = filled(&x, 3);
            // No bend: a sign that turns there is no matter of precision.
            let layer = |kernel| Layer { map, kernel, norm: None, activation: Activation::Leaky(1.0) };
            let (here, there) = (layer(filled(&kernel, 4)), layer(on(&gpu, &filled(&kernel, 4), Math::F32)));
            let expected = here.trace_joined(&x, Some(&labels)).unwrap();
            let dy = filled(expected.output().dims(), 5);
            let expected_dx = here.backward(&expected, &dy.copy().unwrap(), None, true).unwrap().unwrap();
            let labels_there = one_hot(&[1, 0, 3], 4, &gpu).unwrap();
            for (there, order) in [(there.prepared().unwrap(), "prepared"), (there, "as it is")] {
                let what = |part: &str| format!("{math:?}, layer {i}, kernel {order}, {part}");
                let ours = there.trace_joined(&on(&gpu, &x, math), Some(&labels_there)).unwrap();
                assert_near(ours.output(), expected.output(), tolerance, &what("output"));
                let dx = there.backward(&ours, &on(&gpu, &dy, math), None, true).unwrap().unwrap();
                assert_near(&dx, &expected_dx, tolerance, &what("input gradient"));
            }
        }
    }
}
