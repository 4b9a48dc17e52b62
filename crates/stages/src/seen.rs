//! Whether a discriminator was trained, without labels, on the pictures that measure its features.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dcgan_engine::record::{InputRecord, Record};
use dcgan_images::ImageStore;
use serde_json::Value;

use crate::kmeans_features;
use crate::lineage::made_by;

/// What is known of a set of pictures.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The set's name: validation or test.
    set: &'static str,
    found: Found,
}

#[derive(Debug)]
enum Found {
    /// There is no trained network.
    NotTrained,
    /// Nothing tells what the network was trained on.
    Unknown,
    /// So many, of so many, were among its training pictures.
    Counted(usize, usize),
    /// The same of patches' centroids.
    CountedByKMeans(usize, usize),
}

impl Seen {
    /// Counts the pictures behind a folder of features, those at `rows` or all, that are equal in every pixel to one that the
    /// discriminator was trained on.
    pub(crate) fn of(features: &Path, set: &'static str, rows: Option<&[u32]>) -> anyhow::Result<Self> {
        let found = match stores(features)? {
            Stores::None => Found::NotTrained,
            Stores::Unknown => Found::Unknown,
            Stores::Both { measured, trained_on, is_kmeans } => match count(&measured, &trained_on, rows)? {
                Found::Counted(n_seen, n) if is_kmeans => Found::CountedByKMeans(n_seen, n),
                found => found,
            },
        };
        Ok(Self { set, found })
    }

    /// For the row.
    pub(crate) fn fact(&self) -> Option<String> {
        let set = self.set;
        match self.found {
            Found::NotTrained => None,
            Found::Unknown => Some(format!("not known whether the GAN was trained on the {set} pictures")),
            Found::Counted(n_seen, n) => {
                Some(format!("the GAN was trained on {n_seen} of the {n} {set} pictures, without labels"))
            }
            Found::CountedByKMeans(n_seen, n) => {
                Some(format!("K-means was trained on {n_seen} of the {n} {set} pictures, without labels"))
            }
        }
    }

    /// For what was different, where some were seen.
    pub(crate) fn difference(&self) -> Option<String> {
        let set = self.set;
        match self.found {
            Found::Counted(n_seen, n) if n_seen > 0 => {
                Some(format!("the GAN was trained on {n_seen} of the {n} {set} pictures"))
            }
            Found::CountedByKMeans(n_seen, n) if n_seen > 0 => {
                Some(format!("K-means was trained on {n_seen} of the {n} {set} pictures"))
            }
            _ => None,
        }
    }
}

/// The image stores behind features and behind their discriminator.
enum Stores {
    None,
    Unknown,
    Both { measured: PathBuf, trained_on: PathBuf, is_kmeans: bool },
}

fn stores(features: &Path) -> anyhow::Result<Stores> {
    let Some((features, record)) = made_by(features)? else { return Ok(Stores::Unknown) };
    let is_untrained = record.config.pointer("/extract_features/untrained").and_then(Value::as_bool);
    let (Some(model), Some(measured)) = (input(&record, "model"), input(&record, "images")) else {
        return Ok(Stores::None);
    };
    if is_untrained == Some(true) {
        return Ok(Stores::None);
    }
    let (model, measured) = (features.join(&model.path), features.join(&measured.path));
    let is_kmeans = kmeans_features::is_model(&model);
    // Of networks that a training began with it is not followed what they had seen.
    let trained = Record::read(&model)?.filter(|record| input(record, "from").is_none());
    let trained_on = trained.and_then(|record| Some(model.join(&input(&record, "images")?.path)));
    Ok(match trained_on {
        Some(trained_on) if trained_on.is_dir() && measured.is_dir() => {
            Stores::Both { measured, trained_on, is_kmeans }
        }
        _ => Stores::Unknown,
    })
}

fn input<'a>(record: &'a Record, key: &str) -> Option<&'a InputRecord> {
    record.inputs.iter().find(|input| input.key == key)
}

fn count(measured: &Path, trained_on: &Path, rows: Option<&[u32]>) -> anyhow::Result<Found> {
    let (measured, trained_on) = (ImageStore::open(measured)?, ImageStore::open(trained_on)?);
    let shape = |store: &ImageStore| [store.channels(), store.height(), store.width()];
    if shape(&measured) != shape(&trained_on) {
        return Ok(Found::Unknown);
    }
    let all: Vec<u32> = (0..measured.len() as u32).collect();
    let rows = rows.unwrap_or(&all);
    let mut wanted: HashMap<&[u8], usize> = HashMap::new();
    rows.iter().for_each(|&row| *wanted.entry(measured.image(row as usize)).or_default() += 1);
    let n_seen = (0..trained_on.len()).filter_map(|idx| wanted.remove(trained_on.image(idx))).sum();
    Ok(Found::Counted(n_seen, rows.len()))
}
