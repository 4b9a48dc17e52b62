//! How many near-duplicates are found, and how many pairs are found that are none.
//!
//! Pictures of the set are changed in known ways, and each changed copy is looked for among the set's pictures: its own
//! original is to be found (recall), other pictures are not, but for those that are in one group with the original, which
//! count for neither. The false-positive rate is the share of false pairs among all pairs found, over all changes but the
//! flip. Perceptual hashes are given the largest radius at which they keep to the rate that is set, and, in a second row, the
//! largest at which they have no larger share of false pairs than the near rule.

mod baselines;
mod changes;
mod config;
mod evaluated;
mod interval;
mod judged;
mod montage;
mod near;
mod results;
mod sheet;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use dcgan_images::{Damaged, DecodeConfig, Filter, Payload, Record, Resize, batches};
use dcgan_nn::rng::{self, Purpose};
use image::RgbImage;
use rayon::prelude::*;

pub use baselines::Baseline;
pub use changes::Change;
pub use config::{EvaluateConfig, Half};
pub use evaluated::Evaluated;
pub use interval::Share;
pub use judged::{Judged, Overruled, found_pairs, overrule};
pub use results::{Evaluation, MethodResult};
pub use sheet::{PairToJudge, Sheet};

use self::evaluated::Hashed;
use self::near::Near;
use crate::group::{GroupConfig, Member};
use crate::hash::{self, Codes, Pictures, read_keys};
use crate::preprocess::{FILTER, SIDE};
use crate::{Code, DedupError, Result};

/// Pictures that have a code were judged when they were hashed.
const AS_HASHED: DecodeConfig = DecodeConfig { max_pixels: u32::MAX as u64, damaged: Damaged::Allow };

/// Pictures that are compared together.
const CHUNK: usize = 256;

/// For each background picture in a group the images of the group.
type Related = HashMap<usize, HashSet<usize>>;
/// The background pictures that a method finds for a copy, of which the number of its change is given.
type Finds<'a> = dyn Fn(&Hashed, usize) -> Result<Vec<u32>> + Sync + 'a;
/// Copies, copies whose original was found, false pairs, pairs with other pictures.
type Counts = [u64; 4];

