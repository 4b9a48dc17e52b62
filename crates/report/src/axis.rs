//! The axes of a plot: linear or logarithmic, with round ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use serde::{Deserialize, Serialize};

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// True for a logarithmic one.
    pub is_log: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), is_log: false }
    }

    /// A logarithmic axis.
    pub fn log(label: &str) -> Self {
        Self { label: label.to_owned(), is_log: true }
    }

    /// Where a value is drawn.
    pub(crate) fn at(&self, value: f64) -> f64 {
        if self.is_log { value.log10() } else { value }
    }

    pub(crate) fn text(&self, at: f64) -> String {
        match self.is_log {
            true if at < -3.0 => format!("{:e}", rounded(10_f64.powf(at))),
            true => format!("{}", rounded(10_f64.powf(at))),
            false => format!("{}", rounded(at)),
        }
    }
}

/// An axis with its ends and ticks, as the library wants it.
pub(crate) struct Scale {
    axis: Axis,
    range: (f64, f64),
    ticks: Vec<f64>,
}

impl Scale {
    pub(crate) fn new(axis: &Axis, range: (f64, f64)) -> Self {
        Self { axis: axis.clone(), range, ticks: ticks(axis, &range) }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.0) / (self.range.1 - self.range.0);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points would be lines between the ticks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        self.axis.text(*value)
    }
}

/// Where an axis has ticks: at 1, 2 or 5 times a power of ten, about five of them; of a logarithmic one at powers of
/// ten, or at 1, 2 and 5 times those where that would be few.
fn ticks(axis: &Axis, range: &(f64, f64)) -> Vec<f64> {
    let is_inside = |at: &f64| (range.0..=range.1).contains(at);
    if axis.is_log {
        let exponents = range.0.floor() as i32..=range.1.ceil() as i32;
        let decades: Vec<f64> = exponents.clone().map(f64::from).filter(is_inside).collect();
        if decades.len() >= 3 {
            return decades;
        }
        let at = |exponent: i32| [1.0_f64, 2.0, 5.0].map(|times| f64::from(exponent) + times.log10());
        return exponents.flat_map(at).filter(is_inside).collect();
    }
    let rough = (range.1 - range.0) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (first, last) = ((range.0 / step).ceil() as i64, (range.1 / step).floor() as i64);
    (first..=last).map(|count| count as f64 * step).collect()
}

/// Three significant digits: what a plot can show.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || value.abs() >= 1000.0 {
        return value.round();
    }
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let found = ticks(&Axis::linear(""), &(0.0, 1.04));
        assert_eq!(found.iter().map(|at| rounded(*at)).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
        let log = Axis::log("");
        let texts: Vec<String> = ticks(&log, &(2.9, 3.8)).iter().map(|at| log.text(*at)).collect();
        assert_eq!(texts, ["1000", "2000", "5000"]);
    }
}
