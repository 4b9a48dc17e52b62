//! What the near rule finds for a copy among the background.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use super::evaluated::{Evaluated, Hashed};
use crate::group::{Prepared, Probe, Seen, channels, is_grey, pixel_distance};
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
    radius: u32,
    threshold: f64,
}

impl<'a> Near<'a> {
    pub(super) fn new(evaluated: Evaluated<'_>, codes: &'a [Code], pictures: Pictures) -> Result<Self> {
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
        let (radius, threshold) = (grouping.radius, grouping.pixel_distance);
        let sizes = Codes::read(path)?.sizes;
        Ok(Self { codes, sizes, pictures, probes, views, is_grey: grey, radius, threshold })
    }

    /// The pictures that are alike to the copy of a change, each once.
    pub(super) fn finds(&self, copies: &Hashed, change: usize) -> Result<Vec<u32>> {
        let code = copies.codes[change];
        let pixels = &copies.pixels[change * PICTURE_BYTES..][..PICTURE_BYTES];
        let (size, copy) = (copies.sizes[change], Prepared::new(pixels));
        let copy_is_grey = is_grey(&channels(pixels));
        let near = |codes: &[Code], code: Code, radius: u32| -> Vec<u32> {
            let near = codes.iter().zip(0..).filter(|(other, _)| other.distance(code) <= radius);
            near.map(|(_, image)| image).collect()
        };
        let mut found: HashSet<u32> = HashSet::new();
        self.look(&near(self.codes, code, self.radius), &mut found, &|picture, _| {
            pixel_distance(picture, pixels)
        })?;
        for (k, probe) in self.probes.iter().enumerate() {
            let radius = probe.radius(self.radius);
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
        Ok(found.into_iter().collect())
    }

    /// Adds those of `images` whose distance is within the threshold.
    fn look(
        &self,
        images: &[u32],
        found: &mut HashSet<u32>,
        distance: &dyn Fn(&[u8], [u32; 2]) -> f32,
    ) -> Result<()> {
        let images: Vec<u32> = images.iter().filter(|image| !found.contains(image)).copied().collect();
        let pixels = self.pictures.read(&images)?;
        for (image, picture) in images.into_iter().zip(pixels.chunks_exact(PICTURE_BYTES)) {
            if f64::from(distance(picture, self.sizes[image as usize])) <= self.threshold {
                found.insert(image);
            }
        }
        Ok(())
    }
}
