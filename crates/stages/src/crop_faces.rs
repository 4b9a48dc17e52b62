//! `crop_faces`: the faces of photos, as a training set.

use std::ops::ControlFlow;

use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_faces::{
    CollectConfig, CollectSummary, CropConfig, DetectorConfig, FacesPart, Files, crop_faces, files, merge,
};
use dcgan_files::words::counted;
use dcgan_images::{Damaged, Shard, Source};
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::lineage::FACES;
use crate::published::{N_FACES, N_PHOTOS};
use crate::{artifact, data_source, published};

/// Which photos, what counts as a face, and what is cut out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CropFaces {
    /// The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.
    #[serde(default)]
    from: Option<Input>,
    /// The photos.
    source: Source,
    /// What counts as a face.
    #[serde(default)]
    detector: DetectorConfig,
    /// What part of a photo becomes a picture.
    #[serde(default)]
    crop: CropConfig,
    /// Also write the faces as single files into pictures/, numbered as in the store.
    #[serde(default)]
    files: Files,
    /// Only so many photos, the first ones.
    #[serde(default)]
    limit: Option<usize>,
    /// Only one of several parts of the photos, for a machine of several: "3/64". Tars are divided by archives (ImageNet's not
    /// at all), other sets by photos; the stage `merge` makes the store of all. Not with `limit`.
    #[serde(default)]
    shard: Option<Shard>,
    /// Pictures that claim more pixels are passed over before they are decoded.
    #[serde(default = "max_pixels")]
    max_pixels: u64,
    /// JPEGs of which a part is lost: bad pictures, or taken with grey where data is lost.
    #[serde(default)]
    damaged: Damaged,
}

fn max_pixels() -> u64 {
    CollectConfig::default().max_pixels
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "crop_faces",
    version: 4,
    summary: "find the faces of photos and cut them out: an image store to train on",
    details: "Writes an image store of the faces, boxes.parquet (a row a face and one for each photo without: key, outcome, \
              box in pixels of the upright photo, score, photo_width, photo_height, reason), contact_sheet.html (photos with \
              their boxes, faces, those of the lowest scores; look at it before you train) and faces.png. The outcomes are \
              cropped, too_small, not_largest, no_face and bad. The detector, SeetaFace's cascade, is built in; one of OpenCV's \
              needs a program built with `--features opencv`. JPEGs that are not turned by EXIF are decoded no larger \
              than the smallest face asks for, on all cores; memory does not grow with their number. Files that are not named as JPEG, PNG, WebP, \
              GIF, BMP or TIFF (.heic, .avif and others) are passed over. Interrupted or killed, it goes on where it stopped and ends \
              with the bits of an uninterrupted run. With `shard` it writes what `merge` makes all this from: part.json, photos.jsonl, crops.bin \
              and bad.csv.",
    example: &["source.folder.path=photos", "detector.smallest=64", "crop.margin=0.1"],
    paper: &PAPER,
    traits: Traits {
        is_resumable: true,
        times: &["decode_share", "detect_share", "crop_share"],
        key_of_path: data_source::key_of_path,
        ..Traits::NONE
    },
    config: ConfigType::of::<CropFaces>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 19] = [
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
    no_bearing("shard"),
    no_bearing("max_pixels"),
    no_bearing("damaged"),
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
            shard: self.shard,
        }
    }
}

impl Stage for CropFaces {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        data_source::inputs(self.from.as_ref(), &self.source)
    }

    fn yields(&self) -> Vec<Artifact> {
        match self.shard {
            None => vec![artifact::IMAGES, artifact::FIGURES],
            Some(_) => vec![artifact::FACES_PART],
        }
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

    fn advice(&self, external: &External, found: Option<Form>) -> Advice {
        data_source::advice(&self.source, external, found)
    }

    fn key_of(&self, external: &External) -> &'static str {
        data_source::key_of(&self.source, external)
    }

    fn data_name(&self) -> Option<String> {
        Some(FACES.to_owned())
    }

    fn facts(&self, _of: &FactsOf<'_>) -> Facts {
        let (channels, size) = (Some(3), Some([self.crop.size; 2]));
        Known { channels, size, labelled: Some(false), draws: Some(false), ..Known::default() }.into()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("", self.config().validate());
        problems.extend(ConfigProblem::of("detector", self.detector.validate()));
        problems.extend(ConfigProblem::of("crop", self.crop.validate()));
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let reading = data_source::resolve_part(self.from.as_ref(), &self.source, self.shard, ctx)?;
        let source = &reading.source;
        let config = CollectConfig { shard: reading.shard, ..self.config() };
        let mut task = ctx.task("looking for faces", "photos");
        let summary = crop_faces(source, &config, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        if summary.n_bad > 0 {
            ctx.progress().warn(format_args!(
                "{} could not be read; boxes.parquet and bad.csv in the stage's folder say why",
                counted(summary.n_bad, "photo")
            ));
        }
        let differences = match self.shard {
            None => finished(&summary, ctx)?,
            Some(shard) => published::part(shard, summary.n_photos),
        };
        let mut metrics = serde_json::to_value(&summary)?;
        reading.note(&mut metrics);
        if reading.tells_the_rest() {
            data_source::list_passed_over(source, ctx, &mut metrics)?;
            data_source::note_left_out(source, ctx, &mut metrics)?;
        }
        Ok(Outcome { metrics, differences })
    }
}

/// Writes what the report shows of the faces of all photos, and compares their numbers with the paper's.
fn finished(summary: &CollectSummary, ctx: &Context<'_>) -> anyhow::Result<Comparison> {
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
    Ok(differences)
}

impl CropFaces {
    /// Makes the store of all photos from the parts, with the settings of these.
    pub(crate) fn merge(
        &self,
        parts: &[FacesPart],
        ctx: &Context<'_>,
        observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> anyhow::Result<(CollectSummary, Comparison)> {
        let config = CollectConfig { shard: None, ..self.config() };
        let summary = merge(parts, &config, ctx.out, observe)?;
        let differences = finished(&summary, ctx)?;
        Ok((summary, differences))
    }
}
