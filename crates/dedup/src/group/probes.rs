//! Several views of a picture, whose codes are looked for among those of the whole pictures.
//!
//! A copy that was cut by more than a few percent, squeezed or mirrored has another code than its original; but a part of the
//! original, scaled to 32×32, has about the copy's. Such views are made when pictures are looked up, of the 32×32 pictures that were
//! hashed: nothing of them is stored.

use std::collections::HashSet;

use rayon::prelude::*;

use super::align::Alignment;
use super::config::{GroupConfig, Mirrored};
use super::planes::{PLANE, channels, luminance, mirrored, turned};
use super::second_look::{Prepared, distance_from};
use crate::model::BATCH;
use crate::preprocess::{PICTURE_BYTES, SIDE};
use crate::window::Window;
use crate::{Autoencoder, Code, Result};

/// Side of the parts that stand for crops, as a share.
const CROP: f32 = 0.9;
/// Width or height of the parts that stand for squeezed copies, as a share: 4:3, 3:2, 16:9, 2:1, what lies between, and wider ones.
const SQUEEZES: [f32; 8] = [0.9, 0.82, 0.75, 0.667, 0.61, 0.5625, 0.5, 0.44];
/// Logarithm by which a squeezed copy's sides may differ from what is expected.
const TOLERANCE: f32 = 0.065;
/// Bits in which their codes may differ beyond those of whole pictures.
const SQUEEZED_RADIUS: u32 = 4;
/// Degrees by which views are turned, to either side; the second look follows another one or two.
const TURN: f32 = 3.0;
/// Half the width of the filter that makes blurred views, in pixels of 32: about a Gaussian one of 2 pixels.
const BLUR: f32 = 5.0;

/// Width and height of a picture.
type Size = [u32; 2];

/// What a view stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A crop.
    Part,
    /// A picture of another shape that shows, squeezed, all of one whose central square is what fills the view.
    Squeezed,
    Grey,
    Blurred,
    /// A picture that was turned, and cut so that no corner is empty.
    Turned,
    Mirrored,
}

/// A view of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    kind: Kind,
    window: Window,
    /// In radians, to the right.
    turn: f32,
}

/// A picture that is looked at, and the size it had.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) picture: &'a Prepared,
    pub(crate) size: Size,
}

impl GroupConfig {
    /// The views of pictures that the settings ask for.
    pub fn probes(&self) -> Vec<Probe> {
        let view =
            |kind, start, size| Probe { kind, window: Window { start, size, radius: [1.0; 2] }, turn: 0.0 };
        let whole = |kind| Probe { kind, window: Window::WHOLE, turn: 0.0 };
        let mut probes = Vec::new();
        if self.crops {
            let (middle, end) = ((1.0 - CROP) / 2.0, 1.0 - CROP);
            let starts = [[middle, middle], [0.0, 0.0], [end, 0.0], [0.0, end], [end, end]];
            probes.extend(starts.map(|start| view(Kind::Part, start, [CROP; 2])));
        }
        if self.squeezed {
            let sizes = SQUEEZES.iter().flat_map(|&share| [[share, 1.0], [1.0, share]]);
            let middle = |size: [f32; 2]| size.map(|side| (1.0 - side) / 2.0);
            probes.extend(sizes.map(|size| view(Kind::Squeezed, middle(size), size)));
        }
        if self.grey {
            probes.push(whole(Kind::Grey));
        }
        if self.blurred {
            let window = Window { radius: [BLUR; 2], ..Window::WHOLE };
            probes.push(Probe { window, ..whole(Kind::Blurred) });
        }
        if self.turned {
            let turned = |degrees: f32| Probe { turn: degrees.to_radians(), ..whole(Kind::Turned) };
            probes.extend([-TURN, TURN].map(turned));
        }
        if self.mirrored != Mirrored::Ignore {
            probes.push(whole(Kind::Mirrored));
        }
        probes
    }
}

impl Probe {
    /// Whether it is of mirrored copies.
    pub fn is_mirrored(&self) -> bool {
        self.kind == Kind::Mirrored
    }

    /// Whether it is of grey copies, which are looked for among grey pictures alone.
    pub fn is_grey(&self) -> bool {
        self.kind == Kind::Grey
    }

    /// Bits in which the codes of a view and of a picture may differ, of those of two pictures. A squeezed view has fewer pixels than
    /// 32×32, and is blurred thereby; pictures that fit its shape are few.
    pub fn radius(&self, radius: u32) -> u32 {
        if self.kind == Kind::Squeezed { radius + SQUEEZED_RADIUS } else { radius }
    }

