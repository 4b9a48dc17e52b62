use candle_core::{D, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{Autoencoder, Preprocessing};

const N: usize = 6;
const WEIGHTS: Weights = Weights { together: 0.7, balance: 0.4 };

fn draw(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.5..1.5)).collect()
}

fn batch() -> (Batch, Vec<f32>) {
    let batch = Batch { clean: draw(N * N_INPUTS, 1), copies: draw(2 * N * N_INPUTS, 2) };
    (batch, draw(N * CODE_BITS, 3).iter().map(|x| if *x > 0.0 { 2.0 } else { 0.0 }).collect())
}

fn network() -> Network {
    let values = Autoencoder::random(Preprocessing { standardise: true }, 4).unwrap().values().unwrap();
    Network::new(values, AdamConfig { beta1: 0.9, l2: 0.0, ..AdamConfig::default() })
}

/// The loss over candle's tensors, with its gradients by the four parameters.
fn by_candle(network: &Network, batch: &Batch, mask: &[f32]) -> (Terms, Vec<Vec<f32>>) {
    let model = Autoencoder::from_values(network.values(), Preprocessing { standardise: true }).unwrap();
    let tensor =
        |values: &[f32], n: usize| Tensor::from_slice(values, (n, values.len() / n), &Device::Cpu).unwrap();
    let (clean, mask) = (tensor(&batch.clean, N), tensor(mask, N));
    let (x, y) = batch.copies.split_at(N * N_INPUTS);
    let terms = || -> candle_core::Result<[Tensor; 3]> {
        let [a, b] = [x, y].map(|inputs| model.pre_activations(&tensor(inputs, N)).unwrap());
        let off = (model.decode(&(a.relu()? * &mask)?).unwrap() - &clean)?;
        let both = Tensor::cat(&[&a, &b], 0)?.detach();
        let centred = both.broadcast_sub(&both.mean_keepdim(0)?)?;
        let scale = (centred.sqr()?.mean(D::Minus2)?.sqrt()? + f64::from(LEAST_SCALE))?;
        let together = (&a - &b)?.broadcast_div(&scale)?.sqr()?.mean_all()?;
        Ok([off.sqr()?.mean_all()?, together, (a.mean(0)? / &scale)?.sqr()?.mean_all()?])
    };
    let [reconstruction, together, balance] = terms().unwrap();
    let weighed = |term: &Tensor, weight: f32| (term * f64::from(weight)).unwrap();
    let loss = (&reconstruction + weighed(&together, WEIGHTS.together)).unwrap();
    let gradients = (loss + weighed(&balance, WEIGHTS.balance)).unwrap().backward().unwrap();
    let of = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let gradients = model.parameters().iter().map(|(_, var)| of(var)).collect();
    ([reconstruction, together, balance].map(|term| f64::from(term.to_scalar::<f32>().unwrap())), gradients)
}

#[test]
fn gradients_agree_with_candles() {
    let (batch, mask) = batch();
    let mut network = network();
    let found = network.gradients(&batch, &mask, WEIGHTS);
    let (terms, expected) = by_candle(&network, &batch, &mask);
    assert!(
        found.iter().zip(terms).all(|(found, term)| (found - term).abs() < 1e-5 * term),
        "{found:?} {terms:?}"
    );
    for (found, expected) in network.whole(GRADIENT).iter().zip(&expected) {
        let largest = expected.iter().fold(0.0f32, |most, g| most.max(g.abs()));
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(found.len() == expected.len() && off < 1e-4 * largest, "{off} of {largest}");
    }
}

