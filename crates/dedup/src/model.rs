//! The autoencoder: 3072 inputs, 128 ReLU units, 3072 outputs.

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use dcgan_nn::{
    checkpoint::Checkpoint,
    device, init,
    rng::{self, Purpose},
};

use crate::code::CODE_BITS;
use crate::preprocess::{N_INPUTS, Preprocessing};
use crate::{Code, DedupError, Result};

/// Pictures a matrix product takes at once. Codes do not depend on what else is in a call, as it is always cut alike.
pub(crate) const BATCH: usize = 64;

/// x̂ = V·relu(W·x + b) + c, over pictures that [`Preprocessing`] prepared.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    parameters: Vec<(String, Var)>,
    /// A bit is set where the unit's activation is above its threshold.
    thresholds: Vec<f32>,
    /// What is done to pictures before they come in.
    pub preprocessing: Preprocessing,
}

/// Names and shapes of the parameters.
pub(crate) const PARAMETERS: [(&str, &[usize]); 4] = [
    ("encoder.weight", &[N_INPUTS, CODE_BITS]),
    ("encoder.bias", &[CODE_BITS]),
    ("decoder.weight", &[CODE_BITS, N_INPUTS]),
    ("decoder.bias", &[N_INPUTS]),
];

impl Autoencoder {
    /// An untrained one: weights and biases from U(−1/√n, 1/√n) for n inputs of the layer, thresholds 0.
    pub fn random(preprocessing: Preprocessing, seed: u64) -> Result<Self> {
        let parameters = PARAMETERS.iter().zip(0..).map(|(&(name, shape), k)| {
            let n_inputs = if name.starts_with("encoder") { N_INPUTS } else { CODE_BITS };
            let mut draws = rng::stream(seed, Purpose::Weights, k);
            let values = (init::uniform(shape, &mut draws, &Device::Cpu)? / (n_inputs as f64).sqrt())?;
            Ok((name.to_owned(), Var::from_tensor(&values)?))
        });
        Ok(Self {
            parameters: parameters.collect::<Result<_>>()?,
            thresholds: vec![0.0; CODE_BITS],
            preprocessing,
        })
    }

    /// One of given values of the four parameters, thresholds 0.
    pub(crate) fn from_values(values: [Vec<f32>; 4], preprocessing: Preprocessing) -> Result<Self> {
        let parameters = PARAMETERS.iter().zip(values).map(|(&(name, shape), values)| {
            Ok((name.to_owned(), Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?))
        });
        let parameters = parameters.collect::<Result<_>>()?;
        Ok(Self { parameters, thresholds: vec![0.0; CODE_BITS], preprocessing })
    }

    /// The values of the four parameters.
    pub(crate) fn values(&self) -> Result<[Vec<f32>; 4]> {
        let mut values = [const { Vec::new() }; 4];
        for (values, (_, var)) in values.iter_mut().zip(&self.parameters) {
            *values = var.flatten_all()?.to_vec1()?;
        }
        Ok(values)
    }

    /// The same one on another device.
    ///
    /// # Errors
    /// Where a GPU has no memory for it.
    pub fn on(&self, device: &Device) -> Result<Self> {
        let moved = self.parameters.iter().map(|(name, var)| {
            Ok((name.clone(), Var::from_tensor(&var.as_tensor().detach().to_device(device)?)?))
        });
        Ok(Self { parameters: moved.collect::<Result<_>>()?, ..self.clone() })
    }

    /// The parameters with their names.
    pub fn parameters(&self) -> &[(String, Var)] {
        &self.parameters
    }

    /// Before the ReLU: inputs (n, 3072) → (n, 128).
    pub fn pre_activations(&self, inputs: &Tensor) -> Result<Tensor> {
        Ok(inputs.matmul(&self.parameters[0].1)?.broadcast_add(&self.parameters[1].1)?)
    }

    /// Activations (n, 128) → reconstructed inputs (n, 3072).
    pub fn decode(&self, activations: &Tensor) -> Result<Tensor> {
        Ok(activations.matmul(&self.parameters[2].1)?.broadcast_add(&self.parameters[3].1)?)
    }

