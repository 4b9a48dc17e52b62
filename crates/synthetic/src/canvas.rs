//! A small float picture to draw on.

use rand::Rng;
use rand_distr::StandardNormal;

/// Red, green, blue, each nominally in 0..=1.
pub(super) type Colour = [f32; 3];

/// A picture of float colours, row by row; pixel (x, y) has its centre at (x + 0.5, y + 0.5).
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Colour>,
}

impl Canvas {
    /// A canvas of one colour.
    pub(super) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// Replaces every pixel by `ink(x, y, old colour)`, (x, y) its centre.
    pub(super) fn paint(&mut self, ink: &dyn Fn(f32, f32, Colour) -> Colour) {
        for (idx, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = ((idx % self.width) as f32 + 0.5, (idx / self.width) as f32 + 0.5);
            *pixel = ink(x, y, *pixel);
        }
    }

    /// Lays `colour` over the canvas with the opacity (0..=1) that `coverage` gives at each pixel's centre.
    pub(super) fn blend(&mut self, colour: Colour, coverage: &dyn Fn(f32, f32) -> f32) {
        self.paint(&|x, y, old| mix(old, colour, coverage(x, y)));
    }

    /// Gaussian blur of standard deviation `sigma` pixels, edges repeated.
    pub(super) fn blur(&mut self, sigma: f32) {
        if sigma < 0.2 {
            return;
        }
        let radius = (3.0 * sigma).ceil() as isize;
        let weights: Vec<f32> =
            (-radius..=radius).map(|offset| (-0.5 * (offset as f32 / sigma).powi(2)).exp()).collect();
        let total: f32 = weights.iter().sum();
        for (step_x, step_y) in [(1, 0), (0, 1)] {
            let source = self.clone();
            for (idx, pixel) in self.pixels.iter_mut().enumerate() {
                let (x, y) = ((idx % source.width) as isize, (idx / source.width) as isize);
                *pixel = [0.0; 3];
                for (offset, weight) in (-radius..=radius).zip(&weights) {
                    let from = source.clamped(x + step_x * offset, y + step_y * offset);
                    for channel in 0..3 {
                        pixel[channel] += from[channel] * weight / total;
                    }
                }
            }
        }
    }

    fn clamped(&self, x: isize, y: isize) -> Colour {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.pixels[y * self.width + x]
    }

    /// Adds Gaussian noise of standard deviation `sigma` to every channel of every pixel.
    pub(super) fn add_noise(&mut self, sigma: f32, rng: &mut impl Rng) {
        for value in self.pixels.iter_mut().flatten() {
            *value += sigma * rng.sample::<f32, _>(StandardNormal);
        }
    }

    /// The picture as bytes, channel planes one after the other (CHW).
    pub(super) fn to_planes(&self) -> Vec<u8> {
        (0..3).flat_map(|channel| self.pixels.iter().map(move |pixel| to_byte(pixel[channel]))).collect()
    }

    /// The picture as bytes, the three channels of a pixel together (HWC).
    pub(super) fn to_interleaved(&self) -> Vec<u8> {
        self.pixels.iter().flatten().map(|&value| to_byte(value)).collect()
    }
}

fn to_byte(value: f32) -> u8 {
    // `as` saturates, so values outside 0..=1 are clipped.
    (value * 255.0).round() as u8
}

/// `(1 - share)·from + share·to`, per channel.
pub(super) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// Opacity of a pixel at signed distance `distance` (pixels, negative inside) from an edge: a ramp of 1 pixel.
pub(super) fn edge(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_orders() {
        let mut canvas = Canvas::new(2, 1, [0.0, 0.5, 2.0]);
        canvas.pixels[1] = [1.0, -1.0, 0.2];
        assert_eq!(canvas.to_planes(), [0, 255, 128, 0, 255, 51]);
        assert_eq!(canvas.to_interleaved(), [0, 128, 255, 255, 0, 51]);
    }

    #[test]
    fn blur_keeps_a_flat_picture_and_spreads_a_point() {
        let mut flat = Canvas::new(5, 4, [0.25, 0.5, 0.75]);
        flat.blur(1.0);
        assert!(
            flat.pixels
                .iter()
                .flatten()
                .zip([0.25, 0.5, 0.75].iter().cycle())
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        // scipy.ndimage.gaussian_filter(point, 1.0, truncate=3.0)[10, 10:13], point = zeros((21, 21)) with 1 at (10, 10)
        let mut point = Canvas::new(21, 21, [0.0; 3]);
        point.pixels[10 * 21 + 10] = [1.0; 3];
        point.blur(1.0);
        for (offset, expected) in [(0, 0.159_241), (1, 0.096_585), (2, 0.021_551)] {
            assert!((point.pixels[10 * 21 + 10 + offset][0] - expected).abs() < 1e-5);
        }
    }
}
