//! Random colours of a wanted brightness, and smooth random blotches.

use rand::Rng;

use super::canvas::Colour;

/// Brightness of a colour, weighted as in ITU-R BT.601.
pub(super) fn luminance(colour: Colour) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}

/// Hue (turns, any real), saturation and value (0..=1) as red, green, blue.
pub(super) fn from_hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    std::array::from_fn(|channel| {
        let ramp = ((hue - channel as f32 / 3.0).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
        value * (1.0 - saturation * (1.0 - ramp.clamp(0.0, 1.0)))
    })
}

/// The colour darkened towards black or lightened towards white until its luminance is `wanted` (0..=1).
pub(super) fn with_luminance(colour: Colour, wanted: f32) -> Colour {
    let found = luminance(colour);
    if found >= wanted {
        return colour.map(|value| value * wanted / found.max(1e-6));
    }
    let share = (wanted - found) / (1.0 - found);
    colour.map(|value| value + (1.0 - value) * share)
}

/// A colour of random hue, with saturation up to `max_saturation` and the given luminance.
pub(super) fn random_colour(max_saturation: f32, wanted: f32, rng: &mut impl Rng) -> Colour {
    let hue = rng.random::<f32>();
    let saturation = max_saturation * rng.random::<f32>().sqrt();
    with_luminance(from_hsv(hue, saturation, 1.0), wanted)
}

/// Two colours whose luminances differ by at least `contrast`; either may be the brighter one.
pub(super) fn contrasting_pair(max_saturation: f32, contrast: f32, rng: &mut impl Rng) -> [Colour; 2] {
    let difference = rng.random_range(contrast..(contrast + 0.25));
    let dark = rng.random_range(0.08..(0.92 - difference));
    let mut levels = [dark, dark + difference];
    if rng.random_bool(0.5) {
        levels.swap(0, 1);
    }
    levels.map(|level| random_colour(max_saturation, level, rng))
}

/// Smooth random values in -1..=1: a lattice of random numbers, interpolated.
#[derive(Clone, Debug)]
pub(super) struct Blotches {
    n_cells: usize,
    lattice: Vec<f32>,
}

impl Blotches {
    /// Draws a lattice of `n_cells` × `n_cells` cells.
    pub(super) fn new(n_cells: usize, rng: &mut impl Rng) -> Self {
        let lattice = (0..(n_cells + 1).pow(2)).map(|_| rng.random_range(-1.0..=1.0)).collect();
        Self { n_cells, lattice }
    }

    /// The value at (u, v); the unit square holds the whole lattice, and beyond it the pattern is mirrored.
    pub(super) fn at(&self, u: f32, v: f32) -> f32 {
        let (column, right) = self.place(u);
        let (row, below) = self.place(v);
        let width = self.n_cells + 1;
        let value = |row: usize, column: usize| self.lattice[row * width + column];
        let top = value(row, column) + (value(row, column + 1) - value(row, column)) * right;
        let bottom = value(row + 1, column) + (value(row + 1, column + 1) - value(row + 1, column)) * right;
        top + (bottom - top) * below
    }

    /// Cell and smoothed place within it.
    fn place(&self, t: f32) -> (usize, f32) {
        let folded = t.rem_euclid(2.0);
        let mirrored = if folded > 1.0 { 2.0 - folded } else { folded };
        let scaled = mirrored * self.n_cells as f32;
        let cell = (scaled as usize).min(self.n_cells - 1);
        let fraction = scaled - cell as f32;
        (cell, fraction * fraction * (3.0 - 2.0 * fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn hsv_agrees_with_python() {
        // python3 -c "import colorsys; print(colorsys.hsv_to_rgb(.55, .6, .8), colorsys.hsv_to_rgb(.05, 1, .5))"
        let cases = [((0.55, 0.6, 0.8), [0.32, 0.656, 0.8]), ((0.05, 1.0, 0.5), [0.5, 0.15, 0.0])];
        for ((hue, saturation, value), expected) in cases {
            let found = from_hsv(hue, saturation, value);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
        }
    }

    #[test]
    fn luminance_and_contrast_are_as_asked() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let wanted = rng.random_range(0.05..0.95);
            assert!((luminance(random_colour(0.9, wanted, &mut rng)) - wanted).abs() < 1e-5);
            let [ink, paper] = contrasting_pair(0.9, 0.3, &mut rng);
            assert!((luminance(ink) - luminance(paper)).abs() >= 0.3 - 1e-5);
            assert!(ink.iter().chain(&paper).all(|value| (-1e-6..=1.0 + 1e-6).contains(value)));
        }
    }

    #[test]
    fn blotches_are_bounded_and_smooth() {
        let blotches = Blotches::new(4, &mut ChaCha8Rng::seed_from_u64(2));
        for step in -300..300 {
            let u = step as f32 * 0.01;
            assert!(blotches.at(u, 0.3).abs() <= 1.0);
            assert!((blotches.at(u, 0.3) - blotches.at(u + 0.001, 0.3)).abs() < 0.03);
        }
    }
}
