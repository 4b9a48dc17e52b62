//! A drawn face that the cascade takes for one.

use dcgan_images::Picture;

/// Place, half-axes and brightness of its ellipses: hair, face, brows, eyes, pupils, nose, nostrils, mouth.
const PARTS: [[f64; 5]; 12] = [
    [0.0, -0.15, 0.95, 1.25, 50.0],
    [0.0, 0.1, 0.75, 1.05, 190.0],
    [-0.32, -0.22, 0.25, 0.06, 70.0],
    [0.32, -0.22, 0.25, 0.06, 70.0],
    [-0.32, -0.05, 0.2, 0.11, 110.0],
    [0.32, -0.05, 0.2, 0.11, 110.0],
    [-0.32, -0.05, 0.09, 0.08, 40.0],
    [0.32, -0.05, 0.09, 0.08, 40.0],
    [0.0, 0.18, 0.07, 0.2, 205.0],
    [-0.1, 0.36, 0.07, 0.04, 110.0],
    [0.1, 0.36, 0.07, 0.04, 110.0],
    [0.0, 0.62, 0.3, 0.08, 110.0],
];

/// A grey photo of `width` × `height` pixels with faces of half-width `radius` at each (x, y, radius).
pub(crate) fn photo(width: usize, height: usize, faces: &[[f64; 3]]) -> Picture {
    let pixel = |i: usize| {
        let (x, y) = ((i % width) as f64, (i / width) as f64);
        let ground = 90.0 + 6.0 * (x * 0.3).sin() + 6.0 * (y * 0.2).cos();
        let parts = faces.iter().flat_map(|face| PARTS.map(|part| (*face, part)));
        parts.fold(ground, |value, ([cx, cy, radius], [px, py, a, b, brightness])| {
            let (u, v) = ((x - cx) / radius - px, (y - cy) / radius - py);
            let distance = ((u / a).powi(2) + (v / b).powi(2)).sqrt();
            let weight = ((1.15 - distance) / 0.3).clamp(0.0, 1.0);
            value * (1.0 - weight) + brightness * weight
        }) as u8
    };
    Picture { channels: 1, height, width, pixels: (0..width * height).map(pixel).collect() }
}
