//! The contact sheet: pairs that a rule found, and borderline ones, for people to judge, as the paper's authors did.

use std::collections::{HashMap, HashSet};

use dcgan_files::words::counted;
use dcgan_images::page::escaped;
use dcgan_images::{ImagesError, batches};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use super::interval::Share;
use super::montage;
use super::results::Evaluation;
use crate::Result;

/// Longer side of a picture on the sheet.
const SHOWN_SIDE: u32 = 160;

/// A pair for people to judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairToJudge {
    /// One key.
    pub first: String,
    /// The other.
    pub second: String,
    /// Bits in which the codes differ.
    pub distance: u32,
    /// [`pixel_distance`](crate::group::pixel_distance) of the pictures.
    pub pixel_distance: f32,
}

/// Pairs, with the pictures that have come by.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Pairs that the rule found, drawn at random.
    pub found: Vec<PairToJudge>,
    /// How many it found.
    pub n_found: usize,
    /// The pairs nearest to the threshold of the second look.
    pub borderline: Vec<PairToJudge>,
    wanted: HashSet<String>,
    /// JPEG files by key.
    pictures: HashMap<String, Vec<u8>>,
}

impl Sheet {
    pub(super) fn new(found: &[PairToJudge], borderline: &[PairToJudge], n: usize, seed: u64) -> Self {
        let mut drawn = batches::shuffled(found.len(), seed, 1);
        drawn.truncate(n);
        drawn.sort_unstable();
        let n_found = found.len();
        let found: Vec<PairToJudge> = drawn.iter().map(|&k| found[k as usize].clone()).collect();
        let borderline: Vec<PairToJudge> = borderline.iter().take(n).cloned().collect();
        let keys = |pair: &PairToJudge| [pair.first.clone(), pair.second.clone()];
        let wanted = found.iter().chain(&borderline).flat_map(keys).collect();
        Self { found, n_found, borderline, wanted, pictures: HashMap::new() }
    }

    pub(super) fn wants(&self, key: &str) -> bool {
        self.wanted.contains(key) && !self.pictures.contains_key(key)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.pictures.len() == self.wanted.len()
    }

    pub(super) fn add(&mut self, key: String, jpeg: Vec<u8>) {
        self.pictures.insert(key, jpeg);
    }

    /// The JPEG files that have come by, by key.
    pub fn pictures(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pictures.iter().map(|(key, jpeg)| (key.as_str(), jpeg.as_slice()))
    }

    /// The first pairs that the rule found as one JPEG, a block a pair; none if there are no pairs.
    ///
    /// # Errors
    /// Where a picture cannot be encoded.
    pub fn found_picture(&self) -> Result<Option<Vec<u8>>> {
        montage::jpeg(&blocks(&self.found), &self.pictures)
    }

    /// The same of the pairs nearest to the threshold.
    ///
    /// # Errors
    /// Where a picture cannot be encoded.
    pub fn borderline_picture(&self) -> Result<Option<Vec<u8>>> {
        montage::jpeg(&blocks(&self.borderline), &self.pictures)
    }
}

fn blocks(pairs: &[PairToJudge]) -> Vec<Vec<String>> {
    pairs.iter().map(|pair| vec![pair.first.clone(), pair.second.clone()]).collect()
}

/// Recall and false pairs as an HTML table.
pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "<p>Recall in percent (95 % interval) of {} changed in known ways, looked for among {}.</p>\n<table><tr><th>change</th>",
        counted(evaluation.n_changed, "picture"),
        evaluation.n_background
    );
    evaluation.methods.iter().for_each(|method| text += &format!("<th>{}</th>", escaped(&method.method)));
    let cell = |share: &Share| {
        format!("<td>{:.1} ({:.1}–{:.1})</td>", 100.0 * share.share, 100.0 * share.low, 100.0 * share.high)
    };
    for (k, change) in evaluation.changes.iter().enumerate() {
        text += &format!("</tr>\n<tr><td>{change}</td>");
        evaluation.methods.iter().for_each(|method| text += &cell(&method.recall[k]));
    }
    text += "</tr>\n<tr><td>false pairs among those found</td>";
    evaluation.methods.iter().for_each(|method| text += &cell(&method.false_positives));
    text + "</tr></table>\n"
}

/// The picture as a small JPEG.
pub(super) fn thumbnail(picture: &RgbImage) -> Result<Vec<u8>> {
    let (width, height) = picture.dimensions();
    let scale = |side: u32| (side * SHOWN_SIDE / width.max(height)).max(1);
    let small = imageops::resize(picture, scale(width), scale(height), FilterType::Triangle);
    let mut bytes = Vec::new();
    let encoded = JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&small);
    encoded.map_err(|e| ImagesError::BadPicture { reason: e.to_string() })?;
    Ok(bytes)
}
