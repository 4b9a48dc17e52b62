//! Scaling without a filter, as the model was trained with.

/// Steps between two pixels.
const BITS: u32 = 11;

/// Where a target pixel lies between two source pixels: the first of them, and the second's weight.
#[derive(Clone, Copy, Debug)]
struct Between {
    first: usize,
    weight: i32,
}

/// A grey picture of which a part is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Begins at the part's first pixel.
    pub(super) pixels: &'a [u8],
    /// From row to row.
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What scaling needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    columns: Vec<Between>,
    row: Vec<i32>,
}

/// Scales a part of at least 2×2 pixels to fill `target`, `width` wide, by linear interpolation between the four next pixels.
#[inline(always)]
pub(super) fn scale(part: Part<'_>, target: &mut [u8], width: usize, buffers: &mut Buffers) {
    let height = target.len() / width;
    if (width, height) == (part.width, part.height) {
        for (row, target) in part.pixels.chunks(part.stride).zip(target.chunks_exact_mut(width)) {
            target.copy_from_slice(&row[..width]);
        }
        return;
    }
    buffers.columns.clear();
    buffers.columns.extend((0..width).map(|x| between(x, part.width, width)));
    buffers.row.resize(part.width, 0);
    for (y, target) in target.chunks_exact_mut(width).enumerate() {
        let Between { first, weight } = between(y, part.height, height);
        let [above, below] =
            [first, first + 1].map(|y| &part.pixels[y * part.stride..y * part.stride + part.width]);
        for ((value, &above), &below) in buffers.row.iter_mut().zip(above).zip(below) {
            *value = (i32::from(above) << BITS) + (i32::from(below) - i32::from(above)) * weight;
        }
        for (pixel, column) in target.iter_mut().zip(&buffers.columns) {
            let [left, right] = [buffers.row[column.first], buffers.row[column.first + 1]];
            let value = (left << BITS) + (right - left) * column.weight;
            *pixel = (value >> (2 * BITS)) as u8;
        }
    }
}

#[inline(always)]
fn between(at: usize, from: usize, to: usize) -> Between {
    let place = at as f64 * (from as f64 / to as f64);
    let first = (place as usize).min(from - 2);
    Between { first, weight: ((place - first as f64) * f64::from(1 << BITS)) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_the_four_next_pixels() {
        let pixels: Vec<u8> = (0..7 * 9).map(|i| (i * i * 37 % 251) as u8).collect();
        // The 5×6 pixels from (2, 1) on.
        let part = Part { pixels: &pixels[7 + 2..], stride: 7, width: 5, height: 6 };
        let (width, height) = (3, 4);
        let mut scaled = vec![0; width * height];
        scale(part, &mut scaled, width, &mut Buffers::default());
        for (i, &found) in scaled.iter().enumerate() {
            let (x, y) = ((i % width) as f64 * 5.0 / 3.0, (i / width) as f64 * 6.0 / 4.0);
            let at = |x: f64, y: f64| f64::from(pixels[(1 + y as usize) * 7 + 2 + x as usize]);
            let (x0, y0) = (x.floor(), y.floor());
            let across = |y: f64| at(x0, y) * (1.0 - x + x0) + at(x0 + 1.0, y) * (x - x0);
            let expected = across(y0) * (1.0 - y + y0) + across(y0 + 1.0) * (y - y0);
            assert!((f64::from(found) - expected).abs() <= 1.0, "{i}: {found} {expected}");
        }
        let mut same = vec![0; 30];
        scale(part, &mut same, 5, &mut Buffers::default());
        assert_eq!(same[5], pixels[2 * 7 + 2]);
    }
}
