//! Of windows that overlap, the best one.

/// A square, in pixels; it may reach beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) side: i32,
    pub(crate) score: f64,
}

impl Window {
    /// Intersection over union.
    pub(super) fn overlap(&self, other: &Self) -> f32 {
        let along = |a: i32, b: i32| ((a + self.side).min(b + other.side) - a.max(b)).max(0) as f32;
        let common = along(self.x, other.x) * along(self.y, other.y);
        let area = |side: i32| side as f32 * side as f32;
        if common > 0.0 { common / (area(self.side) + area(other.side) - common) } else { 0.0 }
    }
}

/// Takes the best window, and out of the rest all that overlap it by more than `most`, whose scores it adds to its own; and so on
/// with what remains. Best first, by the scores before adding.
pub(crate) fn best_of_overlapping(mut windows: Vec<Window>, most: f32) -> Vec<Window> {
    windows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut best: Vec<Window> = Vec::new();
    while let [first, rest @ ..] = windows.as_slice() {
        let mut first = *first;
        let shape = first;
        let mut others = Vec::with_capacity(rest.len());
        for other in rest {
            if shape.overlap(other) > most {
                first.score += other.score;
            } else {
                others.push(*other);
            }
        }
        best.push(first);
        windows = others;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_windows_become_one_with_their_scores_added() {
        let window = |x, side, score| Window { x, y: 0, side, score };
        let far = window(100, 10, 0.7);
        let found =
            best_of_overlapping(vec![window(1, 10, 0.6), far, window(0, 10, 0.9), window(8, 10, 0.5)], 0.3);
        // 9 of 11 columns in common: 0.82. 2 of 18: 0.11.
        assert_eq!(found, [window(0, 10, 1.5), far, window(8, 10, 0.5)]);
        assert_eq!(best_of_overlapping(vec![window(0, 10, 0.9), window(1, 10, 0.6)], 0.9).len(), 2);
    }
}
