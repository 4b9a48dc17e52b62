use candle_core::{Device, Var};

use super::*;
use crate::batch_norm::batch_norm;
use crate::conv::{conv_transpose2d, conv2d};
use crate::testing::{assert_close, flat, tensor, values, var};

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

/// The same stack through candle's graph.
fn through_the_graph(x: &Tensor, v: &[Var], transposed: bool) -> Tensor {
    match transposed {
        true => {
            let h = batch_norm(&x.matmul(&v[0]).unwrap(), &v[1], &v[2], 0.0).unwrap();
            let h = h.reshape(((), 2, 2, 4)).unwrap();
            let h = batch_norm(&conv_transpose2d(&h, &v[3], 2, 2, 1).unwrap(), &v[4], &v[5], 0.0).unwrap();
            conv_transpose2d(&h, &v[6], 2, 2, 1).unwrap().tanh().unwrap()
        }
        false => {
            let h = crate::activation::leaky_relu(&conv2d(x, &v[0], 2, 2).unwrap(), 0.2).unwrap();
            let h = batch_norm(&conv2d(&h, &v[1], 2, 2).unwrap(), &v[2], &v[3], 0.2).unwrap();
            h.flatten_from(1).unwrap().matmul(&v[4]).unwrap()
        }
    }
}

#[test]
fn agrees_with_candles_graph_over_the_same_operations() {
    for transposed in [true, false] {
        let (layers, vars) = stack(transposed);
        let x = if transposed { var(&[3, 5]) } else { var(&[3, 8, 8, 2]) };
        let expected = through_the_graph(&x, &vars, transposed);
        let weights = tensor(expected.dims());
        let graph = (&expected * &weights).unwrap().sum_all().unwrap().backward().unwrap();

        let mut gradients: Vec<Gradients> = layers.iter().map(|l| Gradients::of(l).unwrap()).collect();
        let traces = stack_trace(&layers, &x).unwrap();
        let output = traces.last().unwrap().output().clone();
        assert_close(&flat(&output), &flat(&expected), 1e-6, "output");
        let mut y = x.as_tensor().clone();
        for layer in &layers {
            y = layer.forward(&y, None).unwrap().0;
        }
        assert_close(&flat(&y), &flat(&expected), 1e-6, "output without a trace");

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
