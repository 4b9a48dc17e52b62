//! What is known of a stage's result before the stage has run: sizes and numbers of pictures, the size a network takes.
//!
//! It comes from settings (`resize`, `n_train`), from a data set's kind (CIFAR-10's pictures have 32×32 pixels), and, of what
//! lies outside the pipeline, from an image store's `meta.json` and from counting files. It is handed on from stage to stage,
//! so that what cannot fit is found before the first stage runs.

use std::path::Path;

use crate::remote::is_remote;
use dcgan_engine::record::Record;
use dcgan_engine::stage::{ConfigProblem, Facts, FactsOf, Input};
use dcgan_eval::{FEATURES_FILE, LABELS_FILE};
use dcgan_gan::train::files::GENERATOR;
use dcgan_gan::{Architecture, ArchitectureName, DiscriminatorConfig, GeneratorConfig};
use dcgan_images::{ImageStore, Source, Split, StoreMeta, TarLabel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Pictures in a folder that are counted, at most: more are enough for any minibatch.
const COUNTED: usize = 100_000;

/// What is known; none of it has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// 1 or 3, of its pictures.
    pub(crate) channels: Option<usize>,
    /// Height and width of its pictures.
    pub(crate) size: Option<[usize; 2]>,
    /// It holds no more pictures, or rows of features, than this: some may turn out to be bad.
    pub(crate) at_most: Option<u64>,
    /// The same of its training part and of its test part, of a data set that has two.
    pub(crate) parts: Option<[u64; 2]>,
    /// Side of the pictures that its network takes or draws.
    pub(crate) side: Option<usize>,
    /// 1 or 3, of the pictures that its network takes or draws.
    pub(crate) depth: Option<usize>,
    /// False where its pictures, or rows of features, have no labels.
    pub(crate) labelled: Option<bool>,
    /// True where a generator draws its pictures; false where it holds pictures, or features, that are there.
    pub(crate) draws: Option<bool>,
    /// Side of its networks' kernels.
    pub(crate) kernel: Option<usize>,
    /// Classes that its network is conditional on; 0 for none.
    pub(crate) classes: Option<usize>,
    /// Both its networks, where a training of ours made them.
    pub(crate) network: Option<Architecture>,
}

/// What is known of an input.
pub(crate) fn known(of: &FactsOf<'_>, input: &Input) -> Known {
    serde_json::from_value(of(input)).unwrap_or_default()
}

/// What is known of a folder that no stage of the manifest makes.
pub(crate) fn facts_of_folder(folder: &Path) -> Facts {
    Known::of_folder(folder).into()
}

impl From<Known> for Facts {
    fn from(known: Known) -> Self {
        serde_json::to_value(known).unwrap_or_default()
    }
}

