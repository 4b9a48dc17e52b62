//! Drawing z and pictures.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use dcgan_nn::{
    arithmetic::multiply, batch_norm::Statistics, init, labels::one_hot, pixels::to_pixels_of, rng,
};
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

/// What is given a batch's output, its labels where it has them, and how many of it were asked for.
type Each<'a> = &'a mut dyn FnMut(&Tensor, Option<&Tensor>, usize) -> Result<()>;

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
/// first pictures are the same whatever `n`. A conditional generator's labels go round: 0, 1, … and again from 0.
pub fn generate(generator: &Generator, n: usize, seed: u64) -> Result<Vec<u8>> {
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(generator, BatchStatistics::Batch, seed, &mut observe)?;
    let z = first_z(generator.config(), n, seed)?;
    match generator.config().classes {
        0 => sampler.draw(&z, &mut observe),
        _ => sampler.draw_labelled(&z, &sampler.round(0, n), &mut observe),
    }
}

/// Pictures of a conditional generator as by [`generate`], the first `n_z` z with each label: label after label.
pub fn generate_classes(generator: &Generator, n_z: usize, seed: u64) -> Result<Vec<u8>> {
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(generator, BatchStatistics::Batch, seed, &mut observe)?;
    let all: Vec<u32> = (0..generator.config().classes as u32).collect();
    sampler.draw_each(&first_z(generator.config(), n_z, seed)?, &all, &mut observe)
}

