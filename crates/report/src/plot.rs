//! Plots as SVG that follows the page's light or dark colours.
//!
//! Colours are those of the light page; the style sheet of the page replaces them by attribute selectors on a dark one.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::axis::{Axis, Scale, rounded};

/// Drawn size, in quarters of the CSS pixels it is meant for: the library rounds to whole ones.
const SIZE: (u32, u32) = (SCALE * 380, SCALE * 240);
const SCALE: u32 = 4;
const TEXT: RGBColor = RGBColor(0x1c, 0x1d, 0x1f);
const MARK: RGBColor = RGBColor(0x55, 0x58, 0x5e);
const GRID: RGBColor = RGBColor(0xd5, 0xd7, 0xdb);
/// Of the series, in order; repeated from the first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x0b, 0x57, 0xa4),
    RGBColor(0xb3, 0x40, 0x0e),
    RGBColor(0x1e, 0x7a, 0x4c),
    RGBColor(0x7a, 0x3e, 0x9d),
    RGBColor(0x8a, 0x5a, 0x00),
    RGBColor(0x00, 0x6d, 0x77),
    RGBColor(0xa0, 0x1d, 0x5d),
    RGBColor(0x44, 0x4a, 0x52),
];

/// A plot and the words around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Its heading.
    pub title: String,
    /// What is seen and how it came about.
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
    /// A value of x that stands out, with what it is; drawn as an upright line, which the page dashes.
    pub mark: Option<(f64, String)>,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// Its points, x growing.
    pub points: Vec<PlotPoint>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A line.
    Line,
    /// A line with a dot at each point.
    Dots,
    /// Dots alone.
    Points,
    /// Bars from 0, one wide.
    Bars,
}

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlotPoint {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// What is drawn above and below y.
    pub deviation: Option<f64>,
}

type Chart<'area, 'text> = ChartContext<'area, SVGBackend<'text>, Cartesian2d<Scale, Scale>>;

impl Plot {
    /// A text for readers who cannot see it: each series' first, lowest, highest and last value.
    pub fn alt(&self) -> String {
        let series = self.series.iter().filter_map(|series| {
            let (first, last) = (series.points.first()?, series.points.last()?);
            let low = series.points.iter().map(|point| point.y).fold(f64::INFINITY, f64::min);
            let high = series.points.iter().map(|point| point.y).fold(f64::NEG_INFINITY, f64::max);
            Some(format!(
                "{}: {} at {}, {} at {}, lowest {}, highest {}",
                series.name,
                rounded(first.y),
                rounded(first.x),
                rounded(last.y),
                rounded(last.x),
                rounded(low),
                rounded(high)
            ))
        });
        let mark = self.mark.iter().map(|(x, what)| format!("{what}: {}", rounded(*x)));
        let parts: Vec<String> = series.chain(mark).collect();
        format!("{} against {}. {}.", self.y.label, self.x.label, parts.join(". "))
    }

    /// The colour of each series as CSS writes it.
    pub fn colours(&self) -> impl Iterator<Item = String> {
        (0..self.series.len()).map(|idx| css(colour(idx)))
    }

