//! Products of matrices in plain memory, on the calling thread: who has several of them shares them out.

/// A view of f32 values: the value in row i and column j lies at i·`strides[0]` + j·`strides[1]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// `size` (rows, columns) of values whose rows begin `row_stride` apart.
    ///
    /// # Panics
    /// Where `values` does not hold them, or there are none.
    pub fn new(values: &'a [f32], size: [usize; 2], row_stride: usize) -> Self {
        let [n_rows, n_columns] = size;
        let end = n_rows.checked_sub(1).and_then(|n| n.checked_mul(row_stride)?.checked_add(n_columns));
        let is_held = end.is_some_and(|end| end <= values.len()) && n_columns > 0;
        assert!(is_held, "{n_rows} rows of {n_columns}, {row_stride} apart, in {} values", values.len());
        Self { values, size, strides: [row_stride, 1] }
    }

    /// Its transpose.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.size, self.strides);
        Self { size: [columns, rows], strides: [right, down], ..self }
    }
}

/// Writes a·b to `to`, row after row, or adds it. The sums depend on the sizes alone.
///
/// # Panics
/// Where the sizes do not fit: a (m, k), b (k, n), `to` m·n values.
pub fn multiply(a: Matrix<'_>, b: Matrix<'_>, to: &mut [f32], adds: bool) {
    let ([m, k], [b_rows, n]) = (a.size, b.size);
    assert!(k == b_rows && to.len() == m * n, "({m}, {k})·({b_rows}, {n}) to {} values", to.len());
    let [[a_down, a_right], [b_down, b_right]] = [a, b].map(|x| x.strides.map(|stride| stride as isize));
    // SAFETY: `Matrix` holds only views whose every value lies in its slice, and `to` has m·n values in rows of n.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.as_mut_ptr(),
            1,
            n as isize,
            adds,
            a.values.as_ptr(),
            a_right,
            a_down,
            b.values.as_ptr(),
            b_right,
            b_down,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose sums are exact in any order.
    #[test]
    fn products_of_views_are_right() {
        let numbers =
            |n: usize, k: usize| (0..n).map(|i| ((i * 7919 + k) % 23) as f32 - 11.0).collect::<Vec<_>>();
        for (m, k, n) in [(1, 1, 1), (5, 7, 3), (33, 70, 129)] {
            let (a, b) = (numbers(m * (k + 3), 0), numbers(n * (k + 1), 5));
            let left = Matrix::new(&a, [m, k], k + 3);
            let right = Matrix::new(&b, [n, k], k + 1).transposed();
            let mut out = vec![2.0; m * n];
            multiply(left, right, &mut out, false);
            let sum =
                |i: usize, j: usize| (0..k).map(|l| a[i * (k + 3) + l] * b[j * (k + 1) + l]).sum::<f32>();
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                assert_eq!(out[i * n + j], sum(i, j), "{i} {j}");
            }
            let once = out.clone();
            multiply(left, right, &mut out, true);
            assert!(out.iter().zip(&once).all(|(twice, once)| *twice == 2.0 * once));
        }
    }

    #[test]
    fn views_beyond_their_values_are_refused() {
        let is_refused = |n: usize, size: [usize; 2], stride: usize| {
            std::panic::catch_unwind(|| Matrix::new(&vec![0.0; n], size, stride).size).is_err()
        };
        assert!(!is_refused(12, [3, 4], 4) && is_refused(11, [3, 4], 4));
        assert!(is_refused(12, [0, 4], 4) && is_refused(12, [3, 0], 4) && is_refused(9, [2, 4], usize::MAX));
    }
}
