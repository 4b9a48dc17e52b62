//! `report`: tables, sample grids and what was different from the paper.

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::stage::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use dcgan_report::own::Own;
use dcgan_report::{html, markdown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::gather::{Shown, gather};
use crate::{REPORT, artifact};

/// What to report on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportStage {
    /// Stages with results: svhn_protocol, cifar10_protocol, mnist_protocol, nearest_neighbours,
    /// supervised_search, fit_svm, dedup_eval, sample_metrics, memorisation.
    #[serde(default)]
    results: Vec<Input>,
    /// Stages with sample grids.
    #[serde(default)]
    samples: Vec<Input>,
    /// Stages with other figures, such as dedup_eval and memorisation.
    #[serde(default)]
    figures: Vec<Input>,
    /// Variables of the manifest's [matrix]: results that differ in nothing else get one more row, their mean ± standard
    /// deviation.
    #[serde(default = "mean_over")]
    #[schemars(extend("takes" = "list of variables"))]
    mean_over: Vec<String>,
    /// The heading.
    #[serde(default = "title")]
    title: String,
}

fn mean_over() -> Vec<String> {
    vec!["seed".to_owned()]
}

fn title() -> String {
    "DCGAN report".to_owned()
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: REPORT,
    version: 6,
    summary: "put results beside the paper's tables, as Markdown, JSON and one HTML page",
    details: "Writes report.md, report.json and report.html (one file, no network needed). Each result stands \
              beneath the rows of the paper's table; what was different from the paper the stages before it say \
              themselves. Plots show the training curves, the searches for C, the trials of a random search, the error by the number of labels and the \
              distances of codes, of all stages before; pictures are sample grids and figures. Where the first of `samples` come from a \
              network that was trained on pictures of one's own, the report begins with what one asks then: how many files, \
              unreadable, left out, trained on, how long; real pictures beside samples; samples over training; what to do next. The graph, times, memory, \
              seeds and machines of the stages end it.",
    example: &["results=[\"runs/svhn-released/table-2\"]", "samples=[\"runs/svhn-released/samples\"]"],
    paper: &PAPER,
    traits: Traits {
        reads_records: true,
        times: &["report.md", "report.json", "report.html"],
        ..Traits::NONE
    },
    config: ConfigType::of::<ReportStage>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for ReportStage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        [
            ("results", &self.results, artifact::RESULT),
            ("samples", &self.samples, artifact::SAMPLES),
            ("figures", &self.figures, artifact::FIGURES),
        ]
        .into_iter()
        .flat_map(|(key, names, needs)| names.iter().map(move |name| InputRef { key, name, needs }))
        .collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::REPORT]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let is_empty = self.inputs().is_empty();
        let message = "expected at least one stage in `results`, `samples` or `figures`".to_owned();
        is_empty.then(|| ConfigProblem { key: "results".to_owned(), message }).into_iter().collect()
    }

    fn leave_out(&mut self, ids: &[String]) {
        for list in [&mut self.results, &mut self.samples, &mut self.figures] {
            list.retain(|input| !ids.iter().any(|id| id == input.as_str()));
        }
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let folders = |inputs: &[Input]| inputs.iter().map(|input| ctx.input(input)).collect();
        let shown = Shown {
            results: folders(&self.results),
            samples: folders(&self.samples),
            figures: folders(&self.figures),
            mean_over: self.mean_over.clone(),
        };
        let data = gather(&self.title, &shown, ctx.out)?;
        ctx.write_json("report.json", &data)?;
        for picture in data.pictures.iter().chain(data.own.iter().flat_map(Own::pictures)) {
            let path = ctx.out.join(&picture.file);
            // What was made for the report is there.
            if picture.source != path {
                fs_err::copy(&picture.source, path)?;
            }
        }
        fs_err::write(ctx.out.join("report.md"), markdown(&data))?;
        fs_err::write(ctx.out.join("report.html"), html(&data)?)?;
        let metrics = json!({"n_tables": data.tables.len(), "n_stages": data.stages.len()});
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}
