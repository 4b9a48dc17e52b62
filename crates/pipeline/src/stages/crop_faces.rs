//! `crop_faces`: the faces of photos, as a training set.

use dcgan_faces::{CollectConfig, CropConfig, DetectorConfig, Files, crop_faces, files};
use dcgan_images::{Damaged, Source};
use serde::{Deserialize, Serialize};

use super::info::{KeyInfo, KindInfo, optional};
use super::paper::{Comparison, Stated, no_bearing, says, unstated};
use super::published::{N_FACES, N_PHOTOS};
use super::{Artifact, ConfigProblem, External, Form, Input, InputRef, Outcome, Stage, data_source};
use crate::context::Context;
use crate::counting::counted;
use crate::known::{Known, KnownOf};
use crate::report::figure::Figure;

/// Which photos, what counts as a face, and what is cut out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropFaces {
    /// The stage that made the data set, if one did; the paths in `source` are then within its folder.
    #[serde(default)]
    pub from: Option<Input>,
    /// The photos.
    pub source: Source,
    /// What counts as a face.
    #[serde(default)]
    pub detector: DetectorConfig,
    /// What part of a photo becomes a picture.
    #[serde(default)]
    pub crop: CropConfig,
    /// Whether the faces are also written as single files.
    #[serde(default)]
    pub files: Files,
    /// Only so many photos, the first ones.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Photos that claim more pixels are passed over.
    #[serde(default = "max_pixels")]
    pub max_pixels: u64,
    /// What becomes of a JPEG of which a part is lost.
    #[serde(default)]
    pub damaged: Damaged,
}

fn max_pixels() -> u64 {
    CollectConfig::default().max_pixels
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "crop_faces",
    version: 3,
    summary: "find the faces of photos and cut them out: an image store to train on",
    details: "Writes an image store of the faces, boxes.parquet (a row a face and one for each photo without: key, outcome, \
              box in pixels of the upright photo, score, photo_width, photo_height, reason), contact_sheet.html (photos with \
              their boxes, faces, those of the lowest scores; look at it before you train) and faces.png. The outcomes are \
              cropped, too_small, not_largest, no_face and bad. The detector, SeetaFace's cascade, is built in; one of OpenCV's \
              needs a program built with `--features opencv`. JPEGs that are not turned by EXIF are decoded no larger \
              than the smallest face asks for, on all cores; memory does not grow with their number. Files that are not named as JPEG, PNG, WebP, \
              GIF, BMP or TIFF (.heic, .avif and others) are passed over. Interrupted or killed, it goes on where it stopped and ends \
              with the bits of an uninterrupted run.",
    keys: &KEYS,
    example: &["source.folder.path=photos", "detector.smallest=64", "crop.margin=0.1"],
    is_resumable: true,
    reads_records: false,
    uses_device: false,
    paper: &PAPER,
};

/// What the paper says of the keys.
const PAPER: [Stated; 18] = [
    no_bearing("from"),
    no_bearing("source.*"),
    says("detector.engine", "\"opencv\"", "section 4.2"),
    unstated("detector.cascade"),
    unstated("detector.smallest"),
    unstated("detector.smallest_share"),
    no_bearing("detector.look_below"),
    unstated("detector.score"),
    unstated("detector.overlap"),
    says("crop.size", "64", "released code"),
    unstated("crop.margin"),
    unstated("crop.shape"),
    unstated("crop.faces"),
    unstated("crop.filter"),
    no_bearing("files"),
    says("limit", "null", "all photos of the set"),
    no_bearing("max_pixels"),
    no_bearing("damaged"),
];

