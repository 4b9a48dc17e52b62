//! Where the faces of a photo are.

use std::path::PathBuf;

use dcgan_images::{Filter, Picture, ReducedPicture, Window as Part};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "opencv")]
use crate::cascade::best_of;
use crate::cascade::{Cascade, LEAST_FACE, Scratch, Window};
use crate::error::check;
use crate::{FacesError, Result};

/// A photo is not made larger than this to find small faces.
const MOST_PIXELS: f64 = (1u64 << 26) as f64;

/// A face, in pixels of the photo at its full size; its box may reach beyond the photo.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// The box's left edge.
    pub x: f32,
    /// Its upper edge.
    pub y: f32,
    /// Its width.
    pub width: f32,
    /// Its height.
    pub height: f32,
    /// How sure the detector is: see `DetectorConfig::score`.
    pub score: f32,
}

impl Face {
    /// The longer side of the box.
    pub fn side(&self) -> f32 {
        self.width.max(self.height)
    }

    /// Intersection over union with another box.
    pub fn overlap(&self, other: &Self) -> f32 {
        let along = |a: f32, a_length: f32, b: f32, b_length: f32| {
            ((a + a_length).min(b + b_length) - a.max(b)).max(0.0)
        };
        let common = along(self.x, self.width, other.x, other.width)
            * along(self.y, self.height, other.y, other.height);
        if common > 0.0 {
            common / (self.width * self.height + other.width * other.height - common)
        } else {
            0.0
        }
    }
}

/// Which detector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// SeetaFace's cascade, built in.
    #[default]
    Seeta,
    /// A cascade of OpenCV's, as the paper used one; only where the crate's feature `opencv` is on.
    Opencv,
}

/// What counts as a face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorConfig {
    /// The built-in detector, or a cascade of OpenCV's, as in the paper.
    pub engine: Engine,
    /// For `opencv`: its haarcascade_frontalface_alt2.xml or another.
    #[schemars(extend("format" = "file"))]
    pub cascade: Option<PathBuf>,
    /// Side of the smallest face that is wanted, in pixels of the photo. The larger, the faster.
    #[schemars(range(min = 16, max = 16384))]
    pub smallest: u32,
    /// The same as a share of the photo's shorter side; the larger of the two counts.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1.0))]
    pub smallest_share: f64,
    /// Faces down to this share of the smallest are looked for too, to be listed as too small.
    #[schemars(extend("minimum" = 0.5, "maximum" = 1.0))]
    pub look_below: f64,
    /// Below this a detection is none. seeta: the sum over the windows that found it, each up to 1; 4 if left out. opencv:
    /// the number of windows; 3 if left out.
    pub score: Option<f64>,
    /// Of boxes that overlap by more than this, the best stays.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1.0))]
    pub overlap: f64,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            engine: Engine::Seeta,
            cascade: None,
            smallest: 64,
            smallest_share: 0.0,
            look_below: 0.8,
            score: None,
            overlap: 0.3,
        }
    }
}

impl DetectorConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`FacesError::Setting`].
    pub fn validate(&self) -> Result<()> {
        check("smallest", (16..=1 << 14).contains(&self.smallest), "16 to 16384", self.smallest)?;
        let share = self.smallest_share;
        check("smallest_share", (0.0..=1.0).contains(&share), "0 to 1", share)?;
        check("look_below", (0.5..=1.0).contains(&self.look_below), "0.5 to 1", self.look_below)?;
        check("overlap", (0.0..1.0).contains(&self.overlap), "at least 0 and below 1", self.overlap)?;
        let score = self.score.unwrap_or(1.0);
        check("score", score >= 0.0 && score.is_finite(), "at least 0", score)?;
        let has_cascade = self.cascade.is_some();
        match self.engine {
            Engine::Seeta => check("cascade", !has_cascade, "none: `seeta` is built in", "a file"),
            Engine::Opencv if cfg!(not(feature = "opencv")) => check(
                "engine",
                false,
                "`seeta`: this program was built without the feature `opencv`",
                "opencv",
            ),
            Engine::Opencv => check(
                "cascade",
                has_cascade,
                "the file of a cascade, such as haarcascade_frontalface_alt2.xml",
                "none",
            ),
        }
    }

    /// Side of the smallest face that is wanted in a photo of this size.
    pub fn smallest_in(&self, height: usize, width: usize) -> f64 {
        f64::from(self.smallest).max(self.smallest_share * height.min(width) as f64)
    }

    /// The scale of a photo at which the smallest face that is looked for has `side` pixels.
    fn scale_for(&self, side: usize, height: usize, width: usize) -> f64 {
        side as f64 / (self.look_below * self.smallest_in(height, width))
    }

    /// The scale of a photo of this size, at most 1, that suffices to find its faces.
    pub fn least_scale(&self, height: usize, width: usize) -> f64 {
        self.scale_for(LEAST_FACE, height, width).min(1.0)
    }

    fn score(&self) -> f64 {
        self.score.unwrap_or(match self.engine {
            Engine::Seeta => 4.0,
            Engine::Opencv => 3.0,
        })
    }
}

