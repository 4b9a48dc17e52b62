//! `synthesize`: data sets made up on the spot, in the layouts of the originals.

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Outcome, Stage};
use dcgan_synthetic::{self as synthetic, DigitsConfig, RoomsConfig, ShapesConfig, WindowsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::known::Known;
use crate::lineage::SYNTHETIC;

/// Which set to make, and how large.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Synthesize {
    /// Ten classes of coloured shapes, as CIFAR-10's binary version.
    Shapes(ShapesConfig),
    /// Digits on cluttered ground, as SVHN's `.mat` files.
    Digits(DigitsConfig),
    /// Room-like scenes with planted near-duplicates, as an LSUN LMDB.
    Rooms(RoomsConfig),
    /// Walls with and without a window, as CIFAR-10's binary version.
    Windows(WindowsConfig),
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "synthesize",
    version: 4,
    summary: "make a small synthetic data set, in the layout of CIFAR-10, SVHN or LSUN",
    details: "For trying things out with no download. Exactly one of the tables `shapes`, `digits`, `rooms` and \
              `windows` says what to make: `shapes` writes cifar-10-batches-bin/ (ten classes of 32×32 colour pictures), \
              `digits` writes svhn/train_32x32.mat and svhn/test_32x32.mat, `rooms` writes lsun/rooms_lmdb/ with \
              near-duplicates planted in it and lsun/planted.csv, their list, `windows` writes cifar-10-batches-bin/ with walls, \
              every second one with a window (labels 1 and 3), which the stage `forget` finds by a rule, and two of three with a \
              painting (labels 2 and 3). `import_images` reads them with `from` naming this stage.",
    example: &["shapes.n_train=2000", "shapes.n_test=500"],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<Synthesize>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for Synthesize {
    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::DATASET]
    }

    fn data_name(&self) -> Option<String> {
        let set = match self {
            Self::Shapes(_) => "shapes",
            Self::Digits(_) => "digits",
            Self::Rooms(_) => "rooms",
            Self::Windows(_) => "windows",
        };
        Some(format!("{SYNTHETIC} {set}"))
    }

    fn facts(&self, _of: &FactsOf<'_>) -> Facts {
        let (train, test) = match self {
            Self::Shapes(config) => (config.n_train, config.n_test),
            Self::Digits(config) => (config.n_train, config.n_test),
            Self::Windows(config) => (config.n_train, config.n_test),
            Self::Rooms(config) => {
                let at_most = Some((config.n_scenes + config.n_planted) as u64);
                return Known { at_most, ..Known::default() }.into();
            }
        };
        Known { parts: Some([train as u64, test as u64]), ..Known::default() }.into()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let (key, checked) = match self {
            Self::Shapes(config) => ("shapes", config.validate()),
            Self::Digits(config) => ("digits", config.validate()),
            Self::Rooms(config) => ("rooms", config.validate()),
            Self::Windows(config) => ("windows", config.validate()),
        };
        ConfigProblem::of(key, checked)
    }

    fn seed(&self) -> Option<u64> {
        Some(match self {
            Self::Shapes(config) => config.seed,
            Self::Digits(config) => config.seed,
            Self::Rooms(config) => config.seed,
            Self::Windows(config) => config.seed,
        })
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let _task = ctx.task("drawing", "pictures");
        let metrics = match self {
            Self::Shapes(config) => {
                synthetic::write_shapes(&ctx.out.join("cifar-10-batches-bin"), config)?;
                json!({"n_train": config.n_train, "n_test": config.n_test})
            }
            Self::Digits(config) => {
                synthetic::write_digits(&ctx.out.join("svhn"), config)?;
                json!({"n_train": config.n_train, "n_test": config.n_test})
            }
            Self::Rooms(config) => {
                synthetic::write_rooms(&ctx.out.join("lsun"), config)?;
                json!({"n_scenes": config.n_scenes, "n_planted": config.n_planted})
            }
            Self::Windows(config) => {
                synthetic::write_windows(&ctx.out.join("cifar-10-batches-bin"), config)?;
                json!({"n_train": config.n_train, "n_test": config.n_test})
            }
        };
        Ok(Outcome {
            metrics,
            differences: Comparison::found(vec!["synthetic pictures, not the paper's data".to_owned()]),
        })
    }
}
