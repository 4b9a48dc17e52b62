//! What the discriminator's features see: guided back-propagation (section 6.2).
//!
//! For a feature of the last conv layer, the pictures and places of a data set are found where it responds most along its
//! own axis, that is, where its map is largest; from each of these units the gradient is led back to the picture
//! through *guided* ReLUs (Springenberg et al. 2015): only a positive gradient passes, and only where the input was positive.
//! The method is stated for ReLU; of a LeakyReLU the same rule is taken, so that what its slope lets through of negative inputs is
//! left out. Batch norm uses the statistics inferred over a data set, as for features, so that a picture's gradient does not depend
//! on other pictures.

use candle_core::Tensor;
use dcgan_images::ImageStore;
use dcgan_nn::{
    batch_norm::{EPS, Statistics},
    conv::Convolution,
    layer::{Layer, Map},
};

use crate::{
    DiscriminatorConfig, FeatureExtractor, GanError, LEAKY_SLOPE, Result,
    features::{STATISTICS_BATCH, check_size},
    sample::Observe,
};

/// A place where a feature of the last conv layer responds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// The picture.
    pub image_idx: usize,
    /// The map's value there, behind LeakyReLU.
    pub value: f32,
    /// Row on the map.
    pub y: usize,
    /// Column on the map.
    pub x: usize,
}

/// For each of the first `n_features` features of the last conv layer, the `top_k` pictures of `store` with the largest
/// responses, largest first, each with the place of its largest one.
///
/// # Errors
/// [`GanError::Setting`] where the layer has fewer features; where the pictures do not fit the network;
/// [`GanError::Interrupted`].
pub fn strongest_responses(
    extractor: &FeatureExtractor,
    store: &ImageStore,
    n_features: usize,
    top_k: usize,
    observe: Observe<'_>,
) -> Result<Vec<Vec<Response>>> {
    let discriminator = extractor.discriminator();
    check_size(discriminator, store)?;
    let found = discriminator.config().layers.last().map_or(0, |layer| layer.channels);
    if n_features > found {
        let expected = format!("at most {found}, the features of the last conv layer");
        return Err(GanError::Setting { key: "n_features", expected, found: n_features.to_string() });
    }
    let mut strongest = vec![Vec::new(); n_features];
    let mut pixels = Vec::new();
    for first in (0..store.len()).step_by(STATISTICS_BATCH) {
        if observe(first as u64, store.len() as u64).is_break() {
            return Err(GanError::Interrupted);
        }
        let indices: Vec<u32> =
            (first..store.len().min(first + STATISTICS_BATCH)).map(|i| i as u32).collect();
        store.gather(&indices, &mut pixels);
        let x = extractor.activations(&pixels, indices.len())?;
        let maps = discriminator.maps_with(&x, extractor.statistics())?;
        let Some(last) = maps.last() else { continue };
        let (_, h, w, c) = last.dims4()?;
        let values = last.flatten_all()?.to_vec1::<f32>()?;
        for (offset, map) in values.chunks_exact(h * w * c).enumerate() {
            for (feature, strongest) in strongest.iter_mut().enumerate() {
                let places = map.iter().skip(feature).step_by(c).enumerate();
                // The first of equal ones.
                let best = places.max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
                strongest.extend(best.map(|(place, &value)| Response {
                    image_idx: first + offset,
                    value,
                    y: place / w,
                    x: place % w,
                }));
            }
        }
        for strongest in &mut strongest {
            strongest.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.image_idx.cmp(&b.image_idx)));
            strongest.truncate(top_k);
        }
    }
    Ok(strongest)
}

/// The guided gradient of a unit of the last conv layer, number `feature` at row `y` and column `x`, for one picture of
/// uint8 CHW pixels: as many numbers, in CHW order.
///
/// # Errors
/// Where the pixels do not fit the network, or there is no such unit.
pub fn guided_gradient(
    extractor: &FeatureExtractor,
    pixels: &[u8],
    feature: usize,
    (y, x): (usize, usize),
) -> Result<Vec<f32>> {
    let layers = extractor.discriminator().convolutions().iter().zip(extractor.statistics());
    let layers = layers.map(|(layer, statistics)| Guided::of(layer, statistics.as_ref()));
    let layers: Vec<Guided<'_>> = layers.collect::<Result<_>>()?;
    // Each layer's input, then what comes out of the last.
    let mut maps = vec![extractor.activations(pixels, 1)?];
    for layer in &layers {
        maps.push(layer.forward(&maps[maps.len() - 1])?);
    }
    let mut gradient = unit(&maps[maps.len() - 1], [y, x, feature])?;
    for (layer, maps) in layers.iter().zip(maps.windows(2)).rev() {
        gradient = layer.backward(&maps[0], &maps[1], &gradient)?;
    }
    Ok(gradient.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1()?)
}

