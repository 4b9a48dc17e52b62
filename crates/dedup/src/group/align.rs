//! Where one picture lies in another.

use super::planes::{Inside, Rows, sum_of_squares, without_slope};
use crate::preprocess::SIDE;

/// Numbers that a step of the alignment finds: two sizes, two places, and contrast, brightness and its two slopes.
const N_FOUND: usize = 8;
/// Steadies directions in which a picture does not vary, as a share of its mean square.
const RIDGE: f32 = 1e-3;
/// Largest change of size that is followed from where the alignment starts, as a share.
const MAX_ZOOM: f32 = 0.25;
/// Largest shift that is followed, in pixels of 32.
const MAX_SHIFT: f32 = 5.0;
/// Distance of what cannot be compared.
const FAR: f32 = 2.0;

/// Where a point of one picture lies in another, about the middle: x ↦ zoom·x + shift, in each direction, in pixels of 32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alignment {
    pub(super) zoom: [f32; 2],
    pub(super) shift: [f32; 2],
}

impl Alignment {
    pub(super) const NONE: Self = Self { zoom: [1.0; 2], shift: [0.0; 2] };

    fn is_near(self, start: Self) -> bool {
        (0..2).all(|axis| {
            let zoom = self.zoom[axis] / start.zoom[axis];
            (1.0 / (1.0 + MAX_ZOOM)..=1.0 + MAX_ZOOM).contains(&zoom)
                && (self.shift[axis] - start.shift[axis]).abs() <= MAX_SHIFT
        })
    }
}

/// Moves pictures to where an alignment puts them, by cubic (Catmull-Rom) interpolation.
pub(super) struct Mover<const N: usize> {
    /// Of each source column its weight in every target column.
    across: Rows<N>,
    /// Of each target row the source row before it, and the weights of four from the one before that.
    down: [(usize, [f32; 4]); N],
    pub(super) inside: Inside,
}

impl<const N: usize> Mover<N> {
    #[inline(always)]
    pub(super) fn new(alignment: Alignment) -> Self {
        let ([columns, rows], mut across) = ([0, 1].map(|axis| taps::<N>(alignment, axis)), [[0.0; N]; N]);
        for column in columns.1.clone() {
            let (before, weights) = columns.0[column];
            for (k, weight) in weights.into_iter().enumerate() {
                across[neighbour::<N>(before, k)][column] += weight;
            }
        }
        Self { across, down: rows.0, inside: Inside { columns: columns.1, rows: rows.1 } }
    }

    /// Whether enough is inside to compare.
    pub(super) fn is_enough(&self) -> bool {
        self.inside.n() >= N * N / 4
    }

    /// The values of `picture` where the alignment puts them, 0 where there are none.
    #[inline(always)]
    pub(super) fn moved(&self, picture: &Rows<N>) -> Rows<N> {
        let mut values = [[0.0; N]; N];
        for row in self.inside.rows.clone() {
            let (before, weights) = self.down[row];
            let [a, b, c, d] = [0, 1, 2, 3].map(|k| &picture[neighbour::<N>(before, k)]);
            let line: [f32; N] = std::array::from_fn(|i| {
                weights[0] * a[i] + weights[1] * b[i] + weights[2] * c[i] + weights[3] * d[i]
            });
            let mut out = [0.0f32; N];
            for (value, weights) in line.iter().zip(&self.across) {
                for i in 0..N {
                    out[i] += value * weights[i];
                }
            }
            values[row] = out;
        }
        values
    }
}

/// The `k`-th of four places about one; edges are repeated.
fn neighbour<const N: usize>(before: usize, k: usize) -> usize {
    (before + k).saturating_sub(1).min(N - 1)
}

/// Of each place along an axis the one before its counterpart, with the weights of four, and the places whose counterparts are inside.
#[inline(always)]
fn taps<const N: usize>(
    alignment: Alignment,
    axis: usize,
) -> ([(usize, [f32; 4]); N], std::ops::Range<usize>) {
    let middle = (N as f32 - 1.0) / 2.0;
    let shift = alignment.shift[axis] * N as f32 / SIDE as f32;
    let mut places = [(0, [0.0; 4]); N];
    let (mut first, mut end) = (N, 0);
    for (i, place) in places.iter_mut().enumerate() {
        let from = alignment.zoom[axis] * (i as f32 - middle) + middle + shift;
        if (0.0..=N as f32 - 1.0).contains(&from) {
            let before = (from as usize).min(N - 2);
            let t = from - before as f32;
            let (t2, t3) = (t * t, t * t * t);
            let weights = [
                0.5 * (2.0 * t2 - t - t3),
                0.5 * (2.0 - 5.0 * t2 + 3.0 * t3),
                0.5 * (t + 4.0 * t2 - 3.0 * t3),
                0.5 * (t3 - t2),
            ];
            *place = (before, weights);
            (first, end) = (first.min(i), i + 1);
        }
    }
    (places, first.min(end)..end)
}

/// A picture with which others are aligned.
pub(super) struct Template<const N: usize> {
    rows: Rows<N>,
    /// Of each row by how much its values change with each of the numbers that are found.
    directions: [[[f32; N]; N_FOUND]; N],
}