impl Known {
    /// A folder that holds an image store or the networks of a training.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let meta = std::fs::read(folder.join("meta.json")).ok();
        if let Some(meta) = meta.and_then(|json| serde_json::from_slice::<StoreMeta>(&json).ok()) {
            return Self {
                labelled: is_labelled(folder, &meta),
                draws: Some(false),
                channels: Some(meta.channels),
                size: Some([meta.height, meta.width]),
                at_most: Some(meta.n_images),
                ..Self::default()
            };
        }
        let record = Record::read(folder).ok().flatten();
        if folder.join(FEATURES_FILE).exists() {
            let labelled = Some(folder.join(LABELS_FILE).exists());
            return Self { labelled, draws: Some(false), ..Self::default() };
        }
        let imported = record.as_ref().and_then(|record| Self::of_imported(&record.metrics));
        let networks = record.and_then(|record| {
            let training = record.config.pointer("/train_gan/training")?;
            let name =
                serde_json::from_value::<ArchitectureName>(training.get("architecture")?.clone()).ok()?;
            let network =
                training.get("width").and_then(Value::as_f64).map(|width| Architecture { name, width });
            Some(Self { network, ..Self::of_network(name) })
        });
        let draws = folder.join(GENERATOR).exists().then_some(true);
        Self { draws, ..networks.or(imported).unwrap_or_default() }
    }

    /// The networks of an architecture.
    pub(crate) fn of_network(name: ArchitectureName) -> Self {
        let d = Architecture::paper(name).discriminator();
        Self { classes: Some(d.classes), ..Self::of_maps(d.picture(), d.kernel) }
    }

    /// A network of pictures of so many channels, rows and columns, with kernels of that side.
    pub(crate) fn of_maps([channels, side, _]: [usize; 3], kernel: usize) -> Self {
        Self { side: Some(side), depth: Some(channels), kernel: Some(kernel), ..Self::default() }
    }

    /// The networks that `import_weights` made, by what it noted of them.
    fn of_imported(metrics: &Value) -> Option<Self> {
        let d = metrics.get("discriminator").and_then(|config| serde_json::from_value(config.clone()).ok());
        let g = metrics.get("generator").and_then(|config| serde_json::from_value(config.clone()).ok());
        let of_d = d.map(|d: DiscriminatorConfig| Self::of_maps(d.picture(), d.kernel));
        of_d.or_else(|| g.map(|g: GeneratorConfig| Self::of_maps(g.picture(), g.kernel)))
    }

    /// A data set: `made` is what is known of the stage that made it, if one did.
    pub(crate) fn of_source(source: &Source, made: Option<Self>) -> Self {
        let (channels, side) = match source {
            Source::Cifar10 { .. } | Source::Svhn { .. } => (Some(3), Some(32)),
            Source::Mnist { .. } => (Some(1), Some(28)),
            Source::Store { path } if made.is_none() => return Self::of_folder(path),
            Source::Store { .. } => return made.unwrap_or_default(),
            _ => (None, None),
        };
        let at_most = match made {
            Some(made) => part(source).zip(made.parts).map(|(part, sizes)| sizes[part]).or(made.at_most),
            None => count(source),
        };
        let labelled = match source {
            Source::Folder { classes, .. } => Some(*classes),
            Source::Mnist { labels, .. } => Some(labels.is_some()),
            Source::Lsun { .. } | Source::Tar { label: Some(TarLabel::None), .. } => Some(false),
            Source::Tar { label, .. } => label.map(|_| true),
            Source::Cifar10 { .. }
            | Source::Svhn { .. }
            | Source::ImageNetTar { .. }
            | Source::ImageNetFolder { .. } => Some(true),
            Source::Parquet { label, .. } => label.as_ref().map(|column| !column.is_empty()),
            Source::Store { .. } => None,
        };
        Self { channels, size: side.map(|side| [side; 2]), at_most, labelled, ..Self::default() }
    }

    /// No more than `limit` of them.
    pub(crate) fn limited(self, limit: Option<usize>) -> Self {
        let at_most = [self.at_most, limit.map(|limit| limit as u64)].into_iter().flatten().min();
        Self { at_most, ..self }
    }
}

/// Whether a store's pictures have labels; of a large one without names of classes it is not looked up.
fn is_labelled(folder: &Path, meta: &StoreMeta) -> Option<bool> {
    if meta.class_names.is_some() {
        return Some(true);
    }
    let is_small = meta.n_images <= COUNTED as u64;
    let labels = is_small.then(|| ImageStore::open(folder).ok()?.labels().ok()).flatten()?;
    Some(labels.iter().any(Option::is_some))
}

/// 0 for the training part of a data set, 1 for its test part.
fn part(source: &Source) -> Option<usize> {
    let named = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let parts = ["train", "test"];
        parts.iter().position(|part| name.starts_with(part))
    };
    match source {
        Source::Cifar10 { split: Split::Train, .. } => Some(0),
        Source::Cifar10 { split: Split::Test, .. } => Some(1),
        Source::Svhn { path } => named(path),
        _ => None,
    }
}

/// The number of pictures of a data set outside the pipeline, where it can be told soon; what is wrong with the set is for the
/// stage that reads it to say.
pub(crate) fn count(source: &Source) -> Option<u64> {
    match source {
        source if is_remote(source) => None,
        Source::Folder { .. } | Source::ImageNetFolder { .. } => {
            let n = source.records().ok()?.take(COUNTED + 1).filter(Result::is_ok).count();
            (n <= COUNTED).then_some(n as u64)
        }
        other => other.n_images().ok().flatten(),
    }
}

