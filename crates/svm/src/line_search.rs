//! The exact minimum of the objective along a line.

/// The objective restricted to w + t·d: ½‖w + td‖² + C Σ max(0, 1 − yᵢ(fᵢ + t gᵢ))².
pub(crate) struct Line<'a> {
    /// +1 or −1 for each row; 0 for rows that do not take part.
    pub(crate) targets: &'a [f64],
    /// Decision values f at w.
    pub(crate) values: &'a [f64],
    /// Change g of the decision values along d.
    pub(crate) changes: &'a [f64],
    /// w·d.
    pub(crate) slope: f64,
    /// d·d.
    pub(crate) curvature: f64,
    /// C.
    pub(crate) c: f64,
}

impl Line<'_> {
    /// First and second derivative at t. The first is continuous, increasing and piecewise linear.
    fn derivatives(&self, t: f64) -> (f64, f64) {
        let (mut first, mut second) = (0.0, 0.0);
        for ((&y, &f), &g) in self.targets.iter().zip(self.values).zip(self.changes) {
            // 1 − y(f + tg) for y = ±1, and nothing for y = 0.
            let slack = y * (y - (f + t * g));
            if slack > 0.0 {
                first -= slack * y * g;
                second += g * g;
            }
        }
        let c = 2.0 * self.c;
        (self.slope + t * self.curvature + c * first, self.curvature + c * second)
    }

    /// The t > 0 that minimises the objective; 0 where d is no descent direction.
    ///
    /// Newton's method on the derivative, kept inside a bracket of its root: as the derivative has finitely many
    /// linear pieces, the last step is exact.
    pub(crate) fn minimum(&self) -> f64 {
        let (at_zero, _) = self.derivatives(0.0);
        if at_zero >= 0.0 {
            return 0.0;
        }
        let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..100 {
            let (first, second) = self.derivatives(t);
            if first.abs() <= 1e-14 * at_zero.abs() {
                break;
            }
            if first < 0.0 {
                low = t;
            } else {
                high = t;
            }
            let mut next = if second > 0.0 { t - first / second } else { 2.0 * t };
            if next <= low || next >= high {
                next = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
            }
            if next == t {
                break;
            }
            t = next;
        }
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One weight w = 0, two rows x = 1 and x = −0.5 with targets +1 and −1, d = 1, C = 1:
    /// P(t) = ½t² + (1 − t)²₊ + (1 − t/2)²₊, whose minimum is where t − 2(1 − t) − (1 − t/2) = 0, t = 6/7.
    #[test]
    fn the_minimum_is_exact() {
        let line = Line {
            targets: &[1.0, -1.0],
            values: &[0.0, 0.0],
            changes: &[1.0, -0.5],
            slope: 0.0,
            curvature: 1.0,
            c: 1.0,
        };
        assert!((line.minimum() - 6.0 / 7.0).abs() < 1e-14);
    }

    #[test]
    fn an_ascent_direction_gives_zero() {
        let line =
            Line { targets: &[1.0], values: &[0.0], changes: &[-1.0], slope: 0.0, curvature: 1.0, c: 1.0 };
        assert_eq!(line.minimum(), 0.0);
    }
}
