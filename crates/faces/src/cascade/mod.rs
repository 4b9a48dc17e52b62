//! SeetaFace's funnel-structured cascade: "Funnel-structured cascade for multi-view face detection with alignment awareness"
//! (Wu, Kan, He, Shan, Chen, Neurocomputing 2017), with the model file its authors released.
//!
//! A window of 40×40 pixels slides over ever smaller copies of a grey picture. Three boosted classifiers throw out nearly all of
//! its places; what any of them keeps goes through three small networks, each of which also moves and resizes the window to fit
//! the face better. Of windows that overlap, the best one stays.
//!
//! | module | holds |
//! | --- | --- |
//! | `model` | the model file |
//! | `scale` | copies of other sizes |
//! | `boosted` | LAB features and the boosted classifiers |
//! | `surf`, `network` | sums of gradients, and the networks over them |
//! | `overlap` | of overlapping windows, the best |

mod boosted;
mod model;
mod network;
mod overlap;
mod scale;
mod surf;

use boosted::Lab;
use model::Model;
use network::{Activations, Network};
use overlap::best_of_overlapping;
use scale::{Buffers, Part, scale};
use surf::{Gradients, SIDE};

pub(crate) use overlap::Window;
#[cfg(feature = "opencv")]
pub(crate) use overlap::best_of_overlapping as best_of;

use crate::Result;

/// The side of the smallest face that is found, in pixels of the picture.
pub(crate) const LEAST_FACE: usize = SIDE;
/// From one copy to the next.
const SCALE_STEP: f32 = 0.8;
/// Pixels between neighbouring places of the window.
const STRIDE: usize = 4;
/// Windows whose pixels deviate less than this from their mean are flat.
const LEAST_DEVIATION: f64 = 10.0;
/// Overlap beyond which windows between the stages count as one.
const SAME_WINDOW: f32 = 0.8;

/// The detector.
#[derive(Clone, Debug)]
pub(crate) struct Cascade {
    model: Model,
}

/// What a detection needs; kept from picture to picture, it saves their allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    copy: Vec<u8>,
    lab: Lab,
    padded: Vec<u8>,
    buffers: Buffers,
    gradients: Gradients,
    activations: Activations,
}

impl Cascade {
    /// The detector with the embedded model.
    pub(crate) fn embedded() -> Result<Self> {
        Ok(Self { model: Model::embedded()? })
    }

    /// The faces of a grey picture, best first: those of at least 40 pixels, in a picture of at least 40×40. The score is the sum
    /// of those of the windows that found the face, each from 0.5 to 1. Windows that overlap (intersection over union) by more
    /// than `overlap` count as one.
    pub(crate) fn detect(
        &self,
        grey: &[u8],
        width: usize,
        overlap: f32,
        scratch: &mut Scratch,
    ) -> Vec<Window> {
        if width < SIDE || grey.len() < SIDE * width {
            return Vec::new();
        }
        let picture = Part { pixels: grey, stride: width, width, height: grey.len() / width };
        // Compiled for the widest vectors of the machine it runs on.
        dcgan_vectors::arch().dispatch(
            #[inline(always)]
            || self.detect_inner(picture, overlap, scratch),
        )
    }

    #[inline(always)]
    fn detect_inner(&self, picture: Part<'_>, overlap: f32, scratch: &mut Scratch) -> Vec<Window> {
        let mut kept = vec![Vec::new(); self.model.boosted.len()];
        let mut factor = 1.0f32;
        while factor >= SIDE as f32 / picture.width.min(picture.height) as f32 {
            self.slide(picture, factor, &mut kept, scratch);
            factor *= SCALE_STEP;
        }
        let mut windows: Vec<Window> =
            kept.into_iter().flat_map(|windows| best_of_overlapping(windows, SAME_WINDOW)).collect();
        for (i, group) in self.model.networks.iter().enumerate() {
            for (k, network) in group.iter().enumerate() {
                windows.retain_mut(|window| match apply(picture, *window, network, scratch) {
                    Some(better) => {
                        *window = better;
                        true
                    }
                    None => false,
                });
                if k + 1 < group.len() {
                    windows = best_of_overlapping(windows, SAME_WINDOW);
                } else if i + 1 == self.model.networks.len() {
                    windows = best_of_overlapping(windows, overlap);
                }
            }
        }
        windows
    }

