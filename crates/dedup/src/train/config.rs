//! Settings of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::check;

/// Where an activation becomes a bit. Unstated in the paper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// Above 0: the unit is on.
    #[default]
    Zero,
    /// Above the unit's median over the training pictures, which is 0 for units that are mostly off: balances the bits of
    /// units that are mostly on.
    Median,
}

/// What settings are where they are not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper's: a plain denoising, dropout-regularised ReLU autoencoder on 32×32 centre crops.
    Paper,
    /// Ours, for copies that were changed: standardised pictures, cut and brightened copies whose codes are held together, and
    /// balanced bits.
    #[default]
    Robust,
}

/// Settings of [`train`](super::train). The paper (section 4.1.1) states the sizes, that it is a denoising autoencoder and that
/// dropout regularises it; how much noise and dropout, where the threshold lies and how it is trained is unstated. Settings
/// that are not given are those of [`Preset`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Given")]
pub struct TrainConfig {
    /// What the settings are where they are not given.
    pub preset: Preset,
    /// Bring each picture to mean 0 and contrast 1.
    pub standardise: bool,
    /// Standard deviation of the Gaussian noise on the inputs, in their units.
    pub noise: f64,
    /// Share of activations that are dropped.
    pub dropout: f64,
    /// A picture is cut by up to this share of its side, at a random place, before it is corrupted.
    pub zoom: f64,
    /// And is made darker or brighter by up to this share, clipped at white.
    pub brightness: f64,
    /// Weight of the term that holds the activations of two such copies of a picture together.
    pub together: f64,
    /// Weight of the term that holds each unit's mean before the ReLU near 0, and so its bit balanced.
    pub balance: f64,
    /// Where an activation becomes a bit.
    pub threshold: ThresholdRule,
    /// Adam's rate at the start; it falls linearly to 0.
    pub learning_rate: f64,
    /// Pictures in a minibatch.
    pub batch_size: usize,
    /// Passes over the training pictures.
    pub epochs: u64,
    /// Minibatches at least: small sets are passed over more often.
    pub min_minibatches: u64,
    /// Train on this many pictures, drawn at random; on all where it is not given.
    pub n_images: Option<usize>,
    /// Share of the pictures (at most 1,000) that are kept out of training to measure reconstruction.
    pub validation_share: f64,
    /// Minutes between two checkpoints.
    pub checkpoint_minutes: f64,
    /// Seed of every draw.
    pub seed: u64,
}

/// [`TrainConfig`] as it is written: what is left out is the preset's.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Given {
    /// What the other keys are where they are not given; the defaults below are robust's. paper: the plain denoising,
    /// dropout-regularised autoencoder of section 4.1.1: standardise false; zoom, brightness, together and balance 0.
    preset: Preset,
    /// Bring each picture to mean 0 and contrast 1: brightness and contrast then do not change its code.
    standardise: Option<bool>,
    /// Gaussian noise on the inputs, in their units.
    #[schemars(extend("minimum" = 0.0, "maximum" = 10.0))]
    noise: Option<f64>,
    /// Share of the 128 activations that are dropped.
    #[schemars(extend("minimum" = 0.0, "maximum" = 0.95))]
    dropout: Option<f64>,
    /// Copies are cut by up to this share of their side.
    #[schemars(extend("minimum" = 0.0, "maximum" = 0.5))]
    zoom: Option<f64>,
    /// Copies are made darker or brighter by up to this share, clipped at white.
    #[schemars(extend("minimum" = 0.0, "maximum" = 0.9))]
    brightness: Option<f64>,
    /// Weight of the term that holds two copies' activations together; 0 for the plain denoising autoencoder.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1000.0))]
    together: Option<f64>,
    /// Weight of the term that keeps the bits balanced.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1000.0))]
    balance: Option<f64>,
    /// A bit is set above 0, or above the unit's median over the training pictures. Unstated in the paper.
    threshold: Option<ThresholdRule>,
    /// Adam's at the start; it falls to 0.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    learning_rate: Option<f64>,
    /// Pictures in a minibatch.
    batch_size: Option<usize>,
    /// Passes over the pictures.
    epochs: Option<u64>,
    /// Minibatches at least: small sets are passed over more often than `epochs` says.
    min_minibatches: Option<u64>,
    /// Train on so many of the pictures, drawn at random; else on all.
    n_images: Option<usize>,
    /// Share of the pictures (1,000 at most) that are kept out of training to measure reconstruction.
    #[schemars(extend("minimum" = 0.0, "maximum" = 0.5))]
    validation_share: Option<f64>,
    /// Minutes between two checkpoints.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    checkpoint_minutes: Option<f64>,
    /// Seed of the weights and of everything drawn.
    seed: Option<u64>,
}

/// That of what is written, with the defaults of the default preset.
impl JsonSchema for TrainConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TrainConfig".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = serde_json::Value::from(Given::json_schema(generator));
        let defaults = serde_json::to_value(Self::default()).unwrap_or_default();
        for (key, default) in defaults.as_object().into_iter().flatten() {
            schema["properties"][key]["default"] = default.clone();
        }
        schema.try_into().unwrap_or_default()
    }
}

