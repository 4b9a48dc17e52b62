//! What the near rule finds for a copy among the background.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::evaluated::{Evaluated, Hashed};
use crate::group::{
    GroupConfig, Prepared, Probe, Seen, channels, is_grey, is_half_alike, pixel_distance, threshold,
};
use crate::hash::{self, Codes, Pictures};
use crate::preprocess::PICTURE_BYTES;
use crate::{Code, Result};

/// The background, with the views of its pictures.
pub(super) struct Near<'a> {
    codes: &'a [Code],
    sizes: Vec<[u32; 2]>,
    pictures: Pictures,
    probes: Vec<Probe>,
    /// Of each probe the codes of the views.
    views: Vec<Vec<Code>>,
    is_grey: Vec<bool>,
    grouping: &'a GroupConfig,
    /// Of background pictures that were met how many others are half alike to them.
    crowds: Mutex<HashMap<u32, u32>>,
}

impl<'a> Near<'a> {
    pub(super) fn new(evaluated: Evaluated<'a>, codes: &'a [Code], pictures: Pictures) -> Result<Self> {
        let grouping = evaluated.grouping;
        let probes = grouping.probes();
        let mut views = vec![Vec::with_capacity(codes.len()); probes.len()];
        let mut grey = Vec::with_capacity(codes.len());
        let all: Vec<u32> = (0..codes.len() as u32).collect();
        for images in all.chunks(1 << 12) {
            let bytes = pictures.read(images)?;
            grey.par_extend(bytes.par_chunks_exact(PICTURE_BYTES).map(|picture| is_grey(&channels(picture))));
            for (views, probe) in views.iter_mut().zip(&probes) {
                views.extend(probe.codes(evaluated.model, &bytes)?);
            }
        }
        let path: &Path = &evaluated.hashed.join(hash::files::CODES);
        let sizes = Codes::read(path)?.sizes;
        let crowds = Mutex::default();
        Ok(Self { codes, sizes, pictures, probes, views, is_grey: grey, grouping, crowds })
    }

    /// The pictures that are alike to the copy of a change, each once.
    pub(super) fn finds(&self, copies: &Hashed, change: usize) -> Result<Vec<u32>> {
        let code = copies.codes[change];
        let pixels = &copies.pixels[change * PICTURE_BYTES..][..PICTURE_BYTES];
        let (size, copy) = (copies.sizes[change], Prepared::new(pixels));
        let copy_is_grey = is_grey(&channels(pixels));
        let mut found: HashMap<u32, f32> = HashMap::new();
        let n_half_alike = self.look(&near(self.codes, code, self.radius()), &mut found, &|picture, _| {
            pixel_distance(picture, pixels)
        })?;
        for (k, probe) in self.probes.iter().enumerate() {
            let radius = probe.radius(self.radius());
            let mut seen = near(&self.views[k], code, radius);
            seen.retain(|&image| probe.fits(self.sizes[image as usize], size));
            if !probe.is_grey() || copy_is_grey {
                self.look(&seen, &mut found, &|picture, picture_size| {
                    let seen = Seen { picture: &probe.prepared(picture), size: picture_size };
                    probe.distance(seen, Seen { picture: &copy, size })
                })?;
            }
            let mut parts = near(self.codes, copies.views[k][change], radius);
            parts.retain(|&image| {
                let is_fit = !probe.is_grey() || self.is_grey[image as usize];
                is_fit && probe.fits(size, self.sizes[image as usize])
            });
            let seen = probe.prepared(pixels);
            self.look(&parts, &mut found, &|picture, picture_size| {
                let part = Seen { picture: &Prepared::new(picture), size: picture_size };
                probe.distance(Seen { picture: &seen, size }, part)
            })?;
        }
        let mut images = Vec::with_capacity(found.len());
        for (image, distance) in found {
            let n_half_alike = n_half_alike.max(self.n_half_alike(image)?);
            if f64::from(distance) <= threshold(self.grouping, self.codes.len(), n_half_alike) {
                images.push(image);
            }
        }
        Ok(images)
    }

    fn radius(&self) -> u32 {
        self.grouping.radius
    }

    /// How many pictures of the background are half alike to one of it.
    fn n_half_alike(&self, image: u32) -> Result<u32> {
        let known = |crowds: &Mutex<HashMap<u32, u32>>| {
            crowds.lock().unwrap_or_else(PoisonError::into_inner).get(&image).copied()
        };
        if let Some(n) = known(&self.crowds) {
            return Ok(n);
        }
        let mut others = near(self.codes, self.codes[image as usize], self.radius());
        others.retain(|&other| other != image);
        let pixels = self.pictures.read(&[image])?;
        let n = self.look(&others, &mut HashMap::new(), &|picture, _| pixel_distance(picture, &pixels))?;
        self.crowds.lock().unwrap_or_else(PoisonError::into_inner).insert(image, n);
        Ok(n)
    }

    /// Adds those of `images` whose distance is within the threshold, with the smallest one found; how many are half alike.
    fn look(
        &self,
        images: &[u32],
        found: &mut HashMap<u32, f32>,
        distance: &dyn Fn(&[u8], [u32; 2]) -> f32,
    ) -> Result<u32> {
        let pixels = self.pictures.read(images)?;
        let mut n_half_alike = 0;
        for (&image, picture) in images.iter().zip(pixels.chunks_exact(PICTURE_BYTES)) {
            let distance = distance(picture, self.sizes[image as usize]);
            n_half_alike += u32::from(is_half_alike(self.grouping, distance));
            if f64::from(distance) <= self.grouping.pixel_distance {
                let nearest = found.entry(image).or_insert(distance);
                *nearest = nearest.min(distance);
            }
        }
        Ok(n_half_alike)
    }
}

/// The numbers of the codes within the radius.
fn near(codes: &[Code], code: Code, radius: u32) -> Vec<u32> {
    let near = codes.iter().zip(0..).filter(|(other, _)| other.distance(code) <= radius);
    near.map(|(_, image)| image).collect()
}
