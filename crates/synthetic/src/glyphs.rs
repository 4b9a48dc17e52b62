//! Digits as strokes: polylines in a box 0..=1 wide and 0..=1 high, y downwards.

use std::f32::consts::PI;

use super::outline::{Point, segment};

/// The strokes of one digit.
#[derive(Clone, Debug)]
pub(super) struct Glyph {
    strokes: Vec<Vec<Point>>,
}

impl Glyph {
    /// The glyph of `digit` (0..=9); `variant` (any number) picks among the ways to write 1, 4, 6, 7 and 9.
    pub(super) fn new(digit: u8, variant: u32) -> Self {
        let odd = variant % 2 == 1;
        let strokes = match digit {
            0 => vec![arc([0.5, 0.5], [0.5, 0.5], 0.0, 2.0)],
            1 => one(variant),
            2 => vec![[arc([0.5, 0.28], [0.48, 0.28], -1.0, 0.22), vec![[0.02, 1.0], [1.0, 1.0]]].concat()],
            3 => {
                vec![arc([0.45, 0.25], [0.45, 0.25], -0.9, 0.5), arc([0.45, 0.74], [0.52, 0.26], -0.5, 0.88)]
            }
            4 if odd => vec![vec![[0.3, 0.0], [0.02, 0.65], [1.0, 0.65]], vec![[0.72, 0.3], [0.72, 1.0]]],
            4 => vec![vec![[0.74, 1.0], [0.74, 0.0], [0.0, 0.7], [1.0, 0.7]]],
            5 => vec![
                [vec![[0.92, 0.0], [0.12, 0.0], [0.06, 0.46]], arc([0.45, 0.68], [0.53, 0.32], -0.72, 0.85)]
                    .concat(),
            ],
            6 => six(odd),
            7 if odd => vec![vec![[0.0, 0.0], [1.0, 0.0], [0.3, 1.0]], vec![[0.3, 0.5], [0.88, 0.5]]],
            7 => vec![vec![[0.0, 0.0], [1.0, 0.0], [0.35, 1.0]]],
            8 => vec![arc([0.5, 0.25], [0.41, 0.25], 0.0, 2.0), arc([0.5, 0.74], [0.5, 0.26], 0.0, 2.0)],
            _ => six(odd)
                .iter()
                .map(|stroke| stroke.iter().map(|p| [1.0 - p[0], 1.0 - p[1]]).collect())
                .collect(),
        };
        Self { strokes }
    }

    /// The glyph with every point moved by `map`.
    pub(super) fn mapped(&self, map: &dyn Fn(Point) -> Point) -> Self {
        let strokes = self.strokes.iter().map(|stroke| stroke.iter().map(|&p| map(p)).collect()).collect();
        Self { strokes }
    }

    /// Smallest and largest coordinates of the strokes.
    pub(super) fn bounds(&self) -> [Point; 2] {
        let points = self.strokes.iter().flatten();
        points.fold([[f32::INFINITY; 2], [f32::NEG_INFINITY; 2]], |[low, high], p| {
            [[low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])]]
        })
    }

    /// Distance from `p` to the nearest stroke's middle line.
    pub(super) fn distance(&self, p: Point) -> f32 {
        let segments = self.strokes.iter().flat_map(|stroke| stroke.windows(2));
        segments.map(|ends| segment(p, ends[0], ends[1])).fold(f32::INFINITY, f32::min)
    }
}

/// A bare stem, one with a flag, or one with a flag and a foot.
fn one(variant: u32) -> Vec<Vec<Point>> {
    let stem = vec![[0.5, 0.0], [0.5, 1.0]];
    let flagged = vec![[0.18, 0.26], [0.5, 0.0], [0.5, 1.0]];
    match variant % 3 {
        0 => vec![stem],
        1 => vec![flagged],
        _ => vec![flagged, vec![[0.15, 1.0], [0.85, 1.0]]],
    }
}

/// A bowl with a stem, straight or bent; upside down it is a nine.
fn six(straight: bool) -> Vec<Vec<Point>> {
    let bowl = arc([0.5, 0.68], [0.5, 0.32], 0.0, 2.0);
    let stem = if straight {
        vec![[0.72, 0.0], [0.08, 0.54]]
    } else {
        [arc([0.62, 0.62], [0.62, 0.62], 1.62, 1.0), vec![[0.0, 0.68]]].concat()
    };
    vec![bowl, stem]
}

/// Points on an ellipse from angle `from` to `to`, in half turns, 0 to the right and growing clockwise on screen.
fn arc(centre: Point, radii: Point, from: f32, to: f32) -> Vec<Point> {
    let n_steps = ((to - from).abs() * 9.0).ceil() as usize;
    (0..=n_steps)
        .map(|step| {
            let angle = PI * (from + (to - from) * step as f32 / n_steps as f32);
            [centre[0] + radii[0] * angle.cos(), centre[1] + radii[1] * angle.sin()]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyphs_fill_their_box_and_differ() {
        for digit in 0..10 {
            for variant in 0..6 {
                let glyph = Glyph::new(digit, variant);
                let points: Vec<Point> = glyph.strokes.concat();
                assert!(points.iter().flatten().all(|&t| (-0.05..=1.05).contains(&t)), "{digit}: {points:?}");
                let height = |f: fn(f32, f32) -> f32, start| points.iter().fold(start, |a, p| f(a, p[1]));
                assert!(height(f32::max, 0.0) - height(f32::min, 1.0) > 0.95, "{digit}");
            }
        }
        // A nine is a six upside down.
        let (six, nine) = (Glyph::new(6, 0), Glyph::new(9, 0));
        assert!((six.distance([0.9, 0.1]) - nine.distance([0.1, 0.9])).abs() < 1e-6);
    }
}
