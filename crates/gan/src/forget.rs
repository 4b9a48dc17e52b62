//! Drawing without an object (section 6.3.1).
//!
//! A logistic regression tells the places of the generator's feature maps that lie in the object's boxes from places drawn at
//! random in the same pictures; maps whose weight is positive are dropped, that is, set to 0 at all places
//! ([`Sampler::without`]). [`measure::measure`] has what came of it judged by classifiers, beside controls.

pub mod measure;
use dcgan_files::words::counted;
use dcgan_images::{PixelBox, SampleBox};
use dcgan_nn::rng;
use linfa::{DatasetBase, traits::Fit};
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};
use rand::{Rng as _, seq::SliceRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GanError, Generator, GeneratorConfig, Result, Sampler, sample::Observe};

/// How the object's maps are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForgetConfig {
    /// Which of the generator's feature maps, counted from the picture: 1 for the layer that the picture is made of, 2 for the
    /// one below. The paper says "the second highest convolution layer", and that 200 maps were dropped; the layer
    /// that the picture is made of has only 128 maps in its network, the one below it 256, so that it must be this one.
    pub layer: usize,
    /// Negatives for each positive place of a picture (unstated in the paper); all there are where there are fewer.
    pub negatives: f64,
    /// l2 penalty of the regression (unstated): Σ ln(1 + e^(−y·(w·x + b))) + l2/2·|w|² is minimised; scikit-learn's
    /// `LogisticRegression` has the same with C = 1/l2 = 1.
    pub l2: f64,
    /// Seed of the negatives' places.
    pub seed: u64,
}

impl Default for ForgetConfig {
    fn default() -> Self {
        Self { layer: 2, negatives: 1.0, l2: 1.0, seed: 0 }
    }
}

impl ForgetConfig {
    /// Checks the ranges that do not depend on the generator.
    ///
    /// # Errors
    /// [`GanError::Setting`].
    pub fn validate(&self) -> Result<()> {
        let checks = [
            ("layer", self.layer > 0, "at least 1", self.layer.to_string()),
            (
                "negatives",
                self.negatives > 0.0 && self.negatives <= 1000.0,
                "above 0 and up to 1000",
                self.negatives.to_string(),
            ),
            ("l2", self.l2 > 0.0 && self.l2.is_finite(), "above 0", self.l2.to_string()),
        ];
        match checks.into_iter().find(|(_, is_right, ..)| !is_right) {
            Some((key, _, expected, found)) => {
                Err(GanError::Setting { key, expected: expected.into(), found })
            }
            None => Ok(()),
        }
    }

    /// The generator's layer, as [`Sampler::without`] counts.
    ///
    /// # Errors
    /// [`GanError::Setting`] where it has fewer.
    pub fn layer_of(&self, config: &GeneratorConfig) -> Result<usize> {
        let n = config.layers.len();
        if (1..n).contains(&self.layer) {
            return Ok(n - self.layer);
        }
        let expected = format!("1 to {}, the generator's layers of feature maps", n - 1);
        Err(GanError::Setting { key: "layer", expected, found: self.layer.to_string() })
    }
}

/// What was learned of the object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectMaps {
    /// The layer, as [`Sampler::without`] counts.
    pub layer: usize,
    /// One weight a feature map.
    pub weights: Vec<f32>,
    /// Places in the boxes, and as many or as few as were drawn beside them.
    pub n_places: [usize; 2],
    /// Share of these places that the regression tells rightly.
    pub accuracy: f64,
}

impl ObjectMaps {
    /// The maps with a positive weight.
    pub fn positive(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&map| self.weights[map] > 0.0).collect()
    }

    /// As many maps drawn at random among all, draw number `draw`: what dropping maps does that were not chosen.
    pub fn random(&self, seed: u64, draw: u64) -> Vec<usize> {
        let mut maps = self.shuffled(seed, draw);
        maps.truncate(self.positive().len());
        maps.sort_unstable();
        maps
    }

    /// As many maps drawn at random whose weights in the next layer have the same norm in all, to one percent or as near as
    /// swaps come, draw number `draw`. `norms` are [`outgoing_norms`]. Dropping them takes as much of the next
    /// layer's kernel away as dropping [`Self::positive`].
    pub fn matched(&self, norms: &[f64], seed: u64, draw: u64) -> Vec<usize> {
        let positive = self.positive();
        let mut rng = rng::stream(seed, rng::Purpose::Forgetting, MATCHED + draw);
        let (mut inside, mut outside) = (self.shuffled(seed, MATCHED + draw), Vec::new());
        if positive.len() < inside.len() {
            outside = inside.split_off(positive.len());
        }
        let square = |maps: &[usize]| maps.iter().map(|&map| norms[map].powi(2)).sum::<f64>();
        let wanted = square(&positive);
        let mut found = square(&inside);
        // The norm is a root: one percent of it are two of its square.
        let mut n_tries = 0;
        while (found - wanted).abs() > 0.02 * wanted && n_tries < MOST_SWAPS && !outside.is_empty() {
            let (i, o) = (rng.random_range(0..inside.len()), rng.random_range(0..outside.len()));
            let swapped = found - norms[inside[i]].powi(2) + norms[outside[o]].powi(2);
            if (swapped - wanted).abs() < (found - wanted).abs() {
                std::mem::swap(&mut inside[i], &mut outside[o]);
                found = swapped;
            }
            n_tries += 1;
        }
        inside.sort_unstable();
        inside
    }

    fn shuffled(&self, seed: u64, draw: u64) -> Vec<usize> {
        let mut maps: Vec<usize> = (0..self.weights.len()).collect();
        maps.shuffle(&mut rng::stream(seed, rng::Purpose::Forgetting, CONTROLS + draw));
        maps
    }
}

