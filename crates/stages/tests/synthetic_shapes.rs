//! The synthetic shapes hold what they promise: a linear model on raw pixels stays below 60 %, a small conv net passes 85 %.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;

use dcgan_images::{ImageStore, ImportConfig, Source, Split, batches, import};
use dcgan_nn::activation::Activation;
use dcgan_nn::adam::{Adam, AdamConfig};
use dcgan_nn::candle::{Module, Result, Tensor, Var};
use dcgan_nn::conv::Convolution;
use dcgan_nn::device::Device;
use dcgan_nn::init;
use dcgan_nn::layer::{Gradients, Layer, Map, gradients_of, stack_backward, stack_trace};
use dcgan_nn::pixels::to_activations;
use dcgan_nn::rng::{Purpose, stream};
use dcgan_svm::SharedGram;
use dcgan_synthetic::{ShapesConfig, write_shapes};
use ndarray::Array2;

struct Shapes {
    _dir: tempfile::TempDir,
    train: ImageStore,
    test: ImageStore,
}

impl Shapes {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shapes");
        write_shapes(&path, &ShapesConfig { n_train: 3000, n_test: 500, seed: 1 }).unwrap();
        let store = |split: Split, name: &str| {
            let out = dir.path().join(name);
            let source = Source::Cifar10 { path: path.clone(), split };
            import(&source, &ImportConfig::default(), &out, &mut |_, _| ControlFlow::Continue(())).unwrap();
            ImageStore::open(&out).unwrap()
        };
        let (train, test) = (store(Split::Train, "train"), store(Split::Test, "test"));
        Self { _dir: dir, train, test }
    }
}

fn labels(store: &ImageStore) -> Vec<u32> {
    store.labels().unwrap().into_iter().map(Option::unwrap).collect()
}

fn accuracy(found: impl Iterator<Item = u32>, truth: &[u32]) -> f64 {
    found.zip(truth).filter(|(found, truth)| found == *truth).count() as f64 / truth.len() as f64
}

#[test]
fn a_linear_model_on_raw_pixels_stays_below_60_percent() {
    let shapes = Shapes::new();
    let rows = |store: &ImageStore, n: usize| {
        Array2::from_shape_fn((n, 3072), |(row, i)| f32::from(store.image(row)[i]) / 127.5 - 1.0)
    };
    let (n_train, test) = (1000, rows(&shapes.test, 500));
    let train = rows(&shapes.train, n_train);
    let train_labels: Vec<usize> = labels(&shapes.train).iter().take(n_train).map(|&l| l as usize).collect();
    let gram = SharedGram::new(train.view()).unwrap();
    for model in gram.fit(train.view(), &train_labels, &[1e-5, 1e-4, 1e-3], 1e-3).unwrap() {
        let found = model.predict_labels(test.view()).unwrap();
        let accuracy = accuracy(found.iter().map(|&label| label as u32), &labels(&shapes.test));
        assert!(accuracy < 0.6, "C = {}: {accuracy}", model.c());
    }
}

const CHANNELS: [usize; 4] = [3, 16, 32, 64];

/// Three 5×5 convolutions of stride 2 with batch norm and LeakyReLU, and a linear layer on the 4×4 maps; with its parameters.
fn conv_net() -> (Vec<Layer>, Vec<(String, Var)>) {
    let mut rng = stream(0, Purpose::Weights, 0);
    let mut parameters = Vec::new();
    let mut var = |shape: &[usize], mean: f32, std: f32| {
        let values = init::normal(shape, mean, std, &mut rng, &Device::CPU).unwrap();
        let var = Var::from_tensor(&values).unwrap();
        parameters.push((parameters.len().to_string(), var.clone()));
        var.into_inner()
    };
    let map = Map::Convolution(Convolution { stride: 2, padding: 2, transposed: None });
    let mut layers = Vec::new();
    for c in CHANNELS.windows(2) {
        let kernel = var(&[5, 5, c[0], c[1]], 0.0, 0.05);
        let norm = Some((var(&[c[1]], 1.0, 0.0), var(&[c[1]], 0.0, 0.0)));
        layers.push(Layer { map, kernel, norm, activation: Activation::Leaky(0.2) });
    }
    let kernel = var(&[16 * CHANNELS[3], 10], 0.0, 0.02);
    layers.push(Layer { map: Map::Linear, kernel, norm: None, activation: Activation::Leaky(1.0) });
    (layers, parameters)
}

fn batch(store: &ImageStore, indices: &[u32], labels: &[u32]) -> Result<(Tensor, Tensor)> {
    let mut pixels = Vec::new();
    store.gather(indices, &mut pixels);
    let images = to_activations(&pixels, [indices.len(), 3, 32, 32], &Device::CPU).unwrap();
    let labels: Vec<u32> = indices.iter().map(|&i| labels[i as usize]).collect();
    Ok((images, Tensor::new(labels, &Device::CPU)?))
}

#[test]
fn a_small_conv_net_passes_85_percent() {
    let shapes = Shapes::new();
    let ((layers, parameters), train_labels) = (conv_net(), labels(&shapes.train));
    let config = AdamConfig { learning_rate: 2e-3, beta1: 0.9, l2: 0.0, ..AdamConfig::default() };
    let mut adam = Adam::new(parameters, config);
    let mut gradients = gradients_of(&layers).unwrap();
    for epoch in 0..8 {
        for indices in batches::shuffled(shapes.train.len(), 0, epoch).chunks_exact(50) {
            let (images, labels) = batch(&shapes.train, indices, &train_labels).unwrap();
            let traces = stack_trace(&layers, &images).unwrap();
            // The loss in candle's graph, whose only variable is what the network gave.
            let logits = Var::from_tensor(traces[3].output()).unwrap();
            let loss = candle_nn::loss::cross_entropy(&logits, &labels).unwrap().backward().unwrap();
            gradients.iter_mut().for_each(Gradients::clear);
            let dlogits = loss.get(&logits).unwrap().contiguous().unwrap();
            stack_backward(&layers, traces, &dlogits, Some(&mut gradients), false).unwrap();
            adam.step_with(gradients.iter().flat_map(Gradients::tensors).map(Some)).unwrap();
        }
    }
    let test_labels = labels(&shapes.test);
    let all: Vec<u32> = (0..shapes.test.len() as u32).collect();
    let (images, _) = batch(&shapes.test, &all, &test_labels).unwrap();
    let logits = layers.iter().try_fold(images, |x, layer| layer.forward(&x)).unwrap();
    let found = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let accuracy = accuracy(found.into_iter(), &test_labels);
    assert!(accuracy > 0.85, "{accuracy}");
}