/// Measures recall and false positives, and collects the pictures of the contact sheet, on which `borderline` pairs
/// stand too. `observe` receives pictures done and to do.
///
/// # Errors
/// Where a setting is out of range or files cannot be read; [`DedupError::File`] where the set holds none of the hashed
/// pictures; [`DedupError::Interrupted`].
pub fn evaluate(
    evaluated: Evaluated<'_>,
    config: &EvaluateConfig,
    borderline: &[PairToJudge],
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(Evaluation, Sheet)> {
    config.validate()?;
    let codes_path = evaluated.hashed.join(hash::files::CODES);
    let set = Codes::read(&codes_path)?;
    let n = set.codes.len().min(config.n_background);
    let keys = read_keys(&codes_path, |image| (image as usize) < n)?;
    let index_of: HashMap<&str, usize> = keys.iter().map(|(i, key)| (key.as_str(), *i as usize)).collect();
    let mut sample = batches::shuffled(n, config.seed, 0);
    if let Some(half) = config.half {
        let is_in: Vec<bool> = keys.iter().map(|(_, key)| half.holds(key)).collect();
        sample.retain(|&i| is_in[i as usize]);
    }
    sample.truncate(config.n_changed);
    let is_changed: HashMap<usize, usize> =
        sample.iter().enumerate().map(|(k, &i)| (i as usize, k)).collect();

    let mut sheet = Sheet::new(evaluated.found, borderline, config.n_on_sheet, config.seed);
    let mut walk = Walk {
        evaluated,
        config,
        background: vec![[0; 2]; n],
        is_met: vec![false; n],
        copies: sample.iter().map(|_| None).collect(),
        originals: sample.iter().map(|&i| i as usize).collect(),
    };
    let n_total = evaluated.source.survey(observe)?.n_images().unwrap_or(0);
    let (mut n_done, mut chunk) = (0, Vec::new());
    let mut take = |chunk: Vec<Record>| {
        n_done += chunk.len() as u64;
        walk.take(chunk, &index_of, &is_changed, &mut sheet)?;
        Ok::<_, DedupError>(walk.is_complete() && sheet.is_complete())
    };
    evaluated.source.for_each_record(&mut |n_done| observe(n_done, n_total), &mut |record| {
        chunk.push(record);
        let is_done = chunk.len() == CHUNK && take(std::mem::take(&mut chunk))?;
        Ok::<_, DedupError>(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    take(chunk)?;
    walk.check_met(&keys)?;
    let evaluation = walk.result(&set.codes[..n], &keys)?;
    Ok((evaluation, sheet))
}

/// One pass over the set.
struct Walk<'a> {
    evaluated: Evaluated<'a>,
    config: &'a EvaluateConfig,
    /// Perceptual hashes of the background pictures.
    background: Vec<[u64; 2]>,
    /// Which of them the set holds.
    is_met: Vec<bool>,
    /// The changed copies of each original.
    copies: Vec<Option<Hashed>>,
    originals: Vec<usize>,
}

impl Walk<'_> {
    /// Refuses another set than the one that was hashed: one without most of the pictures that were to be changed.
    fn check_met(&self, keys: &[(u32, String)]) -> Result<()> {
        let lacking = self.originals.iter().zip(&self.copies).filter(|(_, copies)| copies.is_none());
        let lacking: Vec<usize> = lacking.map(|(&original, _)| original).collect();
        let (n, n_lacking) = (self.originals.len(), lacking.len());
        let first = lacking.first().and_then(|&image| keys.iter().find(|(of, _)| *of as usize == image));
        match first.filter(|_| 2 * n_lacking > n) {
            None => Ok(()),
            Some((_, key)) => Err(DedupError::File {
                path: self.evaluated.hashed.join(hash::files::CODES),
                expected: "codes of the pictures of `source`".into(),
                found: format!("{n_lacking} of {n} that it does not hold, such as `{key}`"),
            }),
        }
    }

    /// Every picture that is looked for was met: nothing is left to be read.
    fn is_complete(&self) -> bool {
        self.copies.iter().all(Option::is_some) && self.is_met.iter().all(|is_met| *is_met)
    }

    fn take(
        &mut self,
        chunk: Vec<Record>,
        index_of: &HashMap<&str, usize>,
        is_changed: &HashMap<usize, usize>,
        sheet: &mut Sheet,
    ) -> Result<()> {
        let wanted: Vec<(Record, Option<usize>, bool)> = chunk
            .into_iter()
            .map(|record| {
                let (image, is_shown) =
                    (index_of.get(record.key.as_str()).copied(), sheet.wants(&record.key));
                (record, image, is_shown)
            })
            .filter(|(_, image, is_shown)| image.is_some() || *is_shown)
            .collect();
        let hashers = Baseline::ALL.map(Baseline::hasher);
        let compared: Vec<_> = wanted
            .into_par_iter()
            .map(|(record, image, is_shown)| {
                let Record { key, payload, .. } = record;
                let picture = payload.into_picture(Resize::Keep, Filter::default(), 3, AS_HASHED)?;
                let Some(picture) = changes::to_image(&picture) else { return Ok(None) };
                let words = [0, 1].map(|k| Baseline::hash(&hashers[k], &picture));
                let thumbnail = if is_shown { Some(sheet::thumbnail(&picture)?) } else { None };
                let copies = match image.and_then(|image| is_changed.get(&image)) {
                    Some(&k) => Some((k, self.changed(&picture, k)?)),
                    None => None,
                };
                Ok(Some((key, image, words, thumbnail, copies)))
            })
            .collect::<Result<Vec<_>>>()?;
        for (key, image, words, thumbnail, copies) in compared.into_iter().flatten() {
            if let Some(image) = image {
                self.background[image] = words;
                self.is_met[image] = true;
            }
            if let Some(thumbnail) = thumbnail {
                sheet.add(key, thumbnail);
            }
            if let Some((k, copies)) = copies {
                self.copies[k] = Some(copies);
            }
        }
        Ok(())
    }

    /// All changed copies of original number `k`.
    fn changed(&self, picture: &RgbImage, k: usize) -> Result<Hashed> {
        let mut rng = rng::stream(self.config.seed, Purpose::Corruption, k as u64);
        let hashers = Baseline::ALL.map(Baseline::hasher);
        let mut hashed = Hashed::default();
        for change in &self.config.changes {
            let payload = change.apply(picture, &mut rng)?;
            let whole = match &payload {
                Payload::Pixels(picture) => changes::to_image(picture),
                Payload::Encoded(bytes) => image::load_from_memory(bytes).ok().map(|image| image.to_rgb8()),
                Payload::File(_) | Payload::Bad(_) => None,
            };
            for (words, hasher) in hashed.baselines.iter_mut().zip(&hashers) {
                words.push(whole.as_ref().map_or(0, |picture| Baseline::hash(hasher, picture)));
            }
            let thumbnail = payload.into_thumbnail(SIDE, FILTER, AS_HASHED)?;
            hashed.pixels.extend(thumbnail.picture.pixels);
            hashed.sizes.push([thumbnail.width as u32, thumbnail.height as u32]);
        }
        let Evaluated { model, grouping, .. } = self.evaluated;
        hashed.codes = model.codes(&hashed.pixels)?;
        let views: Result<_> =
            grouping.probes().iter().map(|probe| probe.codes(model, &hashed.pixels)).collect();
        hashed.views = views?;
        Ok(hashed)
    }

    fn result(&self, codes: &[Code], keys: &[(u32, String)]) -> Result<Evaluation> {
        let n_pictures = Codes::read(&self.evaluated.hashed.join(hash::files::CODES))?.codes.len();
        let pictures = Pictures::open(&self.evaluated.hashed.join(hash::files::PICTURES), n_pictures as u64)?;
        let related = related(self.evaluated.groups, keys);
        let GroupConfig { radius, pixel_distance: threshold, .. } = self.evaluated.grouping;
        let tally = |finds: &Finds<'_>| self.tally(&related, codes.len(), finds);
        let exact = tally(&|copies, change| {
            let found = codes.iter().zip(0..).filter(|(code, _)| **code == copies.codes[change]);
            Ok(found.map(|(_, image)| image).collect())
        })?;
        let near = Near::new(self.evaluated, codes, pictures)?;
        let near = tally(&|copies, change| near.finds(copies, change))?;
        let radius_alone = tally(&|copies, change| {
            let near =
                codes.iter().zip(0..).filter(|(code, _)| code.distance(copies.codes[change]) <= *radius);
            Ok(near.map(|(_, image)| image).collect())
        })?;
        let mut methods = vec![
            self.row("semantic hash, exact".into(), exact),
            self.row(format!("semantic hash, radius {radius} without a second look"), radius_alone),
            self.row(format!("semantic hash, near (radius {radius}, second look {threshold})"), near),
        ];
        let near_rate = methods.last().map_or(0.0, |near| near.false_positives.share);
        for (k, name) in ["pHash", "dHash"].into_iter().enumerate() {
            for (rate, note) in
                [(self.config.false_positive_rate, ""), (near_rate, ", with near's false pairs")]
            {
                methods.push(self.baseline(k, name, note, rate, &related)?);
            }
        }
        Ok(Evaluation {
            n_changed: self.copies.iter().flatten().count() as u64,
            n_background: codes.len() as u64,
            n_met: self.is_met.iter().filter(|is_met| **is_met).count() as u64,
            changes: self.config.changes.clone(),
            methods,
        })
    }

    /// A perceptual hash at the largest radius whose share of false pairs is at most `rate`; at 0 where that is beyond it too.
    fn baseline(
        &self,
        k: usize,
        name: &str,
        note: &str,
        rate: f64,
        related: &Related,
    ) -> Result<MethodResult> {
        let at = |radius: u32| -> Result<MethodResult> {
            let found = self.tally(related, self.background.len(), &|copies, change| {
                let word = copies.baselines[k][change];
                let near = self.background.iter().zip(0..);
                let near = near.filter(|(words, _)| (words[k] ^ word).count_ones() <= radius);
                Ok(near.map(|(_, image)| image).collect())
            })?;
            Ok(self.row(format!("{name}, radius {radius} of 64 bits{note}"), found))
        };
        let mut best = at(0)?;
        for radius in 1..=24 {
            let row = at(radius)?;
            if row.false_positives.share > rate {
                break;
            }
            best = row;
        }
        Ok(best)
    }

    /// For each change the counts over all copies.
    fn tally(&self, related: &Related, n_background: usize, finds: &Finds<'_>) -> Result<Vec<Counts>> {
        let counts = |change: usize| {
            let count = |(&original, copies): (&usize, &Option<Hashed>)| -> Result<Counts> {
                let Some(copies) = copies else { return Ok([0; 4]) };
                let images = finds(copies, change)?;
                let is_related =
                    |image: usize| related.get(&original).is_some_and(|set| set.contains(&image));
                let is_false = |image: usize| image != original && !is_related(image);
                let n_true = images.iter().filter(|&&image| image as usize == original).count() as u64;
                let n_false = images.iter().filter(|&&image| is_false(image as usize)).count() as u64;
                Ok([1, n_true, n_false, n_background as u64 - 1])
            };
            let rows: Vec<Counts> =
                self.originals.par_iter().zip(&self.copies).map(count).collect::<Result<_>>()?;
            Ok(rows.iter().fold([0; 4], |sum, row| [0, 1, 2, 3].map(|k| sum[k] + row[k])))
        };
        (0..self.config.changes.len()).map(counts).collect()
    }

    fn row(&self, method: String, counts: Vec<Counts>) -> MethodResult {
        let judged = self.config.changes.iter().zip(&counts).filter(|(change, _)| **change != Change::Flip);
        let sum = judged.fold([0; 4], |sum: Counts, (_, row)| [0, 1, 2, 3].map(|k| sum[k] + row[k]));
        MethodResult {
            method,
            recall: counts.iter().map(|row| Share::new(row[1], row[0])).collect(),
            false_positives: Share::new(sum[2], sum[1] + sum[2]),
            false_per_million: 1e6 * sum[2] as f64 / (sum[3] as f64).max(1.0),
        }
    }
}

/// The groups, by the indices of background pictures.
fn related(groups: &[Vec<Member>], keys: &[(u32, String)]) -> Related {
    let index_of: HashMap<&str, usize> = keys.iter().map(|(i, key)| (key.as_str(), *i as usize)).collect();
    let mut related = Related::new();
    for group in groups {
        let images: HashSet<usize> =
            group.iter().filter_map(|member| index_of.get(member.key.as_str()).copied()).collect();
        for &image in &images {
            related.insert(image, images.clone());
        }
    }
    related
}

impl Evaluation {
    /// The table as HTML: a row a change, a column a method.
    pub fn html(&self) -> String {
        sheet::table(self)
    }

    /// The table as Markdown: a row a change, a column a method.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| change |");
        self.methods.iter().for_each(|method| text += &format!(" {} |", method.method));
        text += "\n| --- |";
        self.methods.iter().for_each(|_| text += " --- |");
        let percent = |share: &Share| {
            format!(" {:.1} % ({:.1}–{:.1}) |", 100.0 * share.share, 100.0 * share.low, 100.0 * share.high)
        };
        for (k, change) in self.changes.iter().enumerate() {
            text += &format!("\n| {change} |");
            self.methods.iter().for_each(|method| text += &percent(&method.recall[k]));
        }
        text += "\n| false pairs among those found |";
        for method in &self.methods {
            text += &format!("{} ", percent(&method.false_positives).trim_end_matches('|'));
            text += "|";
        }
        text += "\n| false pairs in a million |";
        self.methods.iter().for_each(|method| text += &format!(" {:.3} |", method.false_per_million));
        text.push('\n');
        text
    }
}
