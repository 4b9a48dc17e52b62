//! The near rule: codes within the radius, of pictures and of parts of them, and a second look.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;

use super::UnionFind;
use super::align::Alignment;
use super::config::{GroupConfig, Mirrored};
use super::distances::DistanceCounts;
use super::near::{Pair, SearchReport, near_pairs, near_queries};
use super::planes::is_grey_picture;
use super::probes::{Probe, Seen, shapes};
use super::second_look::{ComparedPair, Prepared, distance_from};
use crate::hash::{Codes, Pictures};
use crate::preprocess::PICTURE_BYTES;
use crate::{Autoencoder, Code, DedupError, Result};

/// Pairs that are compared together.
const PAIRS_AT_ONCE: usize = 1 << 12;
/// Pairs nearest to the threshold, on either side, that are kept for people to judge.
const N_BORDERLINE: usize = 200;
/// Pictures whose views are hashed together.
const PICTURES_AT_ONCE: usize = 1 << 12;

/// A picture is in a crowd with so many others whose codes are within the radius and that are half alike to it, beyond the threshold but
/// within twice that; in large sets more are so by chance.
pub fn crowd(n_images: usize) -> u32 {
    3 + (n_images / 25_000) as u32
}
/// Share of the threshold within which pictures in a crowd are alike.
const IN_A_CROWD: f64 = 1.0 / 3.0;

/// How near two pictures must be, of which one has the larger number of others that are half alike to it.
///
/// Photos that are half alike are rare, copies or not. Strokes, digits and the like are half alike by the hundred, and so many of them
/// are alike by chance.
pub fn threshold(config: &GroupConfig, n_images: usize, n_half_alike: u32) -> f64 {
    let share = if n_half_alike < crowd(n_images) { 1.0 } else { IN_A_CROWD };
    share * config.pixel_distance
}

/// Whether a picture at this distance is half alike.
pub(crate) fn is_half_alike(config: &GroupConfig, pixel_distance: f32) -> bool {
    let distance = f64::from(pixel_distance);
    distance > config.pixel_distance && distance <= 2.0 * config.pixel_distance
}

/// What the rule finds.
pub(super) struct NearGroups {
    pub(super) groups: Vec<Vec<u32>>,
    pub(super) n_candidates: u64,
    pub(super) n_alike: u64,
    /// Pairs within the threshold that are none for being in a crowd.
    pub(super) n_crowded: u64,
    pub(super) search: SearchReport,
    pub(super) distances: DistanceCounts,
    pub(super) borderline: Vec<ComparedPair>,
    pub(super) mirrored: Vec<ComparedPair>,
    /// Of each grouped image the smallest distance by which it came into its group.
    pub(super) nearest: BTreeMap<u32, f32>,
    /// With a border between two sets: of each image of the first its nearest one of the second.
    pub(super) across: BTreeMap<u32, ComparedPair>,
}

/// The codes of one view of the pictures of which there is one.
struct Views {
    probe: Probe,
    codes: Vec<Code>,
    /// Whose views they are.
    images: Vec<u32>,
}

