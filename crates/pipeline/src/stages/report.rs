//! `report`: tables, sample grids and what was different from the paper.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::info::{KindInfo, optional};
use super::paper::{Comparison, Stated, no_bearing};
use super::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use crate::context::Context;
use crate::report::{Shown, gather, html, markdown};

/// What to report on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportStage {
    /// Stages with results.
    #[serde(default)]
    pub results: Vec<Input>,
    /// Stages with sample grids.
    #[serde(default)]
    pub samples: Vec<Input>,
    /// Stages with other figures.
    #[serde(default)]
    pub figures: Vec<Input>,
    /// Axes of the matrix over which rows of means are added.
    #[serde(default = "mean_over")]
    pub mean_over: Vec<String>,
    /// The heading.
    #[serde(default = "title")]
    pub title: String,
}

fn mean_over() -> Vec<String> {
    vec!["seed".to_owned()]
}

fn title() -> String {
    "DCGAN report".to_owned()
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "report",
    version: 4,
    summary: "put results beside the paper's tables, as Markdown, JSON and one HTML page",
    details: "Writes report.md, report.json and report.html (one file, no network needed). Each result stands \
              beneath the rows of the paper's table; what was different from the paper the stages before it say \
              themselves. Plots show the training curves, the searches for C, the error by the number of labels and the \
              distances of codes, of all stages before; pictures are sample grids and figures. The graph, times, memory, \
              seeds and machines of the stages end it.",
    keys: &[
        optional(
            "results",
            "list of stages",
            "[]",
            "Stages with results: svhn_protocol, cifar10_protocol, fit_svm.",
        ),
        optional("samples", "list of stages", "[]", "Stages with sample grids."),
        optional("figures", "list of stages", "[]", "Stages with other figures, such as dedup_eval."),
        optional(
            "mean_over",
            "list of variables",
            "[\"seed\"]",
            "Variables of the manifest's [matrix]: results that differ in nothing else get one more row, their mean ± \
             standard deviation.",
        ),
        optional("title", "text", "\"DCGAN report\"", "The heading."),
    ],
    example: &["results=[\"runs/svhn-released/table-2\"]", "samples=[\"runs/svhn-released/samples\"]"],
    is_resumable: false,
    reads_records: true,
    uses_device: false,
    paper: &PAPER,
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl ReportStage {
    /// Shows some stages no more.
    pub(super) fn leave_out(&mut self, ids: &[String]) {
        for list in [&mut self.results, &mut self.samples, &mut self.figures] {
            list.retain(|input| !ids.iter().any(|id| id == input.as_str()));
        }
    }
}

impl Stage for ReportStage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        [
            ("results", &self.results, Artifact::Result),
            ("samples", &self.samples, Artifact::Samples),
            ("figures", &self.figures, Artifact::Figures),
        ]
        .into_iter()
        .flat_map(|(key, names, needs)| names.iter().map(move |name| InputRef { key, name, needs }))
        .collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Report]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let is_empty = self.inputs().is_empty();
        let message = "expected at least one stage in `results`, `samples` or `figures`".to_owned();
        is_empty.then(|| ConfigProblem { key: "results".to_owned(), message }).into_iter().collect()
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let folders = |inputs: &[Input]| inputs.iter().map(|input| ctx.input(input)).collect();
        let shown = Shown {
            results: folders(&self.results),
            samples: folders(&self.samples),
            figures: folders(&self.figures),
            mean_over: self.mean_over.clone(),
        };
        let data = gather(&self.title, &shown)?;
        ctx.write_json("report.json", &data)?;
        for picture in &data.pictures {
            fs_err::copy(&picture.source, ctx.out.join(&picture.file))?;
        }
        fs_err::write(ctx.out.join("report.md"), markdown(&data))?;
        fs_err::write(ctx.out.join("report.html"), html(&data)?)?;
        let metrics = json!({"n_tables": data.tables.len(), "n_stages": data.stages.len()});
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}