impl<const N: usize> Template<N> {
    #[inline(always)]
    pub(super) fn new(rows: &Rows<N>) -> Self {
        let along: [f32; N] = std::array::from_fn(|i| (2.0 * i as f32 + 1.0) / N as f32 - 1.0);
        let mut directions = [[[0.0; N]; N_FOUND]; N];
        for (y, found) in directions.iter_mut().enumerate() {
            let (above, here, below) = (&rows[y.saturating_sub(1)], &rows[y], &rows[(y + 1).min(N - 1)]);
            let spread = if y == 0 || y + 1 == N { 1.0 } else { 0.5 };
            let [mut gx, mut gy] = [[0.0; N]; 2];
            for i in 1..N - 1 {
                gx[i] = 0.5 * (here[i + 1] - here[i - 1]);
            }
            (gx[0], gx[N - 1]) = (here[1] - here[0], here[N - 1] - here[N - 2]);
            for i in 0..N {
                gy[i] = spread * (below[i] - above[i]);
            }
            let sizes = [std::array::from_fn(|i| gx[i] * along[i]), gy.map(|value| value * along[y])];
            *found = [sizes[0], sizes[1], gx, gy, *here, [1.0; N], along, [along[y]; N]];
        }
        Self { rows: *rows, directions }
    }

    /// The best alignment near `start`, from `from` on, and its distance; none where the steps run away.
    ///
    /// Steps of Gauss and Newton with the template's own gradients (Lucas and Kanade 1981; Baker and Matthews 2004). Each finds, with
    /// sizes and places, by how much contrast, brightness and slopes differ: a part of a picture has others than the whole.
    #[inline(always)]
    pub(super) fn align(
        &self,
        picture: &Rows<N>,
        from: Alignment,
        start: Alignment,
        n_steps: usize,
    ) -> Option<(Alignment, f32)> {
        let mut alignment = from;
        let mut known: Option<(Inside, Factors)> = None;
        for _ in 0..n_steps {
            let mover = Mover::new(alignment);
            if !mover.is_enough() {
                return None;
            }
            let factors = match known.take() {
                Some((inside, factors)) if inside == mover.inside => factors,
                _ => Factors::new(self.products(&mover.inside))?,
            };
            let step = factors.solve(self.projections(&mover.moved(picture), &mover.inside));
            known = Some((mover.inside, factors));
            let gain = (1.0 + step[4]).clamp(0.5, 2.0);
            // The step moves the template; its inverse, to first order, moves the picture.
            for axis in 0..2 {
                let zoom = alignment.zoom[axis];
                alignment.shift[axis] -= zoom * step[2 + axis] / gain * SIDE as f32 / N as f32;
                alignment.zoom[axis] = zoom * (1.0 - 2.0 * step[axis] / (gain * N as f32));
            }
            if !alignment.is_near(start) {
                return None;
            }
        }
        Some((alignment, self.distance(picture, alignment)))
    }

    /// √(2(1 − r)), with r the correlation of the two once brightness and its slopes are taken out.
    #[inline(always)]
    pub(super) fn distance(&self, picture: &Rows<N>, alignment: Alignment) -> f32 {
        let mover = Mover::new(alignment);
        if !mover.is_enough() {
            return FAR;
        }
        let [a, b] = [&self.rows, &mover.moved(picture)].map(|rows| without_slope(rows, &mover.inside));
        let energy = [&a, &b].map(|rows| sum_of_squares(rows, 0.0).max(1e-6));
        let r = inner(&a, &b) / (energy[0] * energy[1]).sqrt();
        (2.0 * (1.0 - r)).max(0.0).sqrt()
    }

    /// Products of all pairs of directions, over the values inside.
    #[inline(always)]
    fn products(&self, inside: &Inside) -> [[f32; N_FOUND]; N_FOUND] {
        let mask = inside.mask::<N>();
        let mut products = [[0.0; N_FOUND]; N_FOUND];
        for i in 0..N_FOUND {
            let mut sums = [[0.0f32; N]; N_FOUND];
            for directions in &self.directions[inside.rows.clone()] {
                let own: [f32; N] = std::array::from_fn(|k| directions[i][k] * mask[k]);
                for (sums, other) in sums.iter_mut().zip(directions).skip(i) {
                    for k in 0..N {
                        sums[k] += own[k] * other[k];
                    }
                }
            }
            for j in i..N_FOUND {
                products[i][j] = sums[j].iter().sum();
                products[j][i] = products[i][j];
            }
        }
        let n = inside.n() as f32;
        let ridge = RIDGE * products[4][4].max(1e-6 * n);
        (0..N_FOUND).for_each(|i| products[i][i] += if i < 4 { ridge } else { 1e-5 * n });
        products
    }

