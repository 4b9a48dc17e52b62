//! `report.html`: one file that needs no network.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dcgan_files::words::counted;
use dcgan_files::words::duration;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::charts;
use super::data::ReportData;
use super::drawn::{Drawn, drawn};
use super::markdown::{cores, memory, rate};
use super::picture::Picture;
use super::plot::Plot;
use crate::diagram::{self, Node};

/// The page's template.
const TEMPLATE: &str = include_str!("report.html");
/// The style sheet of pages with tables and plots, light and dark.
pub const STYLE: &str = include_str!("style.css");

/// A picture inside the page.
#[derive(Serialize)]
struct Inline {
    stage: String,
    title: String,
    caption: String,
    alt: String,
    uri: String,
    /// True where pixels are to be seen as they are.
    is_png: bool,
}

/// The plots of one stage's training.
#[derive(Serialize)]
struct Training {
    stage: String,
    what: String,
    plots: Vec<Drawn>,
}

/// The report as one HTML page; pictures and plots are inside it.
///
/// # Errors
/// If a picture cannot be read, or a plot not be drawn.
pub fn html(report: &ReportData) -> anyhow::Result<String> {
    let pictures = report.pictures.iter().map(inline).collect::<anyhow::Result<Vec<_>>>()?;
    let own = report.own.iter();
    let beside = own.clone().flat_map(|own| &own.beside).map(inline).collect::<anyhow::Result<Vec<_>>>()?;
    let course = own.flat_map(|own| &own.course).map(inline).next().transpose()?;
    let trainings = report
        .curves
        .iter()
        .map(|curves| {
            let plots = drawn(&curves.plots)?;
            Ok(Training { stage: curves.stage.clone(), what: curves.what.clone(), plots })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let searches: Vec<Plot> = report.searches.iter().map(charts::search).collect();
    let total = duration(report.stages.iter().map(|stage| stage.seconds).sum());
    let mut jinja = Environment::new();
    jinja.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    jinja.add_filter("duration", duration);
    jinja.add_filter("memory", memory);
    jinja.add_filter("cores", |used: Option<Vec<f64>>| {
        cores(used.and_then(|used| <[f64; 2]>::try_from(used).ok()))
    });
    jinja.add_filter("rate", rate);
    // "2026-11-23T14:34:18Z" to the minute.
    jinja.add_filter("minute", |time: &str| time.replace('T', " ").chars().take(16).collect::<String>());
    jinja.add_filter("percent", |share: f64| format!("{:.2}", 100.0 * share));
    // The name's ending turns on the escaping of HTML.
    jinja.add_template("report.html", TEMPLATE)?;
    let template = jinja.get_template("report.html")?;
    let rendered = template.render(context! {
        style => STYLE,
        report => Value::from(Serde(report)),
        beside => Value::from(Serde(beside)),
        course => Value::from(Serde(course)),
        pictures => Value::from(Serde(pictures)),
        trainings => Value::from(Serde(trainings)),
        searches => Value::from(Serde(drawn(&searches)?)),
        labels => Value::from(Serde(drawn(&report.labels)?)),
        trials => Value::from(Serde(drawn(&report.trials)?)),
        plots => Value::from(Serde(drawn(&report.plots)?)),
        distances => Value::from(Serde(drawn(&report.distances)?)),
        graph => graph(report),
        environments => &report.environments,
        total,
    });
    rendered.context("cannot render report.html")
}

fn inline(picture: &Picture) -> anyhow::Result<Inline> {
    let bytes = fs_err::read(&picture.source)?;
    let is_png = bytes.starts_with(b"\x89PNG");
    let kind = if is_png { "png" } else { "jpeg" };
    Ok(Inline {
        stage: picture.stage.clone(),
        title: picture.title.clone(),
        caption: picture.caption.clone(),
        alt: picture.alt.clone(),
        uri: format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)),
        is_png,
    })
}

/// The stages behind the report as a graph.
fn graph(report: &ReportData) -> String {
    let idx = |id: &String| report.stages.iter().position(|stage| stage.id == *id);
    let node = |stage: &super::data::StageData| Node {
        id: stage.id.clone(),
        kind: stage.kind.clone(),
        parents: stage.reads.iter().filter_map(idx).collect(),
        is_dashed: false,
    };
    let nodes: Vec<Node> = report.stages.iter().map(node).collect();
    let names: Vec<&str> = report.stages.iter().map(|stage| stage.written.as_str()).collect();
    let alt = format!("Graph of {}; the table below says what each reads", counted(nodes.len(), "stage"));
    diagram::svg(&diagram::folded(&nodes, &names), &format!("role=\"img\" aria-label=\"{alt}\""), "")
}
