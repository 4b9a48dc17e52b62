use candle_core::{Device, Var};

use super::*;
use crate::batch_norm::EPS;
use crate::testing::{assert_close, check_gradients, flat, tensor, values, var, weights};

/// A generator's four kinds of layers, or a discriminator's three, and their variables.
fn stack(transposed: bool) -> (Vec<Layer>, Vec<Var>) {
    let scaled = |shape: &[usize], k: usize| {
        let filled = values(shape.iter().product::<usize>() + k)[k..].to_vec();
        Var::from_tensor(&Tensor::from_vec(filled, shape, &Device::Cpu).unwrap()).unwrap()
    };
    let convolution = |transposed| Map::Convolution(Convolution { stride: 2, padding: 2, transposed });
    let mut vars = Vec::new();
    let mut layer = |map, kernel: &[usize], norm: Option<usize>, activation| {
        let mut make = |shape: &[usize]| {
            vars.push(scaled(shape, vars.len()));
            vars[vars.len() - 1].as_tensor().clone()
        };
        let kernel = make(kernel);
        let norm = norm.map(|c| (make(&[c]), make(&[c])));
        Layer { map, kernel, norm, activation }
    };
    let layers = match transposed {
        true => vec![
            layer(Map::Linear, &[5, 2 * 2 * 4], Some(16), Activation::Leaky(0.0)),
            layer(convolution(Some(1)), &[5, 5, 3, 4], Some(3), Activation::Leaky(0.0)),
            layer(convolution(Some(1)), &[5, 5, 2, 3], None, Activation::Tanh),
        ],
        false => vec![
            layer(convolution(None), &[5, 5, 2, 3], None, Activation::Leaky(0.2)),
            layer(convolution(None), &[5, 5, 3, 4], Some(4), Activation::Leaky(0.2)),
            layer(Map::Linear, &[2 * 2 * 4, 1], None, Activation::Leaky(1.0)),
        ],
    };
    (layers, vars)
}