    /// Adds to `kept` what each boosted classifier keeps of the picture made smaller by `factor`.
    #[inline(always)]
    fn slide(&self, picture: Part<'_>, factor: f32, kept: &mut [Vec<Window>], scratch: &mut Scratch) {
        let Scratch { copy, lab, buffers, .. } = scratch;
        let [width, height] = [picture.width, picture.height].map(|side| (side as f32 * factor) as usize);
        copy.resize(width * height, 0);
        scale(picture, copy, width, buffers);
        lab.compute(copy, width);
        for y in (0..=height - SIDE).step_by(STRIDE) {
            for x in (0..=width - SIDE).step_by(STRIDE) {
                for (classifier, kept) in self.model.boosted.iter().zip(kept.iter_mut()) {
                    let Some(score) = classifier.score(lab, x, y) else { continue };
                    if deviation(&copy[y * width + x..], width) > LEAST_DEVIATION {
                        let whole = |side: usize| (side as f32 / factor + 0.5) as i32;
                        kept.push(Window {
                            x: whole(x),
                            y: whole(y),
                            side: whole(SIDE),
                            score: f64::from(score),
                        });
                    }
                }
            }
        }
    }
}

/// The standard deviation of a window's pixels.
#[inline(always)]
fn deviation(window: &[u8], stride: usize) -> f64 {
    let (mut sum, mut squares) = (0, 0);
    for row in window.chunks(stride).take(SIDE) {
        for &pixel in &row[..SIDE] {
            sum += u32::from(pixel);
            squares += u32::from(pixel) * u32::from(pixel);
        }
    }
    let n = (SIDE * SIDE) as f64;
    (f64::from(squares) / n - (f64::from(sum) / n).powi(2)).max(0.0).sqrt()
}

/// The window as the network corrects it, if the network takes it for a face.
#[inline(always)]
fn apply(picture: Part<'_>, window: Window, network: &Network, scratch: &mut Scratch) -> Option<Window> {
    let Scratch { padded, buffers, gradients, activations, .. } = scratch;
    let side = usize::try_from(window.side).ok().filter(|&side| side >= 2)?;
    let mut pixels = [0; SIDE * SIDE];
    scale(part_of(picture, window, side, padded)?, &mut pixels, SIDE, buffers);
    gradients.compute(&pixels);
    let [score, right, down, growth] = network.judge(gradients, activations);
    if score <= network.threshold {
        return None;
    }
    let old = window.side as f32;
    let new = ((growth * 2.0 - 1.0) * old + old + 0.5).floor();
    let moved = |shift: f32, from: i32| {
        ((shift * 2.0 - 1.0) * old + from as f32 + (old - new) * 0.5 + 0.5).floor() as i32
    };
    Some(Window {
        x: moved(right, window.x),
        y: moved(down, window.y),
        side: new as i32,
        score: f64::from(score),
    })
}

/// The pixels of a window; black where it leaves the picture. None where it lies outside altogether.
#[inline(always)]
fn part_of<'a>(picture: Part<'a>, window: Window, side: usize, padded: &'a mut Vec<u8>) -> Option<Part<'a>> {
    let inside = |from: i32, length: usize| {
        let (start, end) = (from.max(0) as usize, (i64::from(from) + side as i64).min(length as i64));
        usize::try_from(end).ok().filter(|&end| start < end).map(|end| start..end)
    };
    let (columns, rows) = (inside(window.x, picture.width)?, inside(window.y, picture.height)?);
    if columns.len() == side && rows.len() == side {
        let pixels = &picture.pixels[rows.start * picture.stride + columns.start..];
        return Some(Part { pixels, stride: picture.stride, width: side, height: side });
    }
    padded.clear();
    padded.resize(side * side, 0);
    let [left, top] = [(window.x, &columns), (window.y, &rows)]
        .map(|(at, range)| (range.start as i64 - i64::from(at)) as usize);
    for (k, y) in rows.enumerate() {
        let start = (top + k) * side + left;
        padded[start..start + columns.len()]
            .copy_from_slice(&picture.pixels[y * picture.stride..][columns.clone()]);
    }
    Some(Part { pixels: padded, stride: side, width: side, height: side })
}

#[cfg(test)]
mod tests;
