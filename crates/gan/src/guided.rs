//! What the discriminator's features see: guided back-propagation (section 6.2).
//!
//! For a feature of the last conv layer, the pictures and places of a data set are found where it responds most along its
//! own axis, that is, where its map is largest; from each of these units the gradient is led back to the picture
//! through guided ReLUs ([`dcgan_nn::activation::guided_leaky_relu`]). Batch norm uses the statistics inferred over a data
//! set, as for features, so that a picture's gradient does not depend on other pictures.

use candle_core::{Tensor, Var};
use dcgan_images::ImageStore;
use dcgan_nn::{
    activation::guided_leaky_relu,
    batch_norm::{EPS, Statistics},
    conv::conv2d,
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
    let picture = Var::from_tensor(&extractor.activations(pixels, 1)?)?;
    let layers = extractor.discriminator().convolutions().iter().zip(extractor.statistics());
    let mut maps = picture.as_tensor().clone();
    for (layer, statistics) in layers {
        maps = guided_layer(&maps, layer, statistics.as_ref())?;
    }
    let unit = maps.narrow(1, y, 1)?.narrow(2, x, 1)?.narrow(3, feature, 1)?.sum_all()?;
    match unit.backward()?.get(&picture) {
        Some(gradient) => Ok(gradient.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1()?),
        // A network without layers.
        None => Ok(vec![0.0; pixels.len()]),
    }
}

/// A convolution, batch norm by given statistics and a guided LeakyReLU, in candle's graph.
fn guided_layer(x: &Tensor, layer: &Layer, statistics: Option<&Statistics>) -> Result<Tensor> {
    let Map::Convolution(convolution) = layer.map else {
        return Err(
            candle_core::Error::Msg("guided back-propagation goes through convolutions".into()).into()
        );
    };
    let mut y = conv2d(x, &layer.kernel.detach(), convolution.stride, convolution.padding)?;
    if let (Some((gain, bias)), Some(statistics)) = (&layer.norm, statistics) {
        // (y − mean)·gain/σ + bias as y·scale + shift.
        let gain = gain.to_vec1::<f32>()?;
        let scale: Vec<f64> =
            gain.iter().zip(&statistics.variance).map(|(&g, v)| f64::from(g) / (v + EPS).sqrt()).collect();
        let bias = bias.to_vec1::<f32>()?;
        let shift = bias.iter().zip(&statistics.mean).zip(&scale);
        let shift: Vec<f32> = shift.map(|((&b, mean), scale)| (f64::from(b) - mean * scale) as f32).collect();
        let scale: Vec<f32> = scale.iter().map(|&scale| scale as f32).collect();
        let channels = |values: Vec<f32>| Tensor::from_vec(values, gain.len(), x.device());
        y = y.broadcast_mul(&channels(scale)?)?.broadcast_add(&channels(shift)?)?;
    }
    Ok(guided_leaky_relu(&y, LEAKY_SLOPE)?)
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
