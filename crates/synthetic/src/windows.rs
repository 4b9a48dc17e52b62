//! Walls with and without a window, and the rule that finds the windows again.
//!
//! Made for the paper's experiment of forgetting windows (section 6.3.1): the set's only blue things are panes, so that
//! [`find_windows`] sees them in any picture of the same kind, also in one that a generator drew.

use std::path::Path;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canvas::{Canvas, Colour, edge};
use super::cifar10::write_cifar10;
use super::colour::{Blotches, from_hsv, with_luminance};
use super::outline::rectangle;
use super::{Result, check_range};
use dcgan_images::PixelBox;

/// Side of the pictures in pixels.
const SIDE: usize = 32;
/// By so much at least blue is above red in a pane, of 255.
const BLUER: i16 = 40;
/// Pixels of the smallest patch of pane that counts as a window; the smallest window of the set has 42.
const SMALLEST: usize = 14;

/// How many walls to draw, and from which seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WindowsConfig {
    /// Training pictures.
    pub n_train: usize,
    /// Test pictures.
    pub n_test: usize,
    /// Same seed, same pictures.
    pub seed: u64,
}

impl Default for WindowsConfig {
    /// 5,000 training and 1,000 test pictures.
    fn default() -> Self {
        Self { n_train: 5_000, n_test: 1_000, seed: 0 }
    }
}

impl WindowsConfig {
    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`SyntheticError::Config`](super::SyntheticError::Config) for the first field out of range.
    pub fn validate(&self) -> Result<()> {
        check_range("windows", "n_train", self.n_train, 5..=50_000)?;
        check_range("windows", "n_test", self.n_test, 1..=10_000)
    }
}

/// Writes the folder `dir` in the layout of `cifar-10-batches-bin`: 32×32 colour pictures of a wall in warm colours above a
/// floor, with furniture, a framed painting in two of three, and a window in every second one. The labels say what is in a
/// picture: 0 neither, 1 a window, 2 a painting, 3 both.
///
/// # Errors
/// A setting out of range, a target that is neither absent nor an empty folder, or a failed write.
pub fn write_windows(dir: &Path, config: &WindowsConfig) -> Result<()> {
    config.validate()?;
    // The format has ten classes.
    let names = [
        "wall",
        "window",
        "painting",
        "window and painting",
        "unused 4",
        "unused 5",
        "unused 6",
        "unused 7",
        "unused 8",
        "unused 9",
    ];
    write_cifar10(dir, [config.n_train, config.n_test], config.seed, names, |tenth, rng| {
        let has_window = tenth < 5;
        let (canvas, _, has_painting) = draw(has_window, rng);
        (u8::from(has_window) + 2 * u8::from(has_painting), canvas.to_planes())
    })
}

/// A colour between red and yellow.
fn warm(saturation: std::ops::Range<f32>, level: std::ops::Range<f32>, rng: &mut impl Rng) -> Colour {
    let colour = from_hsv(rng.random_range(0.0..0.15), rng.random_range(saturation), 1.0);
    with_luminance(colour, rng.random_range(level))
}

/// A rectangle as (centre, half sizes).
type Rectangle = ([f32; 2], [f32; 2]);

fn fill(canvas: &mut Canvas, (centre, half): Rectangle, colour: Colour) {
    canvas.blend(colour, &|x, y| edge(rectangle([x - centre[0], y - centre[1]], half)));
}

/// Draws one picture; with it where its pane is, if it has one, and whether it has a painting.
fn draw(has_window: bool, rng: &mut impl Rng) -> (Canvas, Option<Rectangle>, bool) {
    let side = SIDE as f32;
    let mut canvas = Canvas::new(SIDE, SIDE, warm(0.1..0.55, 0.4..0.85, rng));
    let shade = Blotches::new(2, rng);
    canvas.paint(&|x, y, old| old.map(|value| value + 0.05 * shade.at(x / side, y / side)));
    let skirting = rng.random_range(21.0..26.0_f32);
    let floor = warm(0.3..0.7, 0.1..0.35, rng);
    fill(&mut canvas, ([0.5 * side, 0.5 * (skirting + side)], [side, 0.5 * (side - skirting)]), floor);

    // The window and the painting share the wall: one to the left, one to the right.
    let window_is_left = rng.random_bool(0.5);
    let place = |is_left: bool, rng: &mut dyn rand::RngCore| -> Rectangle {
        let half = [rng.random_range(3.5..5.5_f32), rng.random_range(3.5..6.0_f32)];
        let x = rng.random_range(half[0] + 1.5..15.0 - half[0] + 1.5);
        let y = rng.random_range(half[1] + 1.5..19.5 - half[1]);
        ([if is_left { x } else { side - x }, y], half)
    };
    let (window, painting) = (place(window_is_left, rng), place(!window_is_left, rng));
    let has_painting = rng.random_bool(0.67);
    if has_painting {
        let (centre, half) = painting;
        fill(&mut canvas, painting, warm(0.3..0.8, 0.05..0.2, rng));
        fill(&mut canvas, (centre, half.map(|h| h - 1.2)), warm(0.4..0.9, 0.2..0.7, rng));
    }
    let day = rng.random_range(0.75..1.0_f32);
    let pane = [rng.random_range(0.25..0.45), rng.random_range(0.55..0.75), 1.0].map(|value| value * day);
    if has_window {
        let (centre, half) = window;
        fill(&mut canvas, (centre, half.map(|h| h + 1.0)), [0.97; 3]);
        fill(&mut canvas, window, pane);
        let bar = pane.map(|value| 0.5 * (value + 0.97));
        fill(&mut canvas, (centre, [0.5, half[1]]), bar);
    }
    let width = rng.random_range(5.0..9.0_f32);
    let furniture = ([rng.random_range(0.0..side), skirting + rng.random_range(0.0..3.0_f32)], [width, 3.5]);
    fill(&mut canvas, furniture, warm(0.2..0.9, 0.25..0.8, rng));
    canvas.add_noise(0.015, rng);
    (canvas, has_window.then_some(window), has_painting)
}