    /// Writes the view of a picture of 3072 bytes; `values` is room for as many.
    fn write(&self, pixels: &[u8], values: &mut [f32], view: &mut [u8]) {
        match self.kind {
            Kind::Mirrored => view.copy_from_slice(&mirrored(pixels)),
            Kind::Turned => view.copy_from_slice(&turned(pixels, self.turn)),
            Kind::Grey => {
                let grey = luminance(&channels(pixels));
                for view in view.chunks_exact_mut(PLANE) {
                    to_bytes(grey.as_flattened(), view);
                }
            }
            Kind::Part | Kind::Squeezed | Kind::Blurred => {
                self.window.resample(pixels, SIDE, values);
                to_bytes(values, view);
            }
        }
    }

    /// The codes of the views of pictures (bytes, 3072 each).
    ///
    /// # Errors
    /// Those of the autoencoder.
    pub fn codes(&self, model: &Autoencoder, pictures: &[u8]) -> Result<Vec<Code>> {
        let codes = pictures.par_chunks(BATCH * PICTURE_BYTES).map(|pictures| {
            let (mut views, mut values) = (vec![0; pictures.len()], vec![0.0; PICTURE_BYTES]);
            let each = pictures.chunks_exact(PICTURE_BYTES).zip(views.chunks_exact_mut(PICTURE_BYTES));
            each.for_each(|(picture, view)| self.write(picture, &mut values, view));
            model.codes(&views)
        });
        Ok(codes.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Whether a picture of size `part` may be what this view of one of size `seen` shows.
    pub fn fits(&self, seen: Size, part: Size) -> bool {
        let expected = shares(seen, part);
        let is_near = |axis: usize| (expected[axis] / self.window.size[axis]).ln().abs() <= TOLERANCE;
        self.kind != Kind::Squeezed || (0..2).all(is_near)
    }

    /// Whether there may be such a picture among those of `shapes`.
    pub fn may_fit(&self, seen: Size, shapes: &HashSet<Size>) -> bool {
        self.kind != Kind::Squeezed || shapes.iter().any(|&part| self.fits(seen, part))
    }

    /// A picture of 3072 bytes, prepared for [`Self::distance`] as the one that is seen.
    pub(crate) fn prepared(&self, pixels: &[u8]) -> Prepared {
        match self.kind {
            Kind::Mirrored => Prepared::new(&mirrored(pixels)),
            Kind::Turned => Prepared::new(&turned(pixels, self.turn)),
            _ => Prepared::new(pixels),
        }
    }

    /// The distance of a picture, as [`Self::prepared`] has it, and the one that this view of it may show.
    pub(crate) fn distance(&self, seen: Seen<'_>, part: Seen<'_>) -> f32 {
        let Self { kind, window, .. } = self;
        let from = |size: [f32; 2], start: [f32; 2]| {
            let shift = [0, 1].map(|axis| SIDE as f32 * (size[axis] / 2.0 + start[axis] - 0.5));
            Alignment { zoom: size, shift }
        };
        if *kind != Kind::Squeezed {
            return distance_from(part.picture, seen.picture, from(window.size, window.start));
        }
        let size = shares(seen.size, part.size);
        let alignment = from(size, size.map(|side| (1.0 - side) / 2.0));
        // What was squeezed is coarser in one direction than in the other.
        let softened = softened(part.picture.pixels(), size.map(|side| 1.0 / side));
        let [sharp, soft] = [part.picture, &Prepared::new(&softened)];
        distance_from(sharp, seen.picture, alignment).min(distance_from(soft, seen.picture, alignment))
    }
}

/// A picture of 3072 bytes, smoothed by a triangle of such half widths.
fn softened(pixels: &[u8], radius: [f32; 2]) -> Vec<u8> {
    let (mut values, mut bytes) = (vec![0.0; pixels.len()], vec![0; pixels.len()]);
    Window { radius, ..Window::WHOLE }.resample(pixels, SIDE, &mut values);
    to_bytes(&values, &mut bytes);
    bytes
}

/// Values from 0 to 1 as the nearest of 256 steps.
fn to_bytes(values: &[f32], bytes: &mut [u8]) {
    bytes.iter_mut().zip(values).for_each(|(byte, value)| *byte = (255.0 * value + 0.5) as u8);
}

/// Where one picture is the other squeezed: width and height of the central square of the one of size `part` in that of the one of
/// size `seen`.
fn shares(seen: Size, part: Size) -> [f32; 2] {
    let square = |[width, height]: Size| {
        let (width, height) = (width.max(1) as f32, height.max(1) as f32);
        [(height / width).min(1.0), (width / height).min(1.0)]
    };
    let (seen, part) = (square(seen), square(part));
    [part[0] / seen[0], part[1] / seen[1]]
}

/// Sizes of the same shapes, one each, by the logarithm of their ratio in steps of 1 %.
pub fn shapes(sizes: &[Size]) -> HashSet<Size> {
    let shape = |&[width, height]: &Size| {
        let ratio = (width.max(1) as f32 / height.max(1) as f32).ln();
        let ratio = ((ratio / 0.01).round() * 0.01).exp();
        [(1e4 * ratio) as u32, 10_000]
    };
    sizes.iter().map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Probe> {
        GroupConfig { mirrored: Mirrored::Report, ..GroupConfig::default() }.probes()
    }

    fn of(kind: Kind) -> Vec<Probe> {
        all().into_iter().filter(|probe| probe.kind == kind).collect()
    }

    #[test]
    fn squeezed_copies_are_looked_for_where_shapes_fit() {
        assert_eq!(all().len(), 5 + 16 + 1 + 1 + 2 + 1);
        let fitting = |seen: Size, part: Size| -> Vec<[f32; 2]> {
            let squeezed = of(Kind::Squeezed).into_iter();
            squeezed.filter(|probe| probe.fits(seen, part)).map(|probe| probe.window.size).collect()
        };
        // A square copy shows all of a picture of 4:3, whose own square is 3/4 of its width.
        assert_eq!(fitting([300, 300], [640, 480]), [[0.75, 1.0]]);
        assert_eq!(fitting([300, 300], [900, 1600]), [[1.0, 0.5625]]);
        assert!(fitting([640, 480], [300, 300]).is_empty(), "the square shows more, not less");
        assert!(fitting([640, 480], [320, 240]).is_empty(), "the same shape is no squeezed one");
        let one_shape = shapes(&[[32, 32], [64, 64]]);
        assert_eq!(one_shape.len(), 1);
        assert!(of(Kind::Squeezed).iter().all(|probe| !probe.may_fit([32, 32], &one_shape)));
        assert!(of(Kind::Part).iter().all(|probe| probe.may_fit([32, 32], &one_shape)));
    }

    #[test]
    fn a_view_is_what_it_stands_for() {
        // A ramp along x, 4 levels a pixel, other ones in red.
        let pixels: Vec<u8> =
            (0..PICTURE_BYTES).map(|i| (4 * (i % SIDE)) as u8 / if i < 1024 { 2 } else { 1 }).collect();
        let view = |probe: &Probe, pixels: &[u8]| {
            let (mut values, mut view) = (vec![0.0; PICTURE_BYTES], vec![0; PICTURE_BYTES]);
            probe.write(pixels, &mut values, &mut view);
            view
        };
        let mirror = of(Kind::Mirrored)[0];
        let found = view(&mirror, &pixels);
        assert_eq!((found[1024], found[1024 + 31]), (124, 0));
        let [seen, part] = [mirror.prepared(&pixels), Prepared::new(&found)];
        let [seen, part] = [&seen, &part].map(|picture| Seen { picture, size: [32, 32] });
        assert!(mirror.distance(seen, part) < 1e-3);
        let narrow = of(Kind::Squeezed)[4];
        assert_eq!(narrow.window.size, [0.75, 1.0]);
        let found = view(&narrow, &pixels)[1024 + 8];
        let expected = 4.0 * (32.0 * (0.125 + 0.75 * 8.5 / 32.0) - 0.5);
        assert!((f32::from(found) - expected).abs() <= 1.0, "{found} {expected}");
        let [left, right] = of(Kind::Turned)[..] else { panic!() };
        // A pixel to the right is cos/(cos + sin) of one; below the middle a turn to the left shows what is further left.
        let (sin, cos) = TURN.to_radians().sin_cos();
        for (probe, side) in [(left, -1.0), (right, 1.0)] {
            let found = f32::from(view(&probe, &pixels)[1024 + 28 * 32 + 20]);
            let expected = 4.0 * (15.5 + (4.5 * cos + side * 12.5 * sin) / (cos + sin));
            assert!((found - expected).abs() <= 1.0, "{found} {expected}");
        }
        let grey = view(&of(Kind::Grey)[0], &pixels);
        assert_eq!([grey[9], grey[1033], grey[2057]], [(36.0f32 * (1.0 - 0.299 / 2.0)).round() as u8; 3]);
        let edge: Vec<u8> = (0..PICTURE_BYTES).map(|i| if i % SIDE < 16 { 0 } else { 200 }).collect();
        let blurred = view(&of(Kind::Blurred)[0], &edge);
        assert!((40..90).contains(&blurred[14]) && blurred[4] == 0, "{}", blurred[14]);
    }
}