/// Along the gradient and along drawn directions; σ, which has no gradient, changes by a second-order term alone where its own
/// weight is 0, so reconstruction is checked here and the other terms with σ held fixed.
#[test]
fn gradients_agree_with_finite_differences() {
    let (batch, mask) = batch();
    let only = Weights { together: 0.0, balance: 0.0 };
    let mut network = network();
    network.gradients(&batch, &mask, only);
    let gradient = network.whole(GRADIENT);
    let values = network.values();
    for seed in 0..4 {
        // The first direction is the gradient itself.
        let direction = gradient.clone().map(|g| if seed == 0 { g } else { draw(g.len(), 10 + seed) });
        let norm = direction.iter().flatten().map(|d| f64::from(d * d)).sum::<f64>().sqrt();
        let at = |step: f64| {
            let mut moved = values.clone();
            for (value, d) in moved.iter_mut().flatten().zip(direction.iter().flatten()) {
                *value += (step * f64::from(*d) / norm) as f32;
            }
            Network::new(moved, network.adam).gradients(&batch, &mask, only)[0]
        };
        let slope: f64 =
            gradient.iter().flatten().zip(direction.iter().flatten()).map(|(g, d)| f64::from(g * d)).sum();
        let (expected, found) = (slope / norm, (at(0.02) - at(-0.02)) / 0.04);
        assert!((found - expected).abs() < 0.01 * expected.abs() + 2e-5, "{seed}: {found} {expected}");
    }

    // With σ fixed both terms are quadratic in the units, whose differences are exact.
    let units = draw(2 * N * CODE_BITS, 5);
    let (gradient, _) = hold_together(&units, WEIGHTS);
    let mean = |unit: usize, rows: &[f32]| {
        rows.iter().skip(unit).step_by(CODE_BITS).sum::<f32>() / (rows.len() / CODE_BITS) as f32
    };
    let scales: Vec<f32> = (0..CODE_BITS)
        .map(|unit| {
            let m = mean(unit, &units);
            let squares: Vec<f32> = units.iter().map(|a| (a - m).powi(2)).collect();
            mean(unit, &squares).sqrt() + LEAST_SCALE
        })
        .collect();
    let loss = |units: &[f32]| {
        let (a, b) = units.split_at(units.len() / 2);
        let scaled = |i: usize| f64::from((a[i] - b[i]) / scales[i % CODE_BITS]);
        let together = (0..a.len()).map(|i| scaled(i).powi(2)).sum::<f64>() / a.len() as f64;
        let off = |unit: usize| f64::from(mean(unit, a) / scales[unit]).powi(2);
        let balance = (0..CODE_BITS).map(off).sum::<f64>() / CODE_BITS as f64;
        f64::from(WEIGHTS.together) * together + f64::from(WEIGHTS.balance) * balance
    };
    for i in (0..units.len()).step_by(97) {
        let at = |step: f32| {
            let mut moved = units.clone();
            moved[i] += step;
            loss(&moved)
        };
        let found = (at(0.25) - at(-0.25)) / 0.5;
        assert!((found - f64::from(gradient[i])).abs() < 1e-5, "{i}: {found} {}", gradient[i]);
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (batch, mask) = batch();
    let trained = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let mut network = network();
            for _ in 0..3 {
                network.step(&batch, &mask, WEIGHTS, 1e-3);
            }
            network.values()
        })
    };
    assert!(trained(1) == trained(3));
}

#[test]
fn a_step_is_adams() {
    use dcgan_nn::adam::Adam;
    let (batch, mask) = batch();
    let mut network = network();
    let model = Autoencoder::from_values(network.values(), Preprocessing { standardise: true }).unwrap();
    let mut adam = Adam::new(model.parameters().to_vec(), AdamConfig { learning_rate: 1e-3, ..network.adam });
    for _ in 0..2 {
        network.step(&batch, &mask, WEIGHTS, 1e-3);
        let tensors: Vec<Tensor> = network
            .whole(GRADIENT)
            .into_iter()
            .zip(model.parameters())
            .map(|(g, (_, var))| Tensor::from_vec(g, var.shape(), &Device::Cpu).unwrap())
            .collect();
        adam.step_with(tensors.iter().map(Some)).unwrap();
    }
    assert!(network.values() == model.values().unwrap());
}