/// Groups the images of `set`, which the autoencoder at `model` hashed. With a border only pairs of an image before and one behind it
/// count.
pub(super) fn near_groups(
    set: &Codes,
    pictures: &Pictures,
    model: &Path,
    border: Option<u32>,
    config: &GroupConfig,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<NearGroups> {
    let mut look = Look {
        set,
        pictures,
        config,
        sets: UnionFind::new(set.codes.len() as u32),
        found: NearGroups {
            groups: Vec::new(),
            n_candidates: 0,
            n_alike: 0,
            n_crowded: 0,
            search: SearchReport::default(),
            distances: DistanceCounts::new(&set.codes, config.radius),
            borderline: Vec::new(),
            mirrored: Vec::new(),
            nearest: BTreeMap::new(),
            across: BTreeMap::new(),
        },
        border,
        alike: Vec::new(),
        n_half_alike: vec![0; set.codes.len()],
        is_grey: Vec::new(),
        failed: None,
    };
    look.found.search = near_pairs(&set.codes, config.radius, config.bucket_cap, &mut |mut pairs| {
        pairs.retain(|pair| look.is_across(pair));
        look_at_all(&mut look, None, &pairs, observe);
    });
    if let Some(error) = look.failed.take() {
        return Err(error);
    }
    let (views, is_grey) = views(set, pictures, model, config, observe)?;
    look.is_grey = is_grey;
    for views in views {
        // Without a grey picture there is no grey copy.
        if views.probe.is_grey() && !look.is_grey.contains(&true) {
            continue;
        }
        let radius = views.probe.radius(config.radius);
        let met = near_queries(&set.codes, &views.codes, radius, config.bucket_cap, &mut |mut pairs| {
            pairs.iter_mut().for_each(|pair| pair.second = views.images[pair.second as usize]);
            pairs.retain(|pair| {
                pair.first != pair.second && look.is_across(pair) && look.may_be(&views.probe, pair)
            });
            look_at_all(&mut look, Some(&views.probe), &pairs, observe);
        });
        look.found.search.add(&met);
        if let Some(error) = look.failed.take() {
            return Err(error);
        }
    }
    Ok(look.grouped())
}

/// The views of all pictures, a probe after the other (20 bytes a picture and probe), and which pictures are grey.
fn views(
    set: &Codes,
    pictures: &Pictures,
    model: &Path,
    config: &GroupConfig,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(Vec<Views>, Vec<bool>)> {
    let shapes = shapes(&set.sizes);
    let images_of = |probe: &Probe| -> Vec<u32> {
        let may_fit = |&image: &u32| probe.may_fit(set.sizes[image as usize], &shapes);
        (0..set.codes.len() as u32).filter(may_fit).collect()
    };
    let views = config.probes().into_iter().map(|probe| Views {
        probe,
        codes: Vec::new(),
        images: images_of(&probe),
    });
    let mut views: Vec<Views> = views.filter(|views| !views.images.is_empty()).collect();
    // Codes of other making come without an autoencoder: then there are whole pictures alone.
    if views.is_empty() || !model.exists() {
        return Ok((Vec::new(), vec![false; set.codes.len()]));
    }
    let model = Autoencoder::load(model)?;
    let all: Vec<u32> = (0..set.codes.len() as u32).collect();
    let mut grey = Vec::with_capacity(all.len());
    for images in all.chunks(PICTURES_AT_ONCE) {
        if observe(0, 0).is_break() {
            return Err(DedupError::Interrupted);
        }
        let bytes = pictures.read(images)?;
        grey.par_extend(bytes.par_chunks_exact(PICTURE_BYTES).map(is_grey_picture));
        for Views { probe, codes, images: wanted } in &mut views {
            let after = wanted.partition_point(|image| image <= &images[images.len() - 1]);
            let of = |image: &u32| &bytes[(image - images[0]) as usize * PICTURE_BYTES..][..PICTURE_BYTES];
            let chosen = &wanted[codes.len()..after];
            let chosen: Cow<'_, [u8]> = match chosen.len() == images.len() {
                true => Cow::Borrowed(&bytes),
                false => chosen.iter().map(of).collect::<Vec<_>>().concat().into(),
            };
            codes.extend(probe.codes(&model, &chosen)?);
        }
    }
    Ok((views, grey))
}

/// Second looks at pairs; with a probe, at the view of `second` and at all of `first`. `size` is that of a picture as it was hashed.
///
/// # Errors
/// Where a picture cannot be read.
pub fn compare(
    pictures: &Pictures,
    probe: Option<&Probe>,
    pairs: &[Pair],
    size: impl Fn(u32) -> [u32; 2] + Sync,
) -> Result<Vec<ComparedPair>> {
    let parts = prepared(pictures, pairs.iter().map(|pair| pair.first), Prepared::new)?;
    let seen = prepared(pictures, pairs.iter().map(|pair| pair.second), |pixels| match probe {
        None => Prepared::new(pixels),
        Some(probe) => probe.prepared(pixels),
    })?;
    let compared = pairs.par_iter().map(|pair| {
        let seen = Seen { picture: &seen[&pair.second], size: size(pair.second) };
        let part = Seen { picture: &parts[&pair.first], size: size(pair.first) };
        let pixel_distance = match probe {
            None => distance_from(part.picture, seen.picture, Alignment::NONE),
            Some(probe) => probe.distance(seen, part),
        };
        let (first, second) = (pair.first.min(pair.second), pair.first.max(pair.second));
        ComparedPair { first, second, distance: pair.distance, pixel_distance }
    });
    Ok(compared.collect())
}

/// The pictures, each once.
fn prepared(
    pictures: &Pictures,
    images: impl Iterator<Item = u32>,
    prepare: impl Fn(&[u8]) -> Prepared + Sync + Send,
) -> Result<BTreeMap<u32, Prepared>> {
    let images: Vec<u32> = images.collect::<BTreeSet<u32>>().into_iter().collect();
    let pixels = pictures.read(&images)?;
    let prepared = pixels.par_chunks_exact(PICTURE_BYTES).map(prepare);
    Ok(images.into_iter().zip(prepared.collect::<Vec<_>>()).collect())
}

/// Second looks at pairs, and what they found.
struct Look<'a> {
    set: &'a Codes,
    pictures: &'a Pictures,
    config: &'a GroupConfig,
    /// By pairs that are near enough in a crowd too: what these connect is together, whatever else is found.
    sets: UnionFind,
    found: NearGroups,
    border: Option<u32>,
    /// Pairs within the threshold, and whether one is mirrored.
    alike: Vec<(ComparedPair, bool)>,
    /// Of each picture how many others are half alike to it, of those whose own codes are within the radius.
    n_half_alike: Vec<u32>,
    is_grey: Vec<bool>,
    failed: Option<DedupError>,
}