/// The gradient of one value of maps (1, h, w, c): 1 there and 0 elsewhere.
fn unit(maps: &Tensor, [y, x, feature]: [usize; 3]) -> Result<Tensor> {
    let (_, h, w, c) = maps.dims4()?;
    if y >= h || x >= w || feature >= c {
        let message = format!("no feature {feature} at row {y}, column {x} of {h}x{w} maps of {c}");
        return Err(candle_core::Error::Msg(message).into());
    }
    let mut values = vec![0.0_f32; h * w * c];
    values[(y * w + x) * c + feature] = 1.0;
    Ok(Tensor::from_vec(values, maps.shape(), maps.device())?)
}

/// A convolution, batch norm by given statistics as y·scale + shift, and a guided LeakyReLU.
struct Guided<'a> {
    convolution: Convolution,
    kernel: &'a Tensor,
    norm: Option<[Tensor; 2]>,
}

impl<'a> Guided<'a> {
    fn of(layer: &'a Layer, statistics: Option<&Statistics>) -> Result<Self> {
        let Map::Convolution(convolution) = layer.map else {
            let message = "guided back-propagation goes through convolutions";
            return Err(candle_core::Error::Msg(message.into()).into());
        };
        let norm = match (&layer.norm, statistics) {
            (Some((gain, bias)), Some(statistics)) => Some(scale_and_shift(gain, bias, statistics)?),
            _ => None,
        };
        Ok(Self { convolution, kernel: &layer.kernel, norm })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = self.convolution.forward(x, &self.kernel.detach())?;
        if let Some([scale, shift]) = &self.norm {
            y = y.broadcast_mul(scale)?.broadcast_add(shift)?;
        }
        Ok(candle_nn::ops::leaky_relu(&y, f64::from(LEAKY_SLOPE))?)
    }

    /// Only a positive gradient passes, and only where the input of the ReLU, and so its output `y`, is positive.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let mut dy = (dy.relu()? * y.gt(0.0)?.to_dtype(dy.dtype())?)?;
        if let Some([scale, _]) = &self.norm {
            dy = dy.broadcast_mul(scale)?;
        }
        Ok(self.convolution.input_gradient(x.dims(), &self.kernel.detach(), &dy)?)
    }
}

/// (y − mean)·gain/σ + bias as y·scale + shift.
fn scale_and_shift(gain: &Tensor, bias: &Tensor, statistics: &Statistics) -> Result<[Tensor; 2]> {
    let gains = gain.to_vec1::<f32>()?;
    let scale: Vec<f64> =
        gains.iter().zip(&statistics.variance).map(|(&g, v)| f64::from(g) / (v + EPS).sqrt()).collect();
    let bias = bias.to_vec1::<f32>()?;
    let shift = bias.iter().zip(&statistics.mean).zip(&scale);
    let shift: Vec<f32> = shift.map(|((&b, mean), scale)| (f64::from(b) - mean * scale) as f32).collect();
    let scale = scale.iter().map(|&scale| scale as f32).collect();
    let channels = |values: Vec<f32>| Tensor::from_vec(values, gains.len(), gain.device());
    Ok([channels(scale)?, channels(shift)?])
}

/// The window of the picture that a unit of the last conv layer sees: `size`×`size` pixels whose first row (and column) is
/// `first` + `stride`·y for the unit in row y; it may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Its side.
    pub size: usize,
    /// From one unit's to the next one's.
    pub stride: usize,
    /// Where the first unit's begins; not above 0.
    pub first: isize,
}

impl ReceptiveField {
    /// Of the last conv layer.
    pub fn of(config: &DiscriminatorConfig) -> Self {
        let start = Self { size: 1, stride: 1, first: 0 };
        config.layers.iter().fold(start, |field, layer| Self {
            size: field.size + (config.kernel - 1) * field.stride,
            stride: field.stride * layer.stride,
            first: field.first - (config.kernel / 2 * field.stride) as isize,
        })
    }
}

#[cfg(test)]
mod tests;
