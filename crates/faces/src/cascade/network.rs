//! The later judges: small networks over gradients, which also say where in the window the face lies.

use super::surf::{Gradients, Patch};

/// A fully connected network with ReLU between its layers and the logistic function at its end.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// What it reads.
    pub(super) patches: Vec<Patch>,
    /// A window is kept above this score.
    pub(super) threshold: f32,
    /// At least one.
    pub(super) layers: Vec<Layer>,
}

/// Outputs whose sums are held in registers together.
const PANEL: usize = 64;

/// `y = W x + b`.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// For each [`PANEL`] of outputs, what each input counts in them.
    weights: Vec<[f32; PANEL]>,
    /// The last panel ends in zeros.
    bias: Vec<[f32; PANEL]>,
    n_in: usize,
    n_out: usize,
}

impl Layer {
    /// `weights`: (outputs, inputs).
    pub(super) fn new(n_in: usize, weights: &[f32], bias: &[f32]) -> Self {
        let n_out = bias.len();
        let panels = n_out.div_ceil(PANEL);
        let panel = |value: &dyn Fn(usize) -> Option<f32>, panel: usize| {
            std::array::from_fn(|k| value(panel * PANEL + k).unwrap_or_default())
        };
        let weight = |input: usize, output: usize| weights.get(output * n_in + input).copied();
        let each_input = |p: usize| (0..n_in).map(move |input| panel(&|output| weight(input, output), p));
        Self {
            weights: (0..panels).flat_map(each_input).collect(),
            bias: (0..panels).map(|p| panel(&|output| bias.get(output).copied(), p)).collect(),
            n_in,
            n_out,
        }
    }

    #[inline(always)]
    fn apply(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        for (weights, bias) in self.weights.chunks_exact(self.n_in).zip(&self.bias) {
            let mut sums = [0.0; PANEL];
            for (&value, weights) in input.iter().zip(weights) {
                for (sum, &weight) in sums.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
            output.extend(sums.iter().zip(bias).map(|(sum, bias)| sum + bias));
        }
        output.truncate(self.n_out);
    }
}

/// Values between layers.
#[derive(Clone, Debug, Default)]
pub(super) struct Activations {
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Network {
    /// Values of a patch.
    pub(super) const PER_PATCH: usize = 32;

    /// Score, shift to the right, shift down and growth, each from 0 to 1.
    #[inline(always)]
    pub(super) fn judge(&self, gradients: &Gradients, buffers: &mut Activations) -> [f32; 4] {
        let Activations { input, output } = buffers;
        input.resize(self.patches.len() * Self::PER_PATCH, 0.0);
        for (&patch, features) in self.patches.iter().zip(input.as_chunks_mut().0) {
            gradients.features(patch, features);
        }
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                std::mem::swap(input, output);
                input.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            layer.apply(input, output);
        }
        std::array::from_fn(|k| 1.0 / (1.0 + (-output.get(k).copied().unwrap_or_default()).exp()))
    }
}