/// Looks at pairs; with a probe, at the view of `second` and at all of `first`. Once something failed, at none.
fn look_at_all(
    look: &mut Look<'_>,
    probe: Option<&Probe>,
    pairs: &[Pair],
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) {
    for pairs in pairs.chunks(PAIRS_AT_ONCE) {
        if look.failed.is_some() {
            return;
        }
        if observe(look.found.n_candidates, 0).is_break() {
            look.failed = Some(DedupError::Interrupted);
            return;
        }
        match compare(look.pictures, probe, pairs, |image| look.set.sizes[image as usize]) {
            Ok(compared) => look.note(probe, compared),
            Err(error) => look.failed = Some(error),
        }
    }
}

impl Look<'_> {
    /// Whether a pair counts.
    fn is_across(&self, pair: &Pair) -> bool {
        self.border.is_none_or(|border| (pair.first < border) != (pair.second < border))
    }

    /// Whether the shapes of two pictures allow that one is a part of the other; those that are together already need no look.
    fn may_be(&mut self, probe: &Probe, pair: &Pair) -> bool {
        let size = |image: u32| self.set.sizes[image as usize];
        probe.fits(size(pair.second), size(pair.first))
            && self.sets.find(pair.first) != self.sets.find(pair.second)
    }

    fn note(&mut self, probe: Option<&Probe>, compared: Vec<ComparedPair>) {
        self.found.n_candidates += compared.len() as u64;
        let is_mirror = probe.is_some_and(Probe::is_mirrored);
        for pair in &compared {
            let is_alike = f64::from(pair.pixel_distance) <= self.config.pixel_distance;
            self.found.distances.add(pair, is_alike);
            if probe.is_none() && is_half_alike(self.config, pair.pixel_distance) {
                [pair.first, pair.second].iter().for_each(|&image| self.n_half_alike[image as usize] += 1);
            }
            if !is_alike {
                continue;
            }
            self.alike.push((*pair, is_mirror));
            let is_sure =
                f64::from(pair.pixel_distance) <= threshold(self.config, self.set.codes.len(), u32::MAX);
            if is_sure && self.border.is_none() && (!is_mirror || self.config.mirrored == Mirrored::Group) {
                self.sets.join(pair.first, pair.second);
            }
        }
        if !is_mirror {
            self.found.borderline.extend(compared);
            keep_borderline(&mut self.found.borderline, self.config.pixel_distance);
        }
    }

    /// The groups by the pairs that are near enough, now that it is known which pictures are in a crowd.
    fn grouped(mut self) -> NearGroups {
        let n = self.set.codes.len();
        let mut sets = UnionFind::new(n as u32);
        let mut mirrored: BTreeMap<[u32; 2], ComparedPair> = BTreeMap::new();
        // A pair may be met by several views.
        let mut crowded: BTreeSet<[u32; 2]> = BTreeSet::new();
        for (pair, is_mirror) in std::mem::take(&mut self.alike) {
            let of = |image: u32| self.n_half_alike[image as usize];
            if f64::from(pair.pixel_distance) > threshold(self.config, n, of(pair.first).max(of(pair.second)))
            {
                crowded.insert([pair.first, pair.second]);
                continue;
            }
            self.found.n_alike += 1;
            if is_mirror {
                mirrored.insert([pair.first, pair.second], pair);
            }
            if is_mirror && self.config.mirrored != Mirrored::Group {
                continue;
            }
            match self.border {
                None => {
                    sets.join(pair.first, pair.second);
                    for image in [pair.first, pair.second] {
                        let nearest = self.found.nearest.entry(image).or_insert(pair.pixel_distance);
                        *nearest = nearest.min(pair.pixel_distance);
                    }
                }
                Some(_) => self.note_across(pair),
            }
        }
        self.found.n_crowded = crowded.len() as u64;
        let mirrored = mirrored.into_values().filter(|pair| sets.find(pair.first) != sets.find(pair.second));
        let mirrored = mirrored.collect();
        NearGroups { mirrored, groups: sets.groups(), ..self.found }
    }
}

impl Look<'_> {
    fn note_across(&mut self, pair: ComparedPair) {
        let nearest = self.found.across.entry(pair.first).or_insert(pair);
        if pair.pixel_distance < nearest.pixel_distance {
            *nearest = pair;
        }
    }
}

fn keep_borderline(pairs: &mut Vec<ComparedPair>, threshold: f64) {
    // A pair that was seen several times counts as it was most alike.
    let key = |pair: &ComparedPair| (pair.first, pair.second);
    pairs.sort_by(|a, b| key(a).cmp(&key(b)).then(a.pixel_distance.total_cmp(&b.pixel_distance)));
    pairs.dedup_by_key(|pair| key(pair));
    let off = |pair: &ComparedPair| (f64::from(pair.pixel_distance) - threshold).abs();
    pairs.sort_by(|a, b| off(a).total_cmp(&off(b)).then(a.first.cmp(&b.first)).then(a.second.cmp(&b.second)));
    pairs.truncate(N_BORDERLINE);
}