/// A convolution of stride 2 and padding 2, or a transposed one, by candle.
fn convolve(x: &Tensor, kernel: &Tensor, transposed: bool) -> Tensor {
    let x = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let kernel = kernel.permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
    let y = if transposed { x.conv_transpose2d(&kernel, 2, 1, 2, 1) } else { x.conv2d(&kernel, 2, 2, 1, 1) };
    y.unwrap().permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

fn batch_norm(x: &Tensor, gain: &Tensor, bias: &Tensor) -> Tensor {
    let rows = x.reshape(((), gain.elem_count())).unwrap();
    let centred = rows.broadcast_sub(&rows.mean_keepdim(0).unwrap()).unwrap();
    let variance = centred.sqr().unwrap().mean_keepdim(0).unwrap();
    let scaled = centred.broadcast_div(&(variance + EPS).unwrap().sqrt().unwrap()).unwrap();
    scaled.broadcast_mul(gain).unwrap().broadcast_add(bias).unwrap().reshape(x.shape()).unwrap()
}

fn leaky(x: &Tensor) -> Tensor {
    (x.relu().unwrap() - (x.neg().unwrap().relu().unwrap() * 0.2).unwrap()).unwrap()
}

/// The same stack of candle's own operations, in its graph.
fn through_the_graph(x: &Tensor, v: &[Var], transposed: bool) -> Tensor {
    match transposed {
        true => {
            let h = batch_norm(&x.matmul(&v[0]).unwrap(), &v[1], &v[2]).relu().unwrap();
            let h = convolve(&h.reshape(((), 2, 2, 4)).unwrap(), &v[3], true);
            convolve(&batch_norm(&h, &v[4], &v[5]).relu().unwrap(), &v[6], true).tanh().unwrap()
        }
        false => {
            let h = convolve(&leaky(&convolve(x, &v[0], false)), &v[1], false);
            leaky(&batch_norm(&h, &v[2], &v[3])).flatten_from(1).unwrap().matmul(&v[4]).unwrap()
        }
    }
}

#[test]
fn agrees_with_candles_own_operations_and_their_gradients() {
    for transposed in [true, false] {
        let (layers, vars) = stack(transposed);
        let x = if transposed { var(&[3, 5]) } else { var(&[3, 8, 8, 2]) };
        let expected = through_the_graph(&x, &vars, transposed);
        let weights = tensor(expected.dims());
        let graph = (&expected * &weights).unwrap().sum_all().unwrap().backward().unwrap();

        let mut gradients = gradients_of(&layers).unwrap();
        let traces = stack_trace(&layers, &x).unwrap();
        let output = traces.last().unwrap().output().clone();
        assert_close(&flat(&output), &flat(&expected), 1e-5, "output");
        let mut y = x.as_tensor().clone();
        for layer in &layers {
            y = layer.forward(&y).unwrap();
        }
        assert_close(&flat(&y), &flat(&output), 0.0, "output without a trace");

        let copy = || weights.copy().unwrap();
        let dx = stack_backward(&layers, traces, &copy(), Some(&mut gradients), true).unwrap().unwrap();
        assert_close(&flat(&dx), &flat(graph.get(&x).unwrap()), 1e-5, "dx");
        for times in [1.0, 2.0] {
            let ours = gradients.iter().flat_map(Gradients::tensors);
            for (i, (ours, var)) in ours.zip(&vars).enumerate() {
                let expected = (graph.get(var).unwrap() * times).unwrap();
                assert_close(&flat(ours), &flat(&expected), 1e-4, &format!("parameter {i}, {times} times"));
            }
            let traces = stack_trace(&layers, &x).unwrap();
            assert!(stack_backward(&layers, traces, &copy(), Some(&mut gradients), false).unwrap().is_none());
        }
        gradients.iter_mut().for_each(Gradients::clear);
        let traces = stack_trace(&layers, &x).unwrap();
        stack_backward(&layers, traces, &copy(), Some(&mut gradients), false).unwrap();
        let first = gradients[0].tensors().next().unwrap();
        assert_close(&flat(first), &flat(graph.get(&vars[0]).unwrap()), 1e-4, "after a clear");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (layer, slope) in [(0, Activation::Leaky(0.2)), (2, Activation::Tanh)] {
        let (layers, vars) = stack(slope == Activation::Tanh);
        let layer = &layers[layer];
        let kernel = if slope == Activation::Tanh { &vars[6] } else { &vars[0] };
        let x = var(if slope == Activation::Tanh { &[2, 4, 4, 3] } else { &[2, 6, 6, 2] });
        let mut own = Gradients::of(layer).unwrap();
        let trace = layer.trace(&x).unwrap();
        let dx = layer.backward(&trace, &weights(trace.output()), Some(&mut own), true).unwrap().unwrap();
        let ours = [dx, own.tensors().next().unwrap().clone()];
        check_gradients(&[&x, kernel], &ours, 3, 1e-3, 1e-2, || layer.output(&x, None));
    }
}

#[test]
fn gradients_of_layers_with_joined_labels_agree_with_finite_differences() {
    let labels = crate::labels::one_hot(&[1, 0, 1], 2, &Device::Cpu).unwrap();
    let convolution = |transposed| Map::Convolution(Convolution { stride: 2, padding: 2, transposed });
    for (map, kernel, x) in [
        (Map::Linear, &[5 + 2, 6][..], &[3, 5][..]),
        (convolution(None), &[5, 5, 3 + 2, 4], &[3, 6, 6, 3]),
        (convolution(Some(1)), &[5, 5, 4, 3 + 2], &[3, 3, 3, 3]),
        // A flat input, made a raster of 3 channels.
        (convolution(Some(1)), &[5, 5, 1, 3 + 2], &[3, 2 * 2 * 3]),
    ] {
        let (x, kernel) = (var(x), var(kernel));
        let activation = Activation::Sigmoid;
        let layer = Layer { map, kernel: kernel.as_tensor().clone(), norm: None, activation };
        let mut own = Gradients::of(&layer).unwrap();
        let trace = layer.trace_joined(&x, Some(&labels)).unwrap();
        let dy = weights(trace.output());
        let dx = layer.backward(&trace, &dy, Some(&mut own), true).unwrap().unwrap();
        let ours = [dx.reshape(x.shape()).unwrap(), own.tensors().next().unwrap().clone()];
        check_gradients(&[&x, &kernel], &ours, 3, 1e-2, 1e-2, || {
            layer.output_joined(&x, Some(&labels), None)
        });
    }
}

#[test]
fn constant_gains_and_biases_have_no_gradients() {
    let (layers, vars) = stack(true);
    let mut own = Gradients::of_kernel(&layers[1]).unwrap();
    let x = var(&[3, 3, 3, 4]);
    let trace = layers[1].trace(&x).unwrap();
    let dx = layers[1].backward(&trace, &weights(trace.output()), Some(&mut own), true).unwrap().unwrap();
    assert_eq!(own.tensors().count(), 1);
    let ours = [dx, own.tensors().next().unwrap().clone()];
    check_gradients(&[&x, &vars[3]], &ours, 7, 1e-3, 2e-2, || layers[1].output(&x, None));
}

#[test]
fn given_statistics_are_used_and_those_used_are_told() {
    let (layers, _) = stack(false);
    let x = tensor(&[3, 4, 4, 3]);
    let (y, own) = layers[1].output_and_statistics(&x, None, None).unwrap();
    assert_eq!(flat(&y), flat(&layers[1].output(&x, own.as_ref()).unwrap()));
    let given = Statistics { mean: vec![0.25; 4], variance: vec![4.0; 4] };
    let (y, used) = layers[1].output_and_statistics(&x, None, Some(&given)).unwrap();
    assert_eq!(used, Some(given));
    // Back to what the convolution gave: u = gain·(m − 0.25)/2 + bias.
    let (gain, bias) = layers[1].norm.as_ref().unwrap();
    let mapped = convolve(&x, &layers[1].kernel, false);
    let expected = ((mapped - 0.25).unwrap() * 0.5).unwrap().broadcast_mul(gain).unwrap();
    assert_close(&flat(&y), &flat(&leaky(&expected.broadcast_add(bias).unwrap())), 1e-5, "given");
}