/// Draws the pictures of given z.
#[derive(Debug, Clone)]
pub struct Sampler<'a> {
    generator: &'a Generator,
    given: Option<Vec<Option<Statistics>>>,
    /// Seed of the z that fill up a short batch.
    seed: u64,
    /// The label of all that is drawn without others, for a conditional generator.
    label: Option<u32>,
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
        Ok(Self { generator, given, seed, label: None, factors: None })
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        self.generator
    }

    /// The inferred statistics, where it draws by them.
    pub(crate) fn given_statistics(self) -> Option<Vec<Option<Statistics>>> {
        self.given
    }

    /// The same for a conditional generator, whose pictures all get this label where no others are given with the z.
    ///
    /// # Errors
    /// [`GanError::Setting`] where the generator has no such label, or none at all.
    pub fn with_label(mut self, label: u32) -> Result<Self> {
        check_label(self.generator.config(), label)?;
        self.label = Some(label);
        Ok(self)
    }

    /// The same, with feature maps of one layer dropped: they are 0 at all places. `maps` holds their numbers; layer 0 is the
    /// linear one that makes the first maps, 1 the first transposed convolution. Inferred statistics stay those of the whole network.
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
        self.factors = Some((layer, dcgan_nn::device::tensor(factors, &[n_maps], self.generator.device())?));
        Ok(self)
    }

    /// The pictures of `z` (n, nz) as uint8 NCHW pixels.
    ///
    /// # Errors
    /// Where z has another length than the generator's, or the generator is conditional and there is no label;
    /// [`GanError::Interrupted`].
    pub fn draw(&self, z: &Array2<f32>, observe: Observe<'_>) -> Result<Vec<u8>> {
        self.pixels(z, None, observe)
    }

    /// The pictures of `z` (n, nz) with a label each, of a conditional generator, as uint8 NCHW pixels.
    ///
    /// # Errors
    /// As [`Self::draw`]; where there are as many labels or the generator has no such one.
    pub fn draw_labelled(&self, z: &Array2<f32>, labels: &[u32], observe: Observe<'_>) -> Result<Vec<u8>> {
        self.pixels(z, Some(labels), observe)
    }

    /// The pictures of every z with each of `labels`, label after label, of a conditional generator. In the batches that they
    /// are drawn in all labels stand beside each other, as in training, also those that are not asked for.
    ///
    /// # Errors
    /// As [`Self::draw_labelled`].
    pub fn draw_each(&self, z: &Array2<f32>, labels: &[u32], observe: Observe<'_>) -> Result<Vec<u8>> {
        let config = self.generator.config();
        labels.iter().try_for_each(|&label| check_label(config, label))?;
        let (n_z, n_classes) = (z.nrows(), config.classes);
        let rows: Vec<usize> = (0..n_z * n_classes).map(|i| i / n_classes).collect();
        let drawn = self.pixels(&z.select(Axis(0), &rows), Some(&self.round(0, rows.len())), observe)?;
        let len: usize = config.picture().iter().product();
        let places = labels.iter().flat_map(|&label| (0..n_z).map(move |j| j * n_classes + label as usize));
        Ok(places.flat_map(|place| &drawn[place * len..(place + 1) * len]).copied().collect())
    }

    /// The labels of `n` z from number `first` on where no others are given: 0, 1, … and again from 0.
    fn round(&self, first: usize, n: usize) -> Vec<u32> {
        (first..first + n).map(|i| (i % self.generator.config().classes.max(1)) as u32).collect()
    }

    fn pixels(&self, z: &Array2<f32>, labels: Option<&[u32]>, observe: Observe<'_>) -> Result<Vec<u8>> {
        let output = self.generator.config().output.activation();
        let mut pixels = Vec::new();
        self.batches(z, labels, self.n_layers(), observe, &mut |pictures, _, n| {
            pixels.extend(to_pixels_of(output, &pictures.narrow(0, 0, n)?)?);
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
        let output = self.generator.config().output.activation();
        let (mut pixels, mut scores) = (Vec::new(), Vec::new());
        self.batches(z, None, self.n_layers(), observe, &mut |pictures, labels, n| {
            let logits = discriminator.judge(pictures, labels)?.flatten_all()?.to_vec1::<f32>()?;
            scores.extend_from_slice(&logits[..n]);
            pixels.extend(to_pixels_of(output, &pictures.narrow(0, 0, n)?)?);
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
        self.batches(z, None, layer + self.generator.n_linear(), observe, &mut |batch, _, n| {
            maps.push(batch.narrow(0, 0, n)?);
            Ok(())
        })?;
        Ok(Tensor::cat(&maps, 0)?)
    }

    fn n_layers(&self) -> usize {
        self.generator.layers().len()
    }

    /// Passes whole batches through the first `n_layers` layers; `each` is given every batch.
    fn batches(
        &self,
        z: &Array2<f32>,
        labels: Option<&[u32]>,
        n_layers: usize,
        observe: Observe<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let config = self.generator.config();
        if z.ncols() != config.nz {
            let (expected, found) = (format!("{} numbers each", config.nz), z.ncols().to_string());
            return Err(GanError::Setting { key: "z", expected, found });
        }
        if let Some(labels) = labels.filter(|labels| labels.len() != z.nrows()) {
            let (expected, found) = (format!("{}, one for each z", z.nrows()), labels.len().to_string());
            return Err(GanError::Setting { key: "labels", expected, found });
        }
        for (batch, rows) in z.axis_chunks_iter(Axis(0), SAMPLE_BATCH).enumerate() {
            if observe((batch * SAMPLE_BATCH) as u64, z.nrows() as u64).is_break() {
                return Err(GanError::Interrupted);
            }
            let x = self.filled(rows, batch)?;
            let own = labels.map(|labels| &labels[batch * SAMPLE_BATCH..][..rows.nrows()]);
            let labels = self.filled_labels(own, batch)?;
            let (labels, given) = (labels.as_ref(), self.given.as_deref());
            let output = match &self.factors {
                Some((layer, factors)) if layer + self.generator.n_linear() <= n_layers => {
                    let behind = layer + self.generator.n_linear();
                    let maps = self.generator.pass(&x, labels, 0..behind, given)?.0;
                    let maps = multiply(&maps, factors)?;
                    self.generator.pass(&maps, labels, behind..n_layers, given)?.0
                }
                _ => self.generator.pass(&x, labels, 0..n_layers, given)?.0,
            };
            each(&output, labels, rows.nrows())?;
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

    /// The labels of a whole batch, the first ones given or all the sampler's own; none for a generator that takes none.
    fn filled_labels(&self, own: Option<&[u32]>, batch: usize) -> Result<Option<Tensor>> {
        let labels = match (own, self.label) {
            (Some(own), _) => {
                let fill = self.round(batch * SAMPLE_BATCH + own.len(), SAMPLE_BATCH - own.len());
                [own, &fill].concat()
            }
            (None, Some(label)) => vec![label; SAMPLE_BATCH],
            (None, None) => return Ok(None),
        };
        let config = self.generator.config();
        labels.iter().try_for_each(|&label| check_label(config, label))?;
        Ok(Some(one_hot(&labels, config.classes, self.generator.device())?))
    }
}

fn check_label(config: &GeneratorConfig, label: u32) -> Result<()> {
    if (label as usize) < config.classes {
        return Ok(());
    }
    let expected = match config.classes {
        0 => "none, as the generator is not conditional".to_owned(),
        n => format!("0 to {}, the generator's", n - 1),
    };
    Err(GanError::Setting { key: "labels", expected, found: label.to_string() })
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
        let n_classes = generator.config().classes;
        let labels = (n_classes > 0).then(|| {
            let first = batch * SAMPLE_BATCH as u64;
            let round = (first..first + SAMPLE_BATCH as u64).map(|i| (i % n_classes as u64) as u32);
            one_hot(&round.collect::<Vec<_>>(), n_classes, generator.device())
        });
        let labels = labels.transpose()?;
        add(&mut sums, generator.pass(&z, labels.as_ref(), 0..generator.layers().len(), None)?.1);
    }
    divide(&mut sums, STATISTICS_BATCHES as usize);
    Ok(sums)
}

#[cfg(test)]
mod tests;
