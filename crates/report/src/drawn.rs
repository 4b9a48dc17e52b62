//! Plots as a page takes them.

use serde::Serialize;

use crate::plot::Plot;

/// A plot inside a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drawn {
    /// Its heading.
    pub title: String,
    /// What is seen.
    pub caption: String,
    /// The plot, an SVG element.
    pub svg: String,
    /// The legend.
    pub keys: Vec<Key>,
}

/// A line of a plot's legend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// What is drawn so.
    pub name: String,
    /// As CSS writes it.
    pub colour: String,
}

/// Draws plots.
///
/// # Errors
/// If one has nothing to draw.
pub fn drawn(plots: &[Plot]) -> anyhow::Result<Vec<Drawn>> {
    plots
        .iter()
        .map(|plot| {
            let names = plot.series.iter().map(|series| series.name.clone());
            let keys = names.zip(plot.colours()).map(|(name, colour)| Key { name, colour }).collect();
            Ok(Drawn { title: plot.title.clone(), caption: plot.caption.clone(), svg: plot.svg()?, keys })
        })
        .collect()
}
