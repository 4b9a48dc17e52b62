//! The optimum of one class at one C, from the Gram matrix.

use crate::Certificate;
use crate::cholesky::Factor;
use crate::gram::SharedGram;
use crate::line_search::Line;

/// One class against the rest at one C.
pub(crate) struct Problem<'a> {
    pub(crate) gram: &'a SharedGram,
    /// +1 or −1 for each row.
    pub(crate) targets: &'a [f64],
    pub(crate) c: f64,
    pub(crate) relative_gap: f64,
    pub(crate) max_steps: usize,
}

/// A weight vector w = Σ βᵢ(xᵢ, 1) and what it is worth.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) certificate: Certificate,
}

impl Problem<'_> {
    /// Newton's method on the primal objective in β (Chapelle, "Training a support vector machine in the primal", 2007).
    ///
    /// The objective is quadratic as long as the set s of rows inside the margin stays, so that a full step, which solves
    /// (K_ss + I/2C) β_s = y_s with β zero elsewhere, lands on the optimum once s is right. Until then an exact line
    /// search makes it converge from anywhere. `start` is β to begin at.
    pub(crate) fn solve(&self, start: &[f64]) -> Point {
        let mut coefficients = start.to_vec();
        let mut n_steps = 0;
        loop {
            let values = self.gram.times(&coefficients, &support_of(&coefficients));
            let certificate = self.certificate(&coefficients, &values, n_steps);
            if certificate.relative_gap <= self.relative_gap || n_steps == self.max_steps {
                return Point { coefficients, certificate };
            }
            let direction = self.direction(&coefficients, &values);
            let changes = self.gram.times(&direction, &support_of(&direction));
            let step = Line {
                targets: self.targets,
                values: &values,
                changes: &changes,
                slope: dot(&coefficients, &changes),
                curvature: dot(&direction, &changes),
                c: self.c,
            }
            .minimum();
            for (coefficient, change) in coefficients.iter_mut().zip(&direction) {
                *coefficient += step * change;
            }
            n_steps += 1;
            // A step of zero means that rounding hides the way down; the certificate then says how near this is.
            if step == 0.0 {
                n_steps = self.max_steps;
            }
        }
    }

    fn slack(&self, row: usize, value: f64) -> f64 {
        (1.0 - self.targets[row] * value).max(0.0)
    }

    /// Objective and gap at β; the gap is ½(β − αy)ᵀK(β − αy) with αᵢ = 2Cξᵢ.
    fn certificate(&self, coefficients: &[f64], values: &[f64], n_steps: usize) -> Certificate {
        let slacks: Vec<f64> =
            values.iter().enumerate().map(|(row, &value)| self.slack(row, value)).collect();
        let squares = dot(&slacks, &slacks);
        let objective = 0.5 * dot(coefficients, values) + self.c * squares;
        let dual: Vec<f64> = slacks.iter().zip(self.targets).map(|(xi, y)| 2.0 * self.c * xi * y).collect();
        let difference: Vec<f64> = coefficients.iter().zip(&dual).map(|(b, a)| b - a).collect();
        let product = self.gram.times(&difference, &support_of(&difference));
        let gap = 0.5 * dot(&difference, &product);
        // αᵀQα from what is already there: the product of K with αy is f − K(β − αy).
        let quadratic: f64 =
            dual.iter().zip(values).zip(&product).map(|((a, f), p)| a * (f - p)).sum::<f64>()
                + 2.0 * self.c * squares;
        let sum = 2.0 * self.c * slacks.iter().sum::<f64>();
        Certificate::new(objective, gap, sum, quadratic, n_steps)
    }

    /// The full Newton step from β, written as a correction so that its own rounding errors heal in the next one.
    fn direction(&self, coefficients: &[f64], values: &[f64]) -> Vec<f64> {
        let rows: Vec<usize> = (0..values.len()).filter(|&row| self.slack(row, values[row]) > 0.0).collect();
        let ridge = 0.5 / self.c;
        let mut direction: Vec<f64> = coefficients.iter().map(|coefficient| -coefficient).collect();
        for &row in &rows {
            direction[row] = 0.0;
        }
        let removed = self.gram.times(&direction, &support_of(&direction));
        let mut rhs: Vec<f64> = rows
            .iter()
            .map(|&row| self.targets[row] - (values[row] + removed[row]) - ridge * coefficients[row])
            .collect();
        Factor::new(self.gram, &rows, ridge).solve(&mut rhs);
        for (&row, change) in rows.iter().zip(rhs) {
            direction[row] = change;
        }
        direction
    }
}

/// Indices of the values that are not zero.
fn support_of(vector: &[f64]) -> Vec<usize> {
    (0..vector.len()).filter(|&idx| vector[idx] != 0.0).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
