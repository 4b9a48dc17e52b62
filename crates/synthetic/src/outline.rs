//! Signed distances to outlines: negative inside, in the unit of the coordinates.
//!
//! The formulas are those collected by Inigo Quilez, "2D distance functions".

/// A point or vector of the plane, y downwards.
pub(super) type Point = [f32; 2];

/// Distance to a rectangle centred on the origin with the given half sizes.
pub(super) fn rectangle(p: Point, half: Point) -> f32 {
    let d = [p[0].abs() - half[0], p[1].abs() - half[1]];
    d[0].max(0.0).hypot(d[1].max(0.0)) + d[0].max(d[1]).min(0.0)
}

/// Distance to a simple polygon.
pub(super) fn polygon(p: Point, corners: &[Point]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        nearest = nearest.min(segment(p, previous, corner));
        let crosses = (corner[1] > p[1]) != (previous[1] > p[1]);
        if crosses {
            let slope = (previous[0] - corner[0]) / (previous[1] - corner[1]);
            inside ^= p[0] < corner[0] + (p[1] - corner[1]) * slope;
        }
        previous = corner;
    }
    if inside { -nearest } else { nearest }
}

/// Distance to the segment from `a` to `b` (never negative).
pub(super) fn segment(p: Point, a: Point, b: Point) -> f32 {
    let (pa, ba) = ([p[0] - a[0], p[1] - a[1]], [b[0] - a[0], b[1] - a[1]]);
    let length2 = (ba[0] * ba[0] + ba[1] * ba[1]).max(1e-12);
    let along = ((pa[0] * ba[0] + pa[1] * ba[1]) / length2).clamp(0.0, 1.0);
    (pa[0] - ba[0] * along).hypot(pa[1] - ba[1] * along)
}

/// The point turned by `angle` radians about the origin.
pub(super) fn rotate(p: Point, angle: f32) -> Point {
    let (sin, cos) = angle.sin_cos();
    [cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_is_a_polygon() {
        let corners = [[-2.0, -1.0], [2.0, -1.0], [2.0, 1.0], [-2.0, 1.0]];
        for x in -8..=8 {
            for y in -8..=8 {
                let p = [x as f32 * 0.43, y as f32 * 0.37];
                assert!((rectangle(p, [2.0, 1.0]) - polygon(p, &corners)).abs() < 1e-5, "{p:?}");
            }
        }
    }

    #[test]
    fn distances_known_by_hand() {
        assert_eq!(segment([3.0, 4.0], [0.0, 0.0], [0.0, 0.0]), 5.0);
        assert_eq!(segment([1.0, 2.0], [0.0, 0.0], [4.0, 0.0]), 2.0);
        let turned = rotate([1.0, 0.0], std::f32::consts::FRAC_PI_2);
        assert!(turned[0].abs() < 1e-6 && (turned[1] - 1.0).abs() < 1e-6);
    }
}