/// Finds faces.
pub struct FaceDetector {
    config: DetectorConfig,
    kind: Kind,
}

enum Kind {
    Seeta(Cascade),
    #[cfg(feature = "opencv")]
    Opencv(crate::opencv::HaarCascade),
}

/// What a detection needs; kept from photo to photo, it saves time. One a thread.
#[derive(Debug, Default)]
pub struct DetectorScratch {
    cascade: Scratch,
    #[cfg(feature = "opencv")]
    opencv: crate::opencv::HaarScratch,
}

impl FaceDetector {
    /// A detector of these settings.
    ///
    /// # Errors
    /// Those of [`DetectorConfig::validate`], and where OpenCV cannot load the cascade.
    pub fn new(config: &DetectorConfig) -> Result<Self> {
        config.validate()?;
        let kind = match (config.engine, &config.cascade) {
            (Engine::Seeta, _) => Kind::Seeta(Cascade::embedded()?),
            #[cfg(feature = "opencv")]
            (Engine::Opencv, Some(path)) => Kind::Opencv(crate::opencv::HaarCascade::load(path)?),
            (Engine::Opencv, _) => return Err(FacesError::OpenCv("expected a cascade".to_owned())),
        };
        Ok(Self { config: config.clone(), kind })
    }

    /// The settings.
    pub fn config(&self) -> &DetectorConfig {
        &self.config
    }

    /// The faces of a photo, best first.
    ///
    /// # Errors
    /// Where the photo cannot be scaled, or OpenCV fails.
    pub fn detect(&self, photo: &ReducedPicture, scratch: &mut DetectorScratch) -> Result<Vec<Face>> {
        let ReducedPicture { picture, height, width, scale } = photo;
        let most = (MOST_PIXELS / (height * width) as f64).sqrt().max(1.0);
        let wanted = self.config.scale_for(LEAST_FACE, *height, *width).min(most);
        let luma = picture.luma();
        let side_for = |full: usize, here: usize| match (full as f64 * wanted).round() as usize {
            // A pixel more or less is not worth the scaling.
            side if side.abs_diff(here) <= 1 => here,
            side => side.max(1),
        };
        let (rows, columns) = (side_for(*height, picture.height), side_for(*width, picture.width));
        let scaled;
        let (grey, [down, across]): (&[u8], [f64; 2]) = if [rows, columns] == [picture.height, picture.width]
        {
            (&luma, scale.map(|scale| 1.0 / scale))
        } else {
            let (rows_there, columns_there) = (*height as f64 * scale[0], *width as f64 * scale[1]);
            let whole = Part {
                left: 0.0,
                top: 0.0,
                width: columns_there.min(picture.width as f64),
                height: rows_there.min(picture.height as f64),
            };
            let grey = Picture {
                channels: 1,
                height: picture.height,
                width: picture.width,
                pixels: luma.into_owned(),
            };
            scaled = grey.scaled(whole, [rows, columns], Filter::Bilinear)?;
            (&scaled.pixels, [*height as f64 / rows as f64, *width as f64 / columns as f64])
        };
        let overlap = self.config.overlap as f32;
        let windows = match &self.kind {
            Kind::Seeta(cascade) => cascade.detect(grey, columns, overlap, &mut scratch.cascade),
            #[cfg(feature = "opencv")]
            Kind::Opencv(cascade) => {
                best_of(cascade.detect(grey, columns, LEAST_FACE, &mut scratch.opencv)?, overlap)
            }
        };
        let [down, across] = [down as f32, across as f32];
        let face = |window: Window| Face {
            x: window.x as f32 * across,
            y: window.y as f32 * down,
            width: window.side as f32 * across,
            height: window.side as f32 * down,
            score: window.score as f32,
        };
        let is_sure = |window: &Window| window.score >= self.config.score();
        Ok(windows.into_iter().filter(is_sure).map(face).collect())
    }
}