/// The windows in a picture of the set, or in one that a generator trained on it drew: the bounds of every patch of at
/// least 14 pixels, joined at sides or corners, whose blue is 40 of 255 or more above their red.
///
/// `planes`: 3·`height`·`width` values, channel after channel. In the set itself the rule finds the window of every picture
/// that has one, and none in the others.
pub fn find_windows(planes: &[u8], height: usize, width: usize) -> Vec<PixelBox> {
    let n = height * width;
    let Some(blue) = planes.get(2 * n..3 * n) else { return Vec::new() };
    let mut is_pane: Vec<bool> =
        planes.iter().zip(blue).map(|(&red, &blue)| i16::from(blue) - i16::from(red) >= BLUER).collect();
    let mut found = Vec::new();
    for start in 0..n {
        let mut stack = vec![start];
        let (mut area, mut bounds) = (0, PixelBox { x0: width, y0: height, x1: 0, y1: 0 });
        while let Some(position) = stack.pop() {
            if !std::mem::take(&mut is_pane[position]) {
                continue;
            }
            let (x, y) = (position % width, position / width);
            area += 1;
            bounds = PixelBox {
                x0: bounds.x0.min(x),
                y0: bounds.y0.min(y),
                x1: bounds.x1.max(x + 1),
                y1: bounds.y1.max(y + 1),
            };
            for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                stack.extend((x.saturating_sub(1)..=(x + 1).min(width - 1)).map(|x| y * width + x));
            }
        }
        if area >= SMALLEST {
            found.push(bounds);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn the_rule_finds_every_window_and_nothing_else() {
        for idx in 0..600 {
            let has_window = idx % 2 == 0;
            let (canvas, window, _) = draw(has_window, &mut stream(3, Purpose::Train, idx));
            let found = find_windows(&canvas.to_planes(), SIDE, SIDE);
            assert_eq!(found.len(), usize::from(has_window), "picture {idx}: {found:?}");
            if let (Some((centre, half)), [found]) = (window, found.as_slice()) {
                let sides = [(found.x0, centre[0] - half[0]), (found.y0, centre[1] - half[1])];
                let ends = [(found.x1, centre[0] + half[0])];
                for (ours, drawn) in sides.into_iter().chain(ends) {
                    assert!(
                        (ours as f32 - drawn).abs() < 1.5,
                        "picture {idx}: {found:?}, {centre:?}, {half:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn patches_known_by_hand() {
        // 6×5: a blue patch of 3×5 pixels, one lone pixel.
        let (height, width) = (5, 6);
        let mut planes = vec![0; 3 * height * width];
        let blue = 2 * height * width;
        for y in 0..5 {
            planes[blue + y * width..blue + y * width + 3].fill(200);
        }
        planes[blue + 5] = 200;
        assert_eq!(find_windows(&planes, height, width), [PixelBox { x0: 0, y0: 0, x1: 3, y1: 5 }]);
        // Red as strong as blue is no pane.
        planes[..height * width].fill(200);
        assert_eq!(find_windows(&planes, height, width), []);
    }

    #[test]
    fn labels_say_what_is_in_a_picture() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("cifar-10-batches-bin");
        write_windows(&target, &WindowsConfig { n_train: 50, n_test: 10, seed: 2 }).unwrap();
        let file = fs_err::read(target.join("data_batch_1.bin")).unwrap();
        let (mut n_windows, mut n_paintings) = (0, 0);
        for record in file.chunks_exact(3073) {
            assert_eq!(find_windows(&record[1..], SIDE, SIDE).len(), usize::from(record[0] & 1));
            n_windows += record[0] & 1;
            n_paintings += record[0] >> 1;
        }
        assert_eq!((file.len(), n_windows), (10 * 3073, 5));
        assert!((4..=9).contains(&n_paintings), "{n_paintings}");
    }
}