    /// The plot as an SVG element for an HTML page.
    ///
    /// # Errors
    /// If there is nothing to draw.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut drawn = String::new();
        {
            let area = SVGBackend::with_string(&mut drawn, SIZE).into_drawing_area();
            self.draw(&area).map_err(|error| anyhow!("cannot draw \"{}\": {error}", self.title))?;
        }
        Ok(as_part_of_a_page(&drawn, &self.alt()))
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), String> {
        let to_text = |error: DrawingAreaErrorKind<_>| error.to_string();
        let (x, y) = (self.range(true)?, self.range(false)?);
        let font = |size: u32| ("sans-serif", size * SCALE).into_font().color(&TEXT);
        let mut chart = ChartBuilder::on(area)
            .margin(8 * SCALE)
            .set_label_area_size(LabelAreaPosition::Left, 52 * SCALE)
            .set_label_area_size(LabelAreaPosition::Bottom, 38 * SCALE)
            .build_cartesian_2d(Scale::new(&self.x, x), Scale::new(&self.y, y))
            .map_err(to_text)?;
        chart
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .axis_desc_style(font(12))
            .label_style(font(12))
            .axis_style(TEXT.stroke_width(SCALE))
            .bold_line_style(GRID.stroke_width(SCALE))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(4 * SCALE)
            .draw()
            .map_err(to_text)?;
        if let Some((at, _)) = &self.mark {
            let ends = [(self.x.at(*at), y.0), (self.x.at(*at), y.1)];
            chart.draw_series([PathElement::new(ends, MARK.stroke_width(2 * SCALE))]).map_err(to_text)?;
        }
        for (series_idx, series) in self.series.iter().enumerate() {
            self.draw_series(&mut chart, series_idx, series, y.0).map_err(to_text)?;
        }
        area.present().map_err(to_text)
    }

    fn draw_series(
        &self,
        chart: &mut Chart<'_, '_>,
        series_idx: usize,
        series: &Series,
        bottom: f64,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let colour = colour(series_idx);
        let at = |point: &PlotPoint, y: f64| (self.x.at(point.x), self.y.at(y));
        let line = || series.points.iter().map(|point| at(point, point.y));
        if series.style == Style::Bars {
            // Later series are narrower, so that those behind them show.
            let half = 0.5 - 0.1 * series_idx as f64;
            let bar = |point: &PlotPoint| {
                Rectangle::new([(point.x - half, bottom), (point.x + half, point.y)], colour.filled())
            };
            chart.draw_series(series.points.iter().map(bar))?;
            return Ok(());
        }
        if series.style != Style::Points {
            chart.draw_series(LineSeries::new(line(), colour.stroke_width(2 * SCALE)))?;
        }
        if series.style != Style::Line {
            chart.draw_series(line().map(|point| Circle::new(point, 3 * SCALE, colour.filled())))?;
        }
        let bars = series.points.iter().filter_map(|point| {
            let deviation = point.deviation.filter(|deviation| *deviation > 0.0)?;
            let ends = [at(point, point.y - deviation), at(point, point.y + deviation)];
            Some(PathElement::new(ends, colour.stroke_width(SCALE)))
        });
        chart.draw_series(bars)?;
        Ok(())
    }

    /// Where an axis begins and ends, as drawn.
    fn range(&self, is_x: bool) -> Result<(f64, f64), String> {
        let axis = if is_x { &self.x } else { &self.y };
        let mut values: Vec<f64> = Vec::new();
        for series in &self.series {
            let is_from_zero = series.style == Style::Bars;
            values.extend((is_from_zero && !is_x).then_some(0.0));
            for point in &series.points {
                match is_x {
                    true if is_from_zero => values.extend([point.x - 1.0, point.x + 1.0]),
                    true => values.push(axis.at(point.x)),
                    false => {
                        let deviation = point.deviation.unwrap_or(0.0);
                        values.extend([point.y - deviation, point.y + deviation].map(|y| axis.at(y)));
                    }
                }
            }
        }
        if values.is_empty() {
            return Err("expected at least one point".to_owned());
        }
        values.extend(self.mark.iter().filter(|_| is_x).map(|(x, _)| axis.at(*x)));
        if values.iter().any(|value| !value.is_finite()) {
            return Err("expected finite numbers, above 0 on a logarithmic axis".to_owned());
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let room = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1.0) };
        let is_bars = self.series.iter().any(|series| series.style == Style::Bars);
        // Bars stand on 0, and a count of minibatches begins there.
        let from = if (is_bars && !is_x) || (is_x && !axis.is_log && low >= 0.0 && low < 0.1 * high) {
            low.min(0.0)
        } else {
            low - room
        };
        Ok((from, high + room))
    }
}

fn colour(series_idx: usize) -> RGBColor {
    COLOURS[series_idx % COLOURS.len()]
}

fn css(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// The drawing without what a file of its own needs, and with what a screen reader needs.
fn as_part_of_a_page(drawn: &str, alt: &str) -> String {
    let inner = drawn.split_once('>').map_or(drawn, |(_, inner)| inner);
    let alt = alt.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    format!("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{alt}\">{inner}", SIZE.0, SIZE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Plot {
        let points = points.iter().map(|(x, y)| PlotPoint { x: *x, y: *y, deviation: Some(0.1) });
        let series = Series { name: "a < b".to_owned(), style: Style::Dots, points: points.collect() };
        Plot {
            title: "t".to_owned(),
            caption: String::new(),
            x: Axis::log("C"),
            y: Axis::linear("error (%)"),
            series: vec![series],
            mark: Some((1e-3, "chosen".to_owned())),
        }
    }

    #[test]
    fn a_plot_is_text_and_lines_that_need_nothing_else() {
        let svg = line(&[(1e-4, 30.0), (1e-3, 20.0), (1e-2, 25.0)]).svg().unwrap();
        assert!(svg.starts_with("<svg viewBox") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("http"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        for label in ["1e-4", "0.001", "0.01", "20", "30", "error (%)"] {
            assert!(svg.lines().any(|line| line == label), "no label {label} in {svg}");
        }
        assert!(
            svg.contains("a &lt; b: 30 at 0.0001, 25 at 0.01, lowest 20, highest 30. chosen: 0.001."),
            "{svg}"
        );
    }

    #[test]
    fn points_stand_where_their_values_are() {
        let svg = line(&[(1e-4, 30.0), (1e-3, 20.0), (1e-2, 25.0)]).svg().unwrap();
        let number = |tag: &str, name: &str| -> f64 {
            tag.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
        };
        let circles: Vec<(f64, f64)> = svg
            .lines()
            .filter(|l| l.starts_with("<circle"))
            .map(|l| (number(l, "cx"), number(l, "cy")))
            .collect();
        // Equal steps of a logarithmic axis, and a y axis that grows upwards.
        assert!((circles[1].0 - circles[0].0 - (circles[2].0 - circles[1].0)).abs() <= 1.0, "{circles:?}");
        let share = (circles[1].1 - circles[2].1) / (circles[1].1 - circles[0].1);
        assert!((share - 0.5).abs() < 0.01, "{circles:?}");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert!(line(&[]).svg().is_err());
        assert!(line(&[(1e-3, f64::NAN)]).svg().is_err());
        assert!(line(&[(0.0, 1.0)]).svg().is_err());
        line(&[(1e-3, 1.0)]).svg().unwrap();
    }
}
