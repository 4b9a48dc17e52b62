//! How each class of shape is drawn.

use std::f32::consts::{FRAC_PI_4, TAU};

use rand::Rng;

use super::canvas::{Canvas, edge};
use super::colour::{Blotches, contrasting_pair};
use super::outline::{Point, polygon, rectangle, rotate};

/// Side of the pictures in pixels.
const SIDE: usize = 32;

/// Draws one picture of class `label` (0..=9).
pub(super) fn draw(label: u8, rng: &mut impl Rng) -> Canvas {
    let [ink, paper] = contrasting_pair(0.9, 0.28, rng);
    let mut canvas = Canvas::new(SIDE, SIDE, paper);
    let (blotches, strength) = (Blotches::new(3, rng), rng.random_range(0.03..0.10));
    let tints: [Blotches; 3] = std::array::from_fn(|_| Blotches::new(2, rng));
    canvas.paint(&|x, y, old| {
        let (u, v) = (x / SIDE as f32, y / SIDE as f32);
        let shade = strength * blotches.at(u, v);
        std::array::from_fn(|channel| old[channel] + shade + 0.05 * tints[channel].at(u, v))
    });
    let shape = if label < 5 { outline_shape(label, rng) } else { texture(label, rng) };
    canvas.blend(ink, &*shape);
    canvas.blur(rng.random_range(0.0..0.5));
    canvas.add_noise(rng.random_range(0.01..0.04), rng);
    canvas
}

/// Opacity at a point of the picture.
type Coverage = Box<dyn Fn(f32, f32) -> f32>;

/// Disc, ring, square, triangle or cross, wholly within the picture.
fn outline_shape(label: u8, rng: &mut impl Rng) -> Coverage {
    let size = rng.random_range(7.0..12.0_f32);
    let centre = place(size, rng);
    let angle = rng.random_range(-0.3..0.3);
    let half = size * rng.random_range(0.25..0.36);
    Box::new(move |x, y| {
        let p = rotate([x - centre[0], y - centre[1]], angle);
        edge(match label {
            0 => p[0].hypot(p[1]) - size,
            1 => (p[0].hypot(p[1]) - (size - 0.5 * half)).abs() - 0.5 * half,
            2 => rectangle(p, [0.85 * size; 2]),
            3 => triangle(p, size),
            _ => rectangle(p, [size, half]).min(rectangle(p, [half, size])),
        })
    })
}

/// An equilateral triangle pointing up, its corners on the circle of radius `size`.
fn triangle(p: Point, size: f32) -> f32 {
    let corner = |turns: f32| [size * (turns * TAU).sin(), -size * (turns * TAU).cos()];
    polygon(p, &[corner(0.0), corner(1.0 / 3.0), corner(2.0 / 3.0)])
}

/// Stripes of three directions, checker or dots, in a round or square patch.
fn texture(label: u8, rng: &mut impl Rng) -> Coverage {
    let size = rng.random_range(9.0..14.0_f32);
    let centre = place(size, rng);
    let round = rng.random_bool(0.5);
    let period = rng.random_range(4.5..7.0_f32);
    let phase = [rng.random::<f32>() * period, rng.random::<f32>() * period];
    let tilt = rng.random_range(-0.15..0.15);
    let slant = if rng.random_bool(0.5) { FRAC_PI_4 } else { -FRAC_PI_4 };
    let angle = if label == 7 { tilt + slant } else { tilt };
    Box::new(move |x, y| {
        let p = [x - centre[0], y - centre[1]];
        let border = if round { p[0].hypot(p[1]) - size } else { rectangle(p, [size; 2]) };
        let turned = rotate(p, angle);
        let q = [turned[0] + phase[0], turned[1] + phase[1]];
        let pattern = match label {
            5 | 7 => stripe(q[1], period),
            6 => stripe(q[0], period),
            8 => {
                let (a, b) = (stripe(q[0], 1.6 * period), stripe(q[1], 1.6 * period));
                a * b + (1.0 - a) * (1.0 - b)
            }
            _ => {
                let cell = |t: f32| (t.rem_euclid(period) - 0.5 * period).abs();
                edge(cell(q[0]).hypot(cell(q[1])) - 0.3 * period)
            }
        };
        edge(border) * pattern
    })
}

/// A centre that keeps a shape of the given reach within the picture, but for one pixel.
fn place(reach: f32, rng: &mut impl Rng) -> Point {
    let margin = reach - 1.0;
    std::array::from_fn(|_| rng.random_range(margin..SIDE as f32 - margin))
}

/// Stripes across t, half of each period covered, with edges about one pixel wide.
fn stripe(t: f32, period: f32) -> f32 {
    (0.5 + (t * TAU / period).sin() * period / TAU).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn textures_cover_about_half_of_their_patch() {
        for label in 5..10 {
            let mut rng = ChaCha8Rng::seed_from_u64(u64::from(label));
            let coverage = texture(label, &mut rng);
            let total: f32 = (0..SIDE * SIDE)
                .map(|idx| coverage((idx % SIDE) as f32 + 0.5, (idx / SIDE) as f32 + 0.5))
                .sum();
            let share = total / (SIDE * SIDE) as f32;
            assert!((0.05..0.5).contains(&share), "class {label} covers {share}");
        }
    }

    #[test]
    fn triangle_reaches_its_circle() {
        assert!(triangle([0.0, -10.0], 10.0).abs() < 1e-4);
        assert!((triangle([0.0, 0.0], 10.0) + 5.0).abs() < 1e-4);
        assert!((triangle([0.0, 7.0], 10.0) - 2.0).abs() < 1e-4);
    }
}
