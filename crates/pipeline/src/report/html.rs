//! `report.html`: one file that needs no network.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::data::ReportData;
use crate::clock::duration;

/// The page's template, with its style.
const TEMPLATE: &str = include_str!("report.html");

/// A picture inside the page.
#[derive(Serialize)]
struct Inline {
    title: String,
    caption: String,
    alt: String,
    uri: String,
}

/// The report as one HTML page; pictures are inside it.
///
/// # Errors
/// If a picture cannot be read.
pub fn html(report: &ReportData) -> anyhow::Result<String> {
    let mut pictures = Vec::new();
    for picture in &report.pictures {
        let png = STANDARD.encode(fs_err::read(&picture.source)?);
        pictures.push(Inline {
            title: picture.title.clone(),
            caption: picture.caption.clone(),
            alt: picture.alt.clone(),
            uri: format!("data:image/png;base64,{png}"),
        });
    }
    let environments: Vec<String> =
        report.environments.iter().map(|environment| environment.line()).collect();
    let total = duration(report.stages.iter().map(|stage| stage.seconds).sum());
    let mut jinja = Environment::new();
    jinja.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    jinja.add_filter("duration", duration);
    jinja.add_filter("percent", |share: f64| format!("{:.2}", 100.0 * share));
    // The name's ending turns on the escaping of HTML.
    jinja.add_template("report.html", TEMPLATE)?;
    let template = jinja.get_template("report.html")?;
    let (report, pictures) = (Value::from(Serde(report)), Value::from(Serde(pictures)));
    template.render(context! { report, pictures, environments, total }).context("cannot render report.html")
}