    /// The mean square difference of pictures (bytes, 3072 each) and their reconstructions, in units of the inputs: 1 is
    /// what a standardised picture has from its own mean.
    pub fn reconstruction_error(&self, pictures: &[u8]) -> Result<f64> {
        let inputs = self.inputs(pictures)?;
        let outputs = self.decode(&self.pre_activations(&inputs)?.relu()?)?;
        Ok(f64::from((outputs - inputs)?.sqr()?.mean_all()?.to_scalar::<f32>()?))
    }

    /// The ReLU activations of pictures (bytes, 3072 each), 128 each.
    pub fn activations(&self, pictures: &[u8]) -> Result<Vec<f32>> {
        let mut activations = Vec::with_capacity(pictures.len() / N_INPUTS * CODE_BITS);
        let mut padded = Vec::new();
        for batch in pictures.chunks(BATCH * N_INPUTS) {
            padded.clear();
            padded.extend_from_slice(batch);
            padded.resize(BATCH * N_INPUTS, 0);
            let inputs = self.inputs(&padded)?;
            let values = match inputs.device().is_cpu() {
                true => self.pre_activations(&inputs)?.relu()?.flatten_all()?.to_vec1::<f32>()?,
                false => self.activations_from_gpu(&inputs)?,
            };
            activations.extend_from_slice(&values[..batch.len() / N_INPUTS * CODE_BITS]);
        }
        Ok(activations)
    }

    /// Inputs (n, 3072) on a GPU → 128 ReLU activations each; the product is done there in full f32, the rest, which is
    /// little, here.
    fn activations_from_gpu(&self, inputs: &Tensor) -> Result<Vec<f32>> {
        let products = inputs.matmul(&self.parameters[0].1)?.flatten_all()?.to_vec1::<f32>()?;
        let bias = self.parameters[1].1.to_vec1::<f32>()?;
        Ok(products
            .iter()
            .zip(bias.iter().cycle())
            .map(|(product, bias)| (product + bias).max(0.0))
            .collect())
    }

    /// The codes of pictures (bytes, 3072 each): bit i says whether activation i is above its threshold.
    pub fn codes(&self, pictures: &[u8]) -> Result<Vec<Code>> {
        let activations = self.activations(pictures)?;
        let bits =
            |units: &[f32]| Code::from_bits(units.iter().zip(&self.thresholds).map(|(unit, t)| unit > t));
        Ok(activations.chunks_exact(CODE_BITS).map(bits).collect())
    }

    fn inputs(&self, pictures: &[u8]) -> Result<Tensor> {
        let mut inputs = vec![0.0; pictures.len()];
        for (inputs, pixels) in inputs.chunks_exact_mut(N_INPUTS).zip(pictures.chunks_exact(N_INPUTS)) {
            self.preprocessing.inputs(pixels, inputs);
        }
        let shape = [pictures.len() / N_INPUTS, N_INPUTS];
        Ok(device::tensor(inputs, &shape, self.parameters[0].1.device())?)
    }

    /// The threshold of each unit, 0 or above.
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// Sets the threshold of each of the 128 units.
    pub(crate) fn set_thresholds(&mut self, thresholds: Vec<f32>) {
        debug_assert_eq!(thresholds.len(), CODE_BITS);
        self.thresholds = thresholds;
    }

    /// Adds parameters, thresholds and preprocessing to a checkpoint.
    pub fn store(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        for (name, var) in &self.parameters {
            checkpoint.insert(name.clone(), var.as_tensor());
        }
        checkpoint.insert("thresholds", &Tensor::from_slice(&self.thresholds, CODE_BITS, &Device::Cpu)?);
        let preprocessing = serde_json::to_string(&self.preprocessing).map_err(std::io::Error::from)?;
        checkpoint.describe("preprocessing", preprocessing);
        Ok(())
    }