impl From<Given> for TrainConfig {
    fn from(given: Given) -> Self {
        let preset = Self::preset(given.preset);
        Self {
            preset: given.preset,
            standardise: given.standardise.unwrap_or(preset.standardise),
            noise: given.noise.unwrap_or(preset.noise),
            dropout: given.dropout.unwrap_or(preset.dropout),
            zoom: given.zoom.unwrap_or(preset.zoom),
            brightness: given.brightness.unwrap_or(preset.brightness),
            together: given.together.unwrap_or(preset.together),
            balance: given.balance.unwrap_or(preset.balance),
            threshold: given.threshold.unwrap_or(preset.threshold),
            learning_rate: given.learning_rate.unwrap_or(preset.learning_rate),
            batch_size: given.batch_size.unwrap_or(preset.batch_size),
            epochs: given.epochs.unwrap_or(preset.epochs),
            min_minibatches: given.min_minibatches.unwrap_or(preset.min_minibatches),
            n_images: given.n_images.or(preset.n_images),
            validation_share: given.validation_share.unwrap_or(preset.validation_share),
            checkpoint_minutes: given.checkpoint_minutes.unwrap_or(preset.checkpoint_minutes),
            seed: given.seed.unwrap_or(preset.seed),
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self::preset(Preset::default())
    }
}

impl TrainConfig {
    /// The settings of a preset. Those of [`Preset::Robust`] were chosen by measurement on 3,012 bedrooms. `together` 0 finds
    /// 82 % of 2 % crops and 22 % of 5 % crops within 8 bits; 1 finds 96 % and 68 %. Without `balance` 71 % of the bits are set
    /// and ten times as many unrelated pairs lie within 12 bits (611 instead of 40 of 4.5 million). Both threshold rules then
    /// find the same, as the bits are balanced either way.
    pub fn preset(preset: Preset) -> Self {
        let robust = Self {
            preset,
            standardise: true,
            noise: 0.1,
            dropout: 0.5,
            zoom: 0.1,
            brightness: 0.15,
            together: 1.0,
            balance: 0.3,
            threshold: ThresholdRule::Zero,
            learning_rate: 1e-3,
            batch_size: 128,
            epochs: 60,
            min_minibatches: 750,
            n_images: None,
            validation_share: 0.05,
            checkpoint_minutes: 5.0,
            seed: 0,
        };
        match preset {
            Preset::Robust => robust,
            Preset::Paper => {
                Self { standardise: false, zoom: 0.0, brightness: 0.0, together: 0.0, balance: 0.0, ..robust }
            }
        }
    }
}

impl TrainConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`crate::DedupError::Setting`] naming the first setting out of its range.
    pub fn validate(&self) -> Result<()> {
        let number = |key, value: f64, most: f64| {
            check(key, (0.0..=most).contains(&value), &format!("a number from 0 to {most}"), value)
        };
        number("noise", self.noise, 10.0)?;
        number("dropout", self.dropout, 0.95)?;
        number("zoom", self.zoom, 0.5)?;
        number("brightness", self.brightness, 0.9)?;
        number("together", self.together, 1e3)?;
        number("balance", self.balance, 1e3)?;
        number("validation_share", self.validation_share, 0.5)?;
        let rate = self.learning_rate;
        check("learning_rate", rate > 0.0 && rate < 1.0, "a number between 0 and 1", rate)?;
        check("batch_size", self.batch_size >= 2, "at least 2", self.batch_size)?;
        check("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        check("n_images", self.n_images != Some(0), "at least 1", 0)?;
        let minutes = self.checkpoint_minutes;
        check("checkpoint_minutes", minutes > 0.0, "a number above 0", minutes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preset_fills_in_what_is_not_given_and_survives_the_record() {
        let read = |value| serde_json::from_value::<TrainConfig>(value).unwrap();
        let paper = read(json!({"preset": "paper"}));
        let plain = (paper.standardise, paper.zoom, paper.brightness, paper.together, paper.balance);
        assert_eq!(plain, (false, 0.0, 0.0, 0.0, 0.0));
        assert!(paper.noise > 0.0 && paper.dropout > 0.0, "denoising, regularised by dropout");
        assert_eq!(read(json!({})), TrainConfig::preset(Preset::Robust));
        let mixed = read(json!({"preset": "paper", "zoom": 0.2, "epochs": 3}));
        assert_eq!((mixed.zoom, mixed.epochs, mixed.balance), (0.2, 3, 0.0));
        assert_eq!(read(serde_json::to_value(&mixed).unwrap()), mixed);
        let error = serde_json::from_value::<TrainConfig>(json!({"zooms": 1})).unwrap_err().to_string();
        assert!(error.contains("unknown field `zooms`, expected one of `preset`, `standardise`"), "{error}");
    }
}
