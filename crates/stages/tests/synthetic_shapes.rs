//! The synthetic shapes hold what they promise: a linear model on raw pixels stays below 60 %, a small conv net passes 85 %.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;

use dcgan_images::{ImageStore, ImportConfig, Source, Split, batches, import};
use dcgan_nn::adam::{Adam, AdamConfig};
use dcgan_nn::batch_norm::batch_norm;
use dcgan_nn::candle::{Device, Result, Tensor, Var};
use dcgan_nn::conv::conv2d;
use dcgan_nn::pixels::to_activations;
use dcgan_nn::rng::{Purpose, stream};
use dcgan_nn::{NnError, init};
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

/// Three 5×5 convolutions of stride 2 with batch norm and LeakyReLU, and a linear layer on the 4×4 maps.
struct ConvNet {
    kernels: Vec<Var>,
    gains: Vec<Var>,
    biases: Vec<Var>,
    head: Var,
}

const CHANNELS: [usize; 4] = [3, 16, 32, 64];

impl ConvNet {
    fn new() -> Self {
        let mut rng = stream(0, Purpose::Weights, 0);
        let mut var = |shape: &[usize], mean: f32, std: f32| {
            Var::from_tensor(&init::normal(shape, mean, std, &mut rng, &Device::Cpu).unwrap()).unwrap()
        };
        let layers = CHANNELS.windows(2);
        Self {
            kernels: layers.clone().map(|c| var(&[5, 5, c[0], c[1]], 0.0, 0.05)).collect(),
            gains: layers.clone().map(|c| var(&[c[1]], 1.0, 0.0)).collect(),
            biases: layers.map(|c| var(&[c[1]], 0.0, 0.0)).collect(),
            head: var(&[16 * CHANNELS[3], 10], 0.0, 0.02),
        }
    }

    fn parameters(&self) -> Vec<(String, Var)> {
        let all = self.kernels.iter().chain(&self.gains).chain(&self.biases).chain([&self.head]);
        all.enumerate().map(|(i, var)| (i.to_string(), var.clone())).collect()
    }

    fn logits(&self, images: &Tensor) -> std::result::Result<Tensor, NnError> {
        let mut x = images.clone();
        for ((kernel, gain), bias) in self.kernels.iter().zip(&self.gains).zip(&self.biases) {
            x = batch_norm(&conv2d(&x, kernel, 2, 2)?, gain, bias, 0.2)?;
        }
        Ok(x.flatten_from(1)?.matmul(&self.head)?)
    }
}

fn batch(store: &ImageStore, indices: &[u32], labels: &[u32]) -> Result<(Tensor, Tensor)> {
    let mut pixels = Vec::new();
    store.gather(indices, &mut pixels);
    let images = to_activations(&pixels, [indices.len(), 3, 32, 32], &Device::Cpu).unwrap();
    let labels: Vec<u32> = indices.iter().map(|&i| labels[i as usize]).collect();
    Ok((images, Tensor::new(labels, &Device::Cpu)?))
}

#[test]
fn a_small_conv_net_passes_85_percent() {
    let shapes = Shapes::new();
    let (net, train_labels) = (ConvNet::new(), labels(&shapes.train));
    let config = AdamConfig { learning_rate: 2e-3, beta1: 0.9, l2: 0.0, ..AdamConfig::default() };
    let mut adam = Adam::new(net.parameters(), config);
    for epoch in 0..8 {
        for indices in batches::shuffled(shapes.train.len(), 0, epoch).chunks_exact(50) {
            let (images, labels) = batch(&shapes.train, indices, &train_labels).unwrap();
            let loss = candle_nn::loss::cross_entropy(&net.logits(&images).unwrap(), &labels).unwrap();
            adam.step(&loss.backward().unwrap()).unwrap();
        }
    }
    let test_labels = labels(&shapes.test);
    let all: Vec<u32> = (0..shapes.test.len() as u32).collect();
    let (images, _) = batch(&shapes.test, &all, &test_labels).unwrap();
    let found = net.logits(&images).unwrap().argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let accuracy = accuracy(found.into_iter(), &test_labels);
    assert!(accuracy > 0.85, "{accuracy}");
}