    /// Products of what differs with each direction.
    #[inline(always)]
    fn projections(&self, moved: &Rows<N>, inside: &Inside) -> [f32; N_FOUND] {
        let mask = inside.mask::<N>();
        let mut sums = [[0.0f32; N]; N_FOUND];
        for row in inside.rows.clone() {
            let off: [f32; N] = std::array::from_fn(|k| (moved[row][k] - self.rows[row][k]) * mask[k]);
            for (sums, direction) in sums.iter_mut().zip(&self.directions[row]) {
                for k in 0..N {
                    sums[k] += off[k] * direction[k];
                }
            }
        }
        sums.map(|sums| sums.iter().sum())
    }
}

/// The sum of the products of two pictures' values.
#[inline(always)]
pub(super) fn inner<const N: usize>(a: &Rows<N>, b: &Rows<N>) -> f32 {
    let mut sums = [0.0f32; N];
    for (a, b) in a.iter().zip(b) {
        for k in 0..N {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum()
}

/// Of a symmetric matrix the lower triangle of Cholesky.
struct Factors([[f32; N_FOUND]; N_FOUND]);

impl Factors {
    /// None for a matrix that is not positive definite.
    fn new(matrix: [[f32; N_FOUND]; N_FOUND]) -> Option<Self> {
        let mut lower = [[0.0f32; N_FOUND]; N_FOUND];
        for i in 0..N_FOUND {
            for j in 0..=i {
                let known: f32 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let left = matrix[i][j] - known;
                if i > j {
                    lower[i][j] = left / lower[j][j];
                } else if left > 1e-7 * matrix[i][i] {
                    lower[i][i] = left.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(Self(lower))
    }

    fn solve(&self, mut x: [f32; N_FOUND]) -> [f32; N_FOUND] {
        let Self(lower) = self;
        for i in 0..N_FOUND {
            let known: f32 = (0..i).map(|k| lower[i][k] * x[k]).sum();
            x[i] = (x[i] - known) / lower[i][i];
        }
        for i in (0..N_FOUND).rev() {
            let known: f32 = (i + 1..N_FOUND).map(|k| lower[k][i] * x[k]).sum();
            x[i] = (x[i] - known) / lower[i][i];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_ramp_is_a_ramp() {
        let ramp: Rows<32> = std::array::from_fn(|y| std::array::from_fn(|x| x as f32 + 100.0 * y as f32));
        let alignment = Alignment { zoom: [0.8, 1.1], shift: [1.5, 0.0] };
        let mover = Mover::<32>::new(alignment);
        let found = mover.moved(&ramp);
        assert_eq!(
            mover.inside,
            Inside { columns: 0..32, rows: 2..30 },
            "what lies above and below is not inside"
        );
        for (row, column) in [(4, 0), (17, 9), (27, 29)] {
            let at = |k: usize, axis: usize| {
                alignment.zoom[axis] * (k as f32 - 15.5) + 15.5 + alignment.shift[axis]
            };
            let expected = at(column, 0) + 100.0 * at(row, 1);
            assert!(
                (found[row][column] - expected).abs() < 0.01,
                "{row} {column}: {} {expected}",
                found[row][column]
            );
        }
    }

    #[test]
    fn an_alignment_is_found_whatever_brightness_contrast_and_slopes() {
        let value = |x: f32, y: f32| (0.4 * x).sin() + (0.3 * y + 0.1 * x).cos() + (0.25 * (x - y)).sin();
        let at = |i: usize| i as f32 - 15.5;
        let picture: Rows<32> = std::array::from_fn(|y| std::array::from_fn(|x| value(at(x), at(y))));
        let truth = Alignment { zoom: [0.9, 0.95], shift: [1.2, -0.8] };
        let part: Rows<32> = std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let place = [x, y].map(at);
                let [u, v] = [0, 1].map(|axis| truth.zoom[axis] * place[axis] + truth.shift[axis]);
                0.7 * value(u, v) + 0.4 + 0.02 * place[0] - 0.01 * place[1]
            })
        });
        let template = Template::new(&part);
        let (found, distance) = template.align(&picture, Alignment::NONE, Alignment::NONE, 10).unwrap();
        for axis in 0..2 {
            assert!((found.zoom[axis] - truth.zoom[axis]).abs() < 0.003, "{found:?}");
            assert!((found.shift[axis] - truth.shift[axis]).abs() < 0.05, "{found:?}");
        }
        assert!(distance < 0.03 && template.distance(&picture, Alignment::NONE) > 0.3, "{distance}");
    }

    #[test]
    fn equations_are_solved() {
        let matrix: [[f32; N_FOUND]; N_FOUND] = std::array::from_fn(|i| {
            std::array::from_fn(|j| if i == j { 9.0 + i as f32 } else { ((i * j) % 3) as f32 - 1.0 })
        });
        let right: [f32; N_FOUND] = std::array::from_fn(|i| i as f32 - 2.5);
        let x = Factors::new(matrix).unwrap().solve(right);
        for (row, right) in matrix.iter().zip(right) {
            let found: f32 = row.iter().zip(x).map(|(m, x)| m * x).sum();
            assert!((found - right).abs() < 1e-4, "{x:?}");
        }
        assert!(Factors::new([[1.0; N_FOUND]; N_FOUND]).is_none());
    }
}