const KEYS: [KeyInfo; 21] = [
    data_source::FROM,
    data_source::FOLDER,
    data_source::TAR,
    data_source::LSUN,
    data_source::STORE,
    optional(
        "detector.engine",
        "\"seeta\" or \"opencv\"",
        "\"seeta\"",
        "The built-in detector, or a cascade of OpenCV's, as in the paper.",
    ),
    optional(
        "detector.cascade",
        "file",
        "",
        "For `opencv`: its haarcascade_frontalface_alt2.xml or another.",
    ),
    optional(
        "detector.smallest",
        "16 to 16384",
        "64",
        "Side of the smallest face that is wanted, in pixels of the photo. The larger, the faster.",
    ),
    optional(
        "detector.smallest_share",
        "number from 0 to 1",
        "0.0",
        "The same as a share of the photo's shorter side; the larger of the two counts.",
    ),
    optional(
        "detector.look_below",
        "number from 0.5 to 1",
        "0.8",
        "Faces down to this share of the smallest are looked for too, to be listed as too small.",
    ),
    optional(
        "detector.score",
        "number",
        "",
        "Below this a detection is none. seeta: the sum over the windows that found it, each up to 1; 4 if left out. \
         opencv: the number of windows; 3 if left out.",
    ),
    optional(
        "detector.overlap",
        "number from 0 to 1",
        "0.3",
        "Of boxes that overlap by more than this, the best stays.",
    ),
    optional("crop.size", "8 to 1024", "64", "Side of the pictures."),
    optional(
        "crop.margin",
        "number from -0.4 to 2",
        "0.0",
        "What is added to the box on each side, as a share of it; below 0 it is made smaller.",
    ),
    optional(
        "crop.shape",
        "\"square\" or \"tight\"",
        "\"square\"",
        "At the photo's edges: a square is moved inside; a tight box is cut off and what remains is stretched.",
    ),
    optional("crop.faces", "\"all\" or \"largest\"", "\"all\"", "Which faces of a photo."),
    optional(
        "crop.filter",
        "\"box\", \"bilinear\", \"catmull_rom\" or \"lanczos3\"",
        "\"catmull_rom\"",
        "The filter with which faces are scaled.",
    ),
    optional(
        "files",
        "\"none\", \"png\" or \"jpeg\"",
        "\"none\"",
        "Also write the faces as single files into pictures/, numbered as in the store.",
    ),
    optional("limit", "count", "", "Only so many photos, the first ones."),
    data_source::MAX_PIXELS,
    data_source::DAMAGED,
];

impl CropFaces {
    fn config(&self) -> CollectConfig {
        CollectConfig {
            detector: self.detector.clone(),
            crop: self.crop.clone(),
            files: self.files,
            max_pixels: self.max_pixels,
            damaged: self.damaged,
            limit: self.limit,
        }
    }
}

impl Stage for CropFaces {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        data_source::inputs(self.from.as_ref(), &self.source)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Images, Artifact::Figures]
    }

    fn external_paths(&self) -> Vec<External> {
        let mut externals = data_source::externals(self.from.as_ref(), &self.source);
        let cascade = self.detector.cascade.iter();
        externals.extend(cascade.map(|path| External {
            key: "detector.cascade",
            path: path.clone(),
            is: Form::File,
        }));
        externals
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.source)
    }

    fn known(&self, _of: &KnownOf<'_>) -> Known {
        Known { channels: Some(3), size: Some([self.crop.size; 2]), ..Known::default() }
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("", self.config().validate());
        problems.extend(ConfigProblem::of("detector", self.detector.validate()));
        problems.extend(ConfigProblem::of("crop", self.crop.validate()));
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let source = data_source::resolve(self.from.as_ref(), &self.source, ctx);
        let mut task = ctx.task("looking for faces", "photos");
        let summary =
            crop_faces(&source, &self.config(), ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        if summary.n_bad > 0 {
            ctx.progress().warn(format_args!(
                "{} could not be read; boxes.parquet and bad.csv in the stage's folder say why",
                counted(summary.n_bad, "photo")
            ));
        }
        let caption = format!(
            "{} in {} of {}, spread evenly over the set. Too small faces only: {}, none: {}; {} could \
             not be read.",
            counted(summary.n_faces, "face"),
            summary.n_with_face,
            counted(summary.n_photos, "photo"),
            summary.n_too_small,
            summary.n_no_face,
            summary.n_bad
        );
        let figure = Figure {
            file: files::GRID.to_owned(),
            title: "Faces that were found".to_owned(),
            caption,
            alt: "A grid of faces cut out of photos".to_owned(),
        };
        ctx.write_json(Figure::FILE, &[figure])?;
        let mut differences = Comparison::of_settings();
        differences.count("photos", summary.n_photos as usize, N_PHOTOS);
        differences.count("faces", summary.n_faces as usize, N_FACES);
        let mut metrics = serde_json::to_value(&summary)?;
        data_source::list_passed_over(&source, ctx, &mut metrics)?;
        data_source::tell_left_out(&source, ctx, &mut metrics)?;
        Ok(Outcome { metrics, differences })
    }
}
