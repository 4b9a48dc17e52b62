//! The contact sheet: groups and borderline pairs for people to judge, as the paper's authors did.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use base64::Engine as _;
use dcgan_images::{ImagesError, batches};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use super::{Evaluation, montage};
use crate::Result;
use crate::group::Member;

/// Pictures of a group that are shown, at most.
const PER_GROUP: usize = 12;
/// Longer side of a picture on the sheet.
const SHOWN_SIDE: u32 = 160;

/// A pair near the threshold of the second look.
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

/// Groups and pairs, with the pictures that have come by.
#[derive(Clone, Debug)]
pub struct Sheet {
    groups: Vec<Vec<Member>>,
    pairs: Vec<PairToJudge>,
    wanted: HashSet<String>,
    /// JPEG files by key.
    pictures: HashMap<String, Vec<u8>>,
}

impl Sheet {
    pub(super) fn new(groups: &[Vec<Member>], pairs: &[PairToJudge], n: usize, seed: u64) -> Self {
        let mut drawn = batches::shuffled(groups.len(), seed, 1);
        drawn.truncate(n);
        drawn.sort_unstable();
        let shown = |group: &Vec<Member>| group.iter().take(PER_GROUP).cloned().collect();
        let groups: Vec<Vec<Member>> = drawn.iter().map(|&k| shown(&groups[k as usize])).collect();
        let pairs: Vec<PairToJudge> = pairs.iter().take(n).cloned().collect();
        let of_groups = groups.iter().flatten().map(|member| member.key.clone());
        let of_pairs = pairs.iter().flat_map(|pair| [pair.first.clone(), pair.second.clone()]);
        Self { wanted: of_groups.chain(of_pairs).collect(), groups, pairs, pictures: HashMap::new() }
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

    /// The first groups as one JPEG: a block a group, the picture that stays first; none if there are no groups.
    ///
    /// # Errors
    /// Where a picture cannot be encoded.
    pub fn groups_picture(&self) -> Result<Option<Vec<u8>>> {
        let keys = |group: &Vec<Member>| group.iter().map(|member| member.key.clone()).collect();
        let blocks: Vec<Vec<String>> = self.groups.iter().map(keys).collect();
        montage::jpeg(&blocks, &self.pictures)
    }

    /// The pairs nearest to the threshold as one JPEG: a block a pair; none if there are no pairs.
    ///
    /// # Errors
    /// Where a picture cannot be encoded.
    pub fn pairs_picture(&self) -> Result<Option<Vec<u8>>> {
        let keys = |pair: &PairToJudge| vec![pair.first.clone(), pair.second.clone()];
        let blocks: Vec<Vec<String>> = self.pairs.iter().map(keys).collect();
        montage::jpeg(&blocks, &self.pictures)
    }

    /// The page, whole in one file.
    pub fn html(&self, title: &str, evaluation: &Evaluation) -> String {
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\n\
             body {{ font: 14px sans-serif; margin: 2em; }}\n\
             .row {{ display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 1em; padding: 8px; background: #f4f4f4; }}\n\
             figure {{ margin: 0; }} figcaption {{ font-size: 11px; color: #555; width: 160px; overflow-wrap: anywhere; }}\n\
             table {{ border-collapse: collapse; }} td, th {{ border: 1px solid #ccc; padding: 3px 8px; }}\n\
             </style></head><body>\n<h1>{title}</h1>\n",
            title = escaped(title)
        );
        page += &table(evaluation);
        let _ = writeln!(page, "<h2>{} groups, drawn at random</h2>", self.groups.len());
        page += "<p>The first picture stays; the others are removed.</p>\n";
        for group in &self.groups {
            page += "<div class=\"row\">";
            for member in group {
                let caption = format!("{} bits, {:.3}", member.distance, member.pixel_distance);
                self.figure(&mut page, &member.key, &caption);
            }
            page += "</div>\n";
        }
        let _ =
            writeln!(page, "<h2>{} pairs nearest to the threshold of the second look</h2>", self.pairs.len());
        for pair in &self.pairs {
            page += "<div class=\"row\">";
            let caption = format!("{} bits, {:.3}", pair.distance, pair.pixel_distance);
            self.figure(&mut page, &pair.first, &caption);
            self.figure(&mut page, &pair.second, &caption);
            page += "</div>\n";
        }
        page + "</body></html>\n"
    }

    fn figure(&self, page: &mut String, key: &str, caption: &str) {
        let encoded =
            self.pictures.get(key).map(|jpeg| base64::engine::general_purpose::STANDARD.encode(jpeg));
        let key = escaped(key);
        let _ = match encoded {
            Some(data) => write!(
                page,
                "<figure><img alt=\"{key}\" src=\"data:image/jpeg;base64,{data}\"><figcaption>{key}<br>{caption}</figcaption></figure>"
            ),
            None => write!(page, "<figure><figcaption>{key}: not shown<br>{caption}</figcaption></figure>"),
        };
    }
}

fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "<p>Recall in percent (95 % interval) of {} pictures changed in known ways, looked for among {}.</p>\n<table><tr><th>change</th>",
        evaluation.n_changed, evaluation.n_background
    );
    evaluation.methods.iter().for_each(|method| text += &format!("<th>{}</th>", escaped(&method.method)));
    let cell = |share: &super::Share| {
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
