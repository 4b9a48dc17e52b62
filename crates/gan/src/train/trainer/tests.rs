use candle_core::Var;
use dcgan_nn::batch_norm::EPS;

use super::*;
use crate::{ArchitectureName, train::TrainConfig};

type Parameters = [(String, Var)];

/// A convolution of stride 2 and padding 2, or a transposed one, by candle.
fn convolve(x: &Tensor, kernel: &Tensor, transposed: bool) -> Tensor {
    let x = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let kernel = kernel.permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
    let y = if transposed { x.conv_transpose2d(&kernel, 2, 1, 2, 1) } else { x.conv2d(&kernel, 2, 2, 1, 1) };
    y.unwrap().permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

fn batch_norm(x: &Tensor, gain: &Var, bias: &Var) -> Tensor {
    let rows = x.reshape(((), gain.elem_count())).unwrap();
    let centred = rows.broadcast_sub(&rows.mean_keepdim(0).unwrap()).unwrap();
    let variance = centred.sqr().unwrap().mean_keepdim(0).unwrap();
    let scaled = centred.broadcast_div(&(variance + EPS).unwrap().sqrt().unwrap()).unwrap();
    scaled.broadcast_mul(gain).unwrap().broadcast_add(bias).unwrap().reshape(x.shape()).unwrap()
}

fn leaky(x: &Tensor) -> Tensor {
    candle_nn::ops::leaky_relu(x, 0.2).unwrap()
}

/// G of candle's own operations, in its graph.
fn pictures(g: &Parameters, z: &Tensor) -> Tensor {
    let var = |i: usize| &g[i].1;
    let h = batch_norm(&z.matmul(var(0)).unwrap(), var(1), var(2)).relu().unwrap();
    let mut h = h.reshape(((), 4, 4, h.dim(1).unwrap() / 16)).unwrap();
    for i in (3..g.len()).step_by(3) {
        h = convolve(&h, var(i), true);
        h = if i + 2 < g.len() { batch_norm(&h, var(i + 1), var(i + 2)).relu() } else { h.tanh() }.unwrap();
    }
    h
}

/// D likewise.
fn logits_of(d: &Parameters, x: &Tensor) -> Tensor {
    let var = |i: usize| &d[i].1;
    let mut h = leaky(&convolve(x, var(0), false));
    for i in (1..d.len() - 1).step_by(3) {
        h = leaky(&batch_norm(&convolve(&h, var(i), false), var(i + 1), var(i + 2)));
    }
    h.flatten_from(1).unwrap().matmul(var(d.len() - 1)).unwrap()
}

/// The mean of −ln σ(x) for a target of 1, of −ln σ(−x) for one of 0.
fn cross_entropy(logits: &Tensor, target: f64) -> Tensor {
    let towards = (logits * (2.0 * target - 1.0)).unwrap();
    let sigmoid = candle_nn::ops::sigmoid(&towards).unwrap();
    sigmoid.log().unwrap().neg().unwrap().mean_all().unwrap()
}

fn norm_over(parameters: &Parameters, loss: &Tensor) -> f64 {
    let gradients = loss.backward().unwrap();
    norm(parameters.iter().map(|(_, var)| gradients.get(var).unwrap())).unwrap()
}

#[test]
fn gradient_norms_are_those_of_candles_own_operations_and_automatic_differentiation() {
    let config = TrainConfig {
        width: 1.0 / 16.0,
        batch_size: Some(8),
        ..TrainConfig::paper(ArchitectureName::Svhn32)
    };
    let settings = config.resolve().unwrap();
    let mut trainer = Trainer::new(&settings, &Device::CPU).unwrap();
    let mut rng = dcgan_nn::rng::stream(7, Purpose::SampleZ, 0);
    let real = dcgan_nn::init::uniform(&[8, 32, 32, 3], &mut rng, &Device::CPU).unwrap();
    let z = |purpose| draw_z(trainer.generator().config(), 8, (0, purpose, 0), &Device::CPU).unwrap();
    let (g, d) = (trainer.generator().parameters(), trainer.discriminator().parameters());
    let fake = pictures(g, &z(Purpose::DiscriminatorZ)).detach();
    let loss = (cross_entropy(&logits_of(d, &real), 1.0) + cross_entropy(&logits_of(d, &fake), 0.0)).unwrap();
    let d_norm = norm_over(d, &loss);
    let loss = cross_entropy(&logits_of(d, &pictures(g, &z(Purpose::GeneratorZ))), 1.0);
    let g_norm = norm_over(g, &loss);

    // G first: an update of D would change its gradient.
    let generator = trainer.update_generator(None, true).unwrap().unwrap();
    assert!((generator.gradient_norm / g_norm - 1.0).abs() < 1e-4, "{generator:?} {g_norm}");
    let mut trainer = Trainer::new(&settings, &Device::CPU).unwrap();
    let discriminator = trainer.update_discriminator(&real, None, true).unwrap().unwrap();
    assert!((discriminator.gradient_norm / d_norm - 1.0).abs() < 1e-4, "{discriminator:?} {d_norm}");
}

/// Labels (n, k) behind x (n, …, c), by candle.
fn joined(x: &Tensor, labels: &Tensor) -> Tensor {
    let (n, k) = labels.dims2().unwrap();
    let mut dims = vec![1; x.rank()];
    (dims[0], dims[x.rank() - 1]) = (n, k);
    let mut planes = x.dims().to_vec();
    planes[x.rank() - 1] = k;
    let labels = labels.reshape(dims).unwrap().broadcast_as(planes).unwrap();
    Tensor::cat(&[x.clone(), labels], x.rank() - 1).unwrap()
}

/// Batch norm without gain and bias.
fn normalised(x: &Tensor) -> Tensor {
    let c = *x.dims().last().unwrap();
    let constant = |value: f32| Var::from_tensor(&Tensor::full(value, c, &Device::CPU).unwrap()).unwrap();
    batch_norm(x, &constant(1.0), &constant(0.0))
}

/// The authors' conditional G for MNIST of candle's own operations, in its graph.
fn digits(g: &Parameters, z: &Tensor, labels: &Tensor) -> Tensor {
    let var = |i: usize| &g[i].1;
    let h = normalised(&joined(z, labels).matmul(var(0)).unwrap()).relu().unwrap();
    let h = normalised(&joined(&h, labels).matmul(var(1)).unwrap()).relu().unwrap();
    let h = h.reshape(((), 7, 7, h.dim(1).unwrap() / 49)).unwrap();
    let h = normalised(&convolve(&joined(&h, labels), var(2), true)).relu().unwrap();
    candle_nn::ops::sigmoid(&convolve(&joined(&h, labels), var(3), true)).unwrap()
}

/// And D.
fn logits_of_digits(d: &Parameters, x: &Tensor, labels: &Tensor) -> Tensor {
    let var = |i: usize| &d[i].1;
    let h = leaky(&convolve(&joined(x, labels), var(0), false));
    let h = leaky(&normalised(&convolve(&joined(&h, labels), var(1), false))).flatten_from(1).unwrap();
    let h = leaky(&normalised(&joined(&h, labels).matmul(var(2)).unwrap()));
    joined(&h, labels).matmul(var(3)).unwrap()
}

#[test]
fn conditional_gradients_are_those_of_candles_own_operations_too() {
    let config = TrainConfig {
        width: 1.0 / 32.0,
        batch_size: Some(8),
        ..TrainConfig::paper(ArchitectureName::Mnist28)
    };
    let settings = config.resolve().unwrap();
    let mut trainer = Trainer::new(&settings, &Device::CPU).unwrap();
    let mut rng = dcgan_nn::rng::stream(7, Purpose::SampleZ, 0);
    let real = dcgan_nn::init::uniform(&[8, 28, 28, 1], &mut rng, &Device::CPU).unwrap();
    let labels = dcgan_nn::labels::one_hot(&[3, 1, 4, 1, 5, 9, 2, 6], 10, &Device::CPU).unwrap();
    let z = |purpose| draw_z(trainer.generator().config(), 8, (0, purpose, 0), &Device::CPU).unwrap();
    let (g, d) = (trainer.generator().parameters(), trainer.discriminator().parameters());
    assert_eq!((g.len(), d.len()), (4, 4), "no gains and biases");
    let logits = |x: &Tensor| logits_of_digits(d, x, &labels);
    let fake = digits(g, &z(Purpose::DiscriminatorZ), &labels).detach();
    let loss = (cross_entropy(&logits(&real), 1.0) + cross_entropy(&logits(&fake), 0.0)).unwrap();
    let d_norm = norm_over(d, &loss);
    let loss = cross_entropy(&logits(&digits(g, &z(Purpose::GeneratorZ), &labels)), 1.0);
    let g_norm = norm_over(g, &loss);

    let generator = trainer.update_generator(Some(&labels), true).unwrap().unwrap();
    assert!((generator.gradient_norm / g_norm - 1.0).abs() < 1e-4, "{generator:?} {g_norm}");
    let mut trainer = Trainer::new(&settings, &Device::CPU).unwrap();
    let discriminator = trainer.update_discriminator(&real, Some(&labels), true).unwrap().unwrap();
    assert!((discriminator.gradient_norm / d_norm - 1.0).abs() < 1e-4, "{discriminator:?} {d_norm}");
    assert!(trainer.update_generator(None, true).is_err());
}