    /// Takes it back from a checkpoint read from `path`.
    ///
    /// # Errors
    /// Where something is missing or has another shape.
    pub fn from_checkpoint(checkpoint: &Checkpoint, path: &Path) -> Result<Self> {
        let text = checkpoint.metadata("preprocessing").unwrap_or_default();
        let preprocessing = serde_json::from_str(text).map_err(|e| {
            DedupError::file(path, "an autoencoder with its `preprocessing`", format!("{text:?}: {e}"))
        })?;
        let parameters = PARAMETERS.iter().map(|&(name, shape)| {
            Ok((name.to_owned(), Var::from_tensor(&checkpoint.require(path, name, shape)?)?))
        });
        let thresholds = checkpoint.require(path, "thresholds", &[CODE_BITS])?.to_vec1()?;
        Ok(Self { parameters: parameters.collect::<Result<_>>()?, thresholds, preprocessing })
    }

    /// Writes the file whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::default();
        self.store(&mut checkpoint)?;
        Ok(checkpoint.save(path)?)
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where it cannot be read or is no such file.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_checkpoint(&Checkpoint::load(path, &Device::Cpu)?, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(n: usize) -> Vec<u8> {
        (0..n * N_INPUTS).map(|i| (i * i % 251 + i / 977 % 5) as u8).collect()
    }

    #[test]
    fn codes_agree_with_sums_written_out_and_do_not_depend_on_company() {
        let mut model = Autoencoder::random(Preprocessing { standardise: true }, 4).unwrap();
        model.set_thresholds((0..CODE_BITS).map(|i| i as f32 / 1000.0).collect());
        let pictures = pictures(BATCH + 3);
        let codes = model.codes(&pictures).unwrap();
        let weight = model.parameters[0].1.to_vec2::<f32>().unwrap();
        let bias = model.parameters[1].1.to_vec1::<f32>().unwrap();
        for image in [0, 60, BATCH + 2] {
            let pixels = &pictures[image * N_INPUTS..(image + 1) * N_INPUTS];
            let mut inputs = vec![0.0; N_INPUTS];
            model.preprocessing.inputs(pixels, &mut inputs);
            for unit in 0..CODE_BITS {
                let sum: f64 = (0..N_INPUTS).map(|k| f64::from(weight[k][unit]) * f64::from(inputs[k])).sum();
                let margin = sum + f64::from(bias[unit]) - unit as f64 / 1000.0;
                assert!(
                    margin.abs() < 1e-4 || codes[image].bit(unit) == (margin > 0.0),
                    "{image} {unit} {margin}"
                );
            }
            assert_eq!(model.codes(pixels).unwrap(), [codes[image]]);
        }
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_gpus_codes_are_those_of_the_cpu_where_nothing_is_near_a_threshold() {
        let device = match device::DeviceChoice::Cuda(0, device::Math::Tf32).open() {
            Ok(device) => device,
            Err(error) => {
                assert!(std::env::var_os("DCGAN_REQUIRE_GPU").is_none(), "{error}");
                return eprintln!("skipped: {error}");
            }
        };
        let model = Autoencoder::random(Preprocessing { standardise: true }, 4).unwrap();
        let moved = model.on(&device).unwrap();
        let pictures = pictures(BATCH + 3);
        let (here, there) = (model.activations(&pictures).unwrap(), moved.activations(&pictures).unwrap());
        let off = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{off}");
        let (here, there) = (model.codes(&pictures).unwrap(), moved.codes(&pictures).unwrap());
        let n_different: u32 = here
            .iter()
            .zip(&there)
            .map(|(a, b)| (0..CODE_BITS).filter(|&i| a.bit(i) != b.bit(i)).count() as u32)
            .sum();
        assert!(n_different <= 2, "{n_different} of {} bits", here.len() * CODE_BITS);
    }

    #[test]
    fn a_saved_one_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("autoencoder.safetensors");
        let mut model = Autoencoder::random(Preprocessing { standardise: true }, 5).unwrap();
        model.set_thresholds(vec![0.25; CODE_BITS]);
        model.save(&path).unwrap();
        let loaded = Autoencoder::load(&path).unwrap();
        let pictures = pictures(5);
        assert_eq!(loaded.codes(&pictures).unwrap(), model.codes(&pictures).unwrap());
        assert_eq!(loaded.preprocessing, model.preprocessing);
        let error = loaded.reconstruction_error(&pictures).unwrap();
        assert_eq!(error, model.reconstruction_error(&pictures).unwrap());
        assert!(error > 0.5 && error < 2.0, "{error}");
    }
}
