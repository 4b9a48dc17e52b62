//! Which address gets which answer.

use std::path::Path;

use dcgan_files::regular;
use dcgan_report::curves::curves;
use dcgan_report::drawn::{Drawn, drawn};
use dcgan_report::plot::Series;
use serde::Serialize;

use crate::http::Answer;
use crate::run::Run;
use crate::stage::Served;

/// The page, with its script; the report's style goes into it.
const PAGE: &str = include_str!("page.html");
/// Largest file that is served.
const MAX_BYTES: u64 = 1 << 28;
const JSON: &str = "application/json";

/// The curves of a training.
#[derive(Debug, Serialize)]
struct Training {
    what: String,
    plots: Vec<PlotAnswer>,
}

/// A plot, drawn and as numbers.
#[derive(Debug, Serialize)]
struct PlotAnswer {
    #[serde(flatten)]
    drawn: Drawn,
    series: Vec<Series>,
}

pub(crate) fn answer(run: &Run, path: &str) -> Answer {
    match path {
        "/" => Answer::ok("text/html; charset=utf-8", page().into_bytes()),
        "/run.json" => json(&run.look().0),
        _ => {
            let found = run.look().1.remove(path).and_then(|served| match served {
                Served::Curves(id, folder) => training(&folder, &id).map(|training| json(&training)),
                Served::File { file, within } => self::file(&file, &within),
            });
            found.unwrap_or_else(|| Answer::refusal(404, "nothing is there"))
        }
    }
}

fn page() -> String {
    PAGE.replace("/* the report's style */", dcgan_report::STYLE)
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer::ok(JSON, body),
        Err(error) => Answer::refusal(500, &error.to_string()),
    }
}

fn training(folder: &Path, id: &str) -> Option<Training> {
    // None before the second line, of which a curve could be drawn.
    let Some(found) = curves(folder, id) else {
        return Some(Training { what: String::new(), plots: Vec::new() });
    };
    let pictures = drawn(&found.plots).ok()?.into_iter();
    let plots = pictures.zip(found.plots).map(|(drawn, plot)| PlotAnswer { drawn, series: plot.series });
    Some(Training { what: found.what, plots: plots.collect() })
}

/// A file that lies in the folder that it is listed in, and is not led out of it by a link.
fn file(file: &Path, within: &Path) -> Option<Answer> {
    let (file, within) = (file.canonicalize().ok()?, within.canonicalize().ok()?);
    if !file.starts_with(within) {
        return None;
    }
    let kind = match file.extension()?.to_str()? {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "html" => "text/html; charset=utf-8",
        _ => return None,
    };
    Some(Answer::ok(kind, regular::read(&file, MAX_BYTES).ok()?))
}