/// Says what is wrong where pictures are not those that a network takes, which is called `name`.
pub(crate) fn unlike(key: &str, images: Known, network: Known, name: &str) -> Option<ConfigProblem> {
    let (side, depth) = (network.side?, network.depth.unwrap_or(3));
    let is_like =
        images.channels.is_none_or(|n| n == depth) && images.size.is_none_or(|size| size == [side; 2]);
    let colour = |channels: usize| if channels == 1 { "grey" } else { "colour" };
    let other = images.channels.filter(|&n| n != depth || n == 1);
    let found = match (other, images.size) {
        (Some(n), Some([height, width])) => format!("{} ones of {height}×{width}", colour(n)),
        (Some(n), None) => format!("{} ones", colour(n)),
        (None, Some([height, width])) => format!("{height}×{width}"),
        (None, None) => String::new(),
    };
    let channels = match images.channels.is_some_and(|n| n != depth) {
        true => format!("`channels = {depth}`, "),
        false => String::new(),
    };
    let message = format!(
        "expected {} pictures of {side}×{side}, which {name} takes, found {found}; where they are imported, \
         {channels}`resize = \"min_resize_centre_crop({side})\"` makes them so",
        colour(depth)
    );
    (!is_like).then(|| ConfigProblem { key: key.to_owned(), message })
}

/// Refuses a conditional network where `why` it is of no use.
pub(crate) fn conditional(key: &str, network: Known, why: &str) -> Option<ConfigProblem> {
    let n = network.classes.filter(|&n| n > 0)?;
    let message =
        format!("expected a network that is not conditional, found one conditional on {n} classes: {why}");
    Some(ConfigProblem { key: key.to_owned(), message })
}

/// Refuses a network of grey pictures, where only colour ones will do.
pub(crate) fn grey(key: &str, network: Known) -> Option<ConfigProblem> {
    let message = "expected a network of colour pictures, found one of grey ones".to_owned();
    (network.depth == Some(1)).then(|| ConfigProblem { key: key.to_owned(), message })
}

/// Refuses pictures without labels, or their features, where labels are needed.
pub(crate) fn unlabelled(key: &str, set: Known) -> Option<ConfigProblem> {
    let message = "expected pictures with labels, or features of such, found none; import the set with its classes \
         (of a folder `classes = true`, of MNIST `labels`)";
    (set.labelled == Some(false)).then(|| ConfigProblem { key: key.to_owned(), message: message.to_owned() })
}

/// Refuses what says how pictures are drawn where the input called `name` holds pictures, or features, that are there: those of `keys`
/// that were given.
pub(crate) fn nothing_drawn(set: Known, name: &Input, keys: &[(&str, bool)]) -> Vec<ConfigProblem> {
    let message = format!(
        "is of use only where a generator draws the pictures; `{}` holds pictures, or features of them, that are there",
        name.as_str()
    );
    let is_given = keys.iter().filter(|(_, is_given)| *is_given && set.draws == Some(false));
    is_given.map(|(key, _)| ConfigProblem { key: (*key).to_owned(), message: message.clone() }).collect()
}

/// Says what is wrong where `n` are asked for of fewer.
pub(crate) fn more_than_there_are(key: &str, n: u64, images: Known, what: &str) -> Option<ConfigProblem> {
    let at_most = images.at_most.filter(|at_most| n > *at_most)?;
    let message = format!("expected at most the number of {what}, {at_most}, found {n}");
    Some(ConfigProblem { key: key.to_owned(), message })
}

/// Says what is wrong where holding out `n_validation` pictures leaves too few to draw `n_per_class` of each class from.
pub(crate) fn too_few_left(
    key: &str,
    n_validation: usize,
    n_per_class: usize,
    train: Known,
) -> Vec<ConfigProblem> {
    let Some(n_rows) = train.at_most else { return Vec::new() };
    // At least two classes are drawn from.
    let is_fit = n_validation as u64 + 2 * n_per_class as u64 <= n_rows;
    let message = format!(
        "expected fewer than the training pictures, {n_rows}, less those of each class to train on, found {n_validation}"
    );
    let wrong = || ConfigProblem { key: key.to_owned(), message };
    (!is_fit).then(wrong).into_iter().collect()
}
