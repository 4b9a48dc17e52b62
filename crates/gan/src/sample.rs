//! Drawing z and pictures.

use std::ops::ControlFlow;

use candle_core::{Device, Module, Tensor};
use dcgan_nn::{batch_norm::Statistics, init, pixels::to_pixels, rng};
use ndarray::{Array2, ArrayView2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Discriminator, GanError, Generator, GeneratorConfig, Result, ZDistribution,
    features::{add, divide},
};

/// Pictures drawn in one batch: the batch size of the paper's training, since batch norm uses the batch's statistics.
pub const SAMPLE_BATCH: usize = 128;
/// Batches over which a generator's statistics are inferred: 6,400 pictures.
const STATISTICS_BATCHES: u64 = 50;

/// What long functions report to: units done and their total; [`ControlFlow::Break`] asks them to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Whose mean and variance batch norm uses when pictures are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatistics {
    /// The batch's own, as in the released code. Batches are always of [`SAMPLE_BATCH`] z: a short one is filled up with fresh
    /// draws, so that the statistics are those of the distribution and not of the few z that are asked for. A picture
    /// still depends a little on the z beside it.
    #[default]
    Batch,
    /// Inferred once, over 50 batches of fresh z from a fixed seed, as the paper infers the discriminator's for features: the
    /// unweighted mean over batches of the batch mean and the biased batch variance. A picture depends on its z alone, so
    /// that the points of a walk, means of z and their neighbours can be compared.
    Inferred,
}

/// `n` draws of z, (n, nz), from a stream of [`rng::stream`].
pub fn draw_z(
    config: &GeneratorConfig,
    n: usize,
    (seed, purpose, counter): (u64, rng::Purpose, u64),
    device: &Device,
) -> Result<Tensor> {
    let mut rng = rng::stream(seed, purpose, counter);
    Ok(match config.z {
        ZDistribution::Uniform => init::uniform(&[n, config.nz], &mut rng, device)?,
        ZDistribution::Normal => init::normal(&[n, config.nz], 0.0, 1.0, &mut rng, device)?,
    })
}

/// The first `n` z under `seed`, (n, nz), drawn in whole batches of [`SAMPLE_BATCH`]: the same first ones whatever `n`.
pub fn first_z(config: &GeneratorConfig, n: usize, seed: u64) -> Result<Array2<f32>> {
    let mut z = Array2::zeros((0, config.nz));
    for batch in 0..n.div_ceil(SAMPLE_BATCH) {
        z.append(Axis(0), batch_of_z(config, seed, batch)?.view()).map_err(shape_error)?;
    }
    Ok(z.slice_move(s![..n, ..]))
}

fn batch_of_z(config: &GeneratorConfig, seed: u64, batch: usize) -> Result<Array2<f32>> {
    let z = draw_z(config, SAMPLE_BATCH, (seed, rng::Purpose::SampleZ, batch as u64), &Device::Cpu)?;
    let values = z.flatten_all()?.to_vec1()?;
    Array2::from_shape_vec((SAMPLE_BATCH, config.nz), values).map_err(shape_error)
}

/// Shapes that this crate itself made always fit; the error is kept all the same.
pub(crate) fn shape_error(error: ndarray::ShapeError) -> GanError {
    candle_core::Error::Msg(error.to_string()).into()
}

/// `n` pictures as uint8 NCHW pixels, drawn from `seed` in whole batches of [`SAMPLE_BATCH`] with their own statistics; the
/// first pictures are the same whatever `n`.
pub fn generate(generator: &Generator, n: usize, seed: u64) -> Result<Vec<u8>> {
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(generator, BatchStatistics::Batch, seed, &mut observe)?;
    sampler.draw(&first_z(generator.config(), n, seed)?, &mut observe)
}

/// Draws the pictures of given z.
#[derive(Debug, Clone)]
pub struct Sampler<'a> {
    generator: &'a Generator,
    given: Option<Vec<Option<Statistics>>>,
    /// Seed of the z that fill up a short batch.
    seed: u64,
    /// Factors (c) of the maps of layer number `.0`: 0 for those that are dropped.
    factors: Option<(usize, Tensor)>,
}

impl<'a> Sampler<'a> {
    /// Makes ready to draw; `seed` is that of the z that fill up short batches, `observe` gets the z that statistics were
    /// inferred over.
    ///
    /// # Errors
    /// [`GanError::Interrupted`] where `observe` breaks.
    pub fn new(
        generator: &'a Generator,
        statistics: BatchStatistics,
        seed: u64,
        observe: Observe<'_>,
    ) -> Result<Self> {
        let given = match statistics {
            BatchStatistics::Batch => None,
            BatchStatistics::Inferred => Some(infer(generator, observe)?),
        };
        Ok(Self { generator, given, seed, factors: None })
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        self.generator
    }