/// Counters of the streams that controls are drawn from; those below are the samples'.
const CONTROLS: u64 = 1 << 48;
/// Added for matched controls.
const MATCHED: u64 = 1 << 32;
/// Swaps tried until a matched control is taken as it is.
const MOST_SWAPS: usize = 20_000;

/// Euclidean norm of each feature map's weights in the layer behind `layer` (which counts as [`Sampler::without`] does).
///
/// # Errors
/// [`GanError::Setting`] where the generator has no layer behind it.
pub fn outgoing_norms(generator: &Generator, layer: usize) -> Result<Vec<f64>> {
    let Some(next) = generator.layers().get(layer + generator.n_linear()) else {
        let expected = format!("below {}, the generator's last layer", generator.config().layers.len());
        return Err(GanError::Setting { key: "layer", expected, found: layer.to_string() });
    };
    // A transposed convolution's kernel is (kh, kw, out, in).
    let channels = *next.kernel.dims().last().unwrap_or(&1);
    let mut squares = vec![0.0; channels];
    for row in next.kernel.flatten_all()?.to_vec1::<f32>()?.chunks_exact(channels) {
        squares.iter_mut().zip(row).for_each(|(sum, &weight)| *sum += f64::from(weight).powi(2));
    }
    Ok(squares.into_iter().map(f64::sqrt).collect())
}

/// Learns which of the sampler's feature maps draw the object in `boxes` on the pictures of `z`.
///
/// A place of the maps is in a box if the middle of the pixels that it stands for is. Negatives are drawn outside the boxes:
/// a place inside would be labelled wrongly.
///
/// # Errors
/// [`GanError::Setting`] for settings out of range; [`GanError::NoBoxes`]; [`GanError::Boxes`] where no place is in a box, or none outside;
/// [`GanError::Logistic`]; [`GanError::Interrupted`].
pub fn learn(
    sampler: &Sampler<'_>,
    z: &Array2<f32>,
    boxes: &[SampleBox],
    config: &ForgetConfig,
    observe: Observe<'_>,
) -> Result<ObjectMaps> {
    config.validate()?;
    if boxes.is_empty() {
        return Err(GanError::NoBoxes { n_samples: z.nrows() });
    }
    let generator = sampler.generator().config();
    let layer = config.layer_of(generator)?;
    let mut boxed: Vec<usize> = boxes.iter().map(|b| b.sample).collect();
    boxed.sort_unstable();
    boxed.dedup();
    let maps = sampler.maps(&crate::latent::rows_of(z, "boxes", &boxed)?, layer, observe)?;
    let (_, height, width, c) = maps.dims4()?;
    let scale = generator.image_size() as f64 / width as f64;
    let values = maps.flatten_all()?.to_vec1::<f32>()?;

    let (mut features, mut targets) = (Vec::new(), Vec::new());
    for (maps, &sample) in values.chunks_exact(height * width * c).zip(&boxed) {
        let own: Vec<PixelBox> = boxes.iter().filter(|b| b.sample == sample).map(|b| b.bounds).collect();
        let (inside, mut outside): (Vec<usize>, Vec<usize>) = (0..height * width).partition(|place| {
            let middle = |i: usize| (i as f64 + 0.5) * scale;
            own.iter().any(|b| b.contains(middle(place % width), middle(place / width)))
        });
        outside.shuffle(&mut rng::stream(config.seed, rng::Purpose::Forgetting, sample as u64));
        outside.truncate((inside.len() as f64 * config.negatives).round() as usize);
        for (places, target) in [(&inside, true), (&outside, false)] {
            for place in places {
                features.extend(maps[place * c..][..c].iter().map(|&v| f64::from(v)));
                targets.push(target);
            }
        }
    }
    let n_inside = targets.iter().filter(|&&target| target).count();
    let n_places = [n_inside, targets.len() - n_inside];
    if n_places.contains(&0) {
        let found =
            format!("{} places in {}, {} beside", n_places[0], counted(boxes.len(), "box"), n_places[1]);
        return Err(GanError::Boxes { size: width, found });
    }
    let features =
        Array2::from_shape_vec((targets.len(), c), features).map_err(crate::sample::shape_error)?;
    let (weights, intercept) = logistic(&features, &targets, config.l2)?;
    let scores = features.dot(&weights) + intercept;
    let n_right = scores.iter().zip(&targets).filter(|&(&score, &target)| (score > 0.0) == target).count();
    Ok(ObjectMaps {
        layer,
        weights: weights.iter().map(|&w| w as f32).collect(),
        n_places,
        accuracy: n_right as f64 / targets.len() as f64,
    })
}

/// Weights and intercept of the logistic regression of `targets` on the rows of `features`.
fn logistic(features: &Array2<f64>, targets: &[bool], l2: f64) -> Result<(Array1<f64>, f64)> {
    let dataset = DatasetBase::new(features.view(), Array1::from(targets.to_vec()));
    let model = LogisticRegression::default()
        .alpha(l2)
        .max_iterations(1000)
        .gradient_tolerance(1e-6)
        .fit(&dataset)?;
    // linfa takes the more frequent class for the positive one.
    let sign = if model.labels().pos.class { 1.0 } else { -1.0 };
    Ok((model.params() * sign, model.intercept() * sign))
}

#[cfg(test)]
mod tests;