    /// The same, with feature maps of one layer dropped: they are 0 at all places. `maps` holds their numbers; layer 0 is the
    /// linear one, 1 the first transposed convolution. Inferred statistics stay those of the whole network.
    ///
    /// # Errors
    /// Where the layer is not a transposed convolution before the last one, or a map is not there.
    pub fn without(mut self, layer: usize, maps: &[usize]) -> Result<Self> {
        let n_maps = match layer.checked_sub(1).and_then(|i| self.generator.config().layers.get(i)) {
            Some(found) if layer < self.generator.config().layers.len() => found.channels,
            _ => 0,
        };
        let mut factors = vec![1.0_f32; n_maps];
        for &map in maps {
            let expected = format!("below {n_maps}, the number of maps of layer {layer}");
            let missing = GanError::Setting { key: "maps", expected, found: map.to_string() };
            *factors.get_mut(map).ok_or(missing)? = 0.0;
        }
        self.factors = Some((layer, Tensor::from_vec(factors, n_maps, self.generator.device())?));
        Ok(self)
    }

    /// The pictures of `z` (n, nz) as uint8 NCHW pixels.
    ///
    /// # Errors
    /// Where z has another length than the generator's; [`GanError::Interrupted`].
    pub fn draw(&self, z: &Array2<f32>, observe: Observe<'_>) -> Result<Vec<u8>> {
        let mut pixels = Vec::new();
        self.batches(z, self.n_layers(), observe, &mut |pictures, n| {
            pixels.extend(to_pixels(&pictures.narrow(0, 0, n)?)?);
            Ok(())
        })?;
        Ok(pixels)
    }

    /// The pictures, and for each the discriminator's logit (above 0: rather real), by the statistics of its batch.
    ///
    /// # Errors
    /// As [`Self::draw`]; where the discriminator has no last layer or is made for other pictures.
    pub fn draw_scored(
        &self,
        z: &Array2<f32>,
        discriminator: &Discriminator,
        observe: Observe<'_>,
    ) -> Result<(Vec<u8>, Vec<f32>)> {
        let (mut pixels, mut scores) = (Vec::new(), Vec::new());
        self.batches(z, self.n_layers(), observe, &mut |pictures, n| {
            let logits = discriminator.forward(pictures)?.flatten_all()?.to_vec1::<f32>()?;
            scores.extend_from_slice(&logits[..n]);
            pixels.extend(to_pixels(&pictures.narrow(0, 0, n)?)?);
            Ok(())
        })?;
        Ok((pixels, scores))
    }

    /// What layer number `layer` puts out for `z`: (n, h, w, c), behind batch norm and ReLU.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn maps(&self, z: &Array2<f32>, layer: usize, observe: Observe<'_>) -> Result<Tensor> {
        let mut maps = Vec::new();
        self.batches(z, layer + 1, observe, &mut |batch, n| {
            maps.push(batch.narrow(0, 0, n)?);
            Ok(())
        })?;
        Ok(Tensor::cat(&maps, 0)?)
    }

    fn n_layers(&self) -> usize {
        self.generator.config().layers.len() + 1
    }

    /// Passes whole batches through the first `n_layers` layers; `each` is given a batch's output and how many of it were
    /// asked for.
    fn batches(
        &self,
        z: &Array2<f32>,
        n_layers: usize,
        observe: Observe<'_>,
        each: &mut dyn FnMut(&Tensor, usize) -> Result<()>,
    ) -> Result<()> {
        let config = self.generator.config();
        if z.ncols() != config.nz {
            let (expected, found) = (format!("{} numbers each", config.nz), z.ncols().to_string());
            return Err(GanError::Setting { key: "z", expected, found });
        }
        for (batch, rows) in z.axis_chunks_iter(Axis(0), SAMPLE_BATCH).enumerate() {
            if observe((batch * SAMPLE_BATCH) as u64, z.nrows() as u64).is_break() {
                return Err(GanError::Interrupted);
            }
            let x = self.filled(rows, batch)?;
            let given = self.given.as_deref();
            let output = match &self.factors {
                Some((layer, factors)) if *layer < n_layers => {
                    let maps = self.generator.pass(&x, 0..layer + 1, given)?.0.broadcast_mul(factors)?;
                    self.generator.pass(&maps, layer + 1..n_layers, given)?.0
                }
                _ => self.generator.pass(&x, 0..n_layers, given)?.0,
            };
            each(&output, rows.nrows())?;
        }
        Ok(())
    }

    /// A whole batch whose first z are `rows`.
    fn filled(&self, rows: ArrayView2<'_, f32>, batch: usize) -> Result<Tensor> {
        let mut z: Vec<f32> = rows.iter().copied().collect();
        if rows.nrows() < SAMPLE_BATCH {
            let fill = batch_of_z(self.generator.config(), self.seed, batch)?;
            z.extend(fill.slice(s![rows.nrows().., ..]));
        }
        Ok(Tensor::from_vec(z, (SAMPLE_BATCH, rows.ncols()), self.generator.device())?)
    }
}

fn infer(generator: &Generator, observe: Observe<'_>) -> Result<Vec<Option<Statistics>>> {
    let mut sums = Vec::new();
    for batch in 0..STATISTICS_BATCHES {
        let total = STATISTICS_BATCHES * SAMPLE_BATCH as u64;
        if observe(batch * SAMPLE_BATCH as u64, total).is_break() {
            return Err(GanError::Interrupted);
        }
        let stream = (0, rng::Purpose::StatisticsZ, batch);
        let z = draw_z(generator.config(), SAMPLE_BATCH, stream, generator.device())?;
        add(&mut sums, generator.pass(&z, 0..generator.layers().len(), None)?.1);
    }
    divide(&mut sums, STATISTICS_BATCHES as usize);
    Ok(sums)
}

#[cfg(test)]
mod tests;
