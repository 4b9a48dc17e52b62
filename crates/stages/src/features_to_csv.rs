//! `features_to_csv`: features as a table that other programs read.

use std::io::Write as _;

use anyhow::bail;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, no_bearing};
use dcgan_engine::stage::{Artifact, Input, InputRef, Outcome, Stage};
use dcgan_eval::FeatureSet;
use dcgan_files::csv::field;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;

/// Rows between two looks at whether to stop.
const ROWS_AT_ONCE: usize = 64;
/// Characters of a number and its comma, about.
const NUMBER_BYTES: u64 = 11;

/// Which features.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeaturesToCsv {
    /// The features.
    features: Input,
    /// Only so many rows, the first ones.
    #[serde(default)]
    #[schemars(range(min = 1))]
    limit: Option<usize>,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "features_to_csv",
    version: 1,
    summary: "write features as a CSV table, for other programs",
    details: "Writes features.csv: a line of names (label and class, where there are such, f0, f1 …) and a line for each \
              picture. Each number has as many digits as bring back the same f32. Large: some 11 bytes a number, \
              0.3 MB for the 28,672 features of one picture.",
    example: &["features=runs/table-1/test-features", "limit=1000"],
    paper: &[no_bearing("*")],
    traits: Traits::NONE,
    config: ConfigType::of::<FeaturesToCsv>(),
};

impl FeaturesToCsv {
    fn n_rows(&self, features: &FeatureSet) -> usize {
        features.n_rows().min(self.limit.unwrap_or(usize::MAX))
    }
}

impl Stage for FeaturesToCsv {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "features", name: &self.features, needs: artifact::FEATURES }]
    }

    fn yields(&self) -> Vec<Artifact> {
        Vec::new()
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let features = FeatureSet::open_labelled_or_not(&ctx.input(&self.features))?;
        Ok(Some((self.n_rows(&features) * features.n_columns()) as u64 * NUMBER_BYTES))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let features = FeatureSet::open_labelled_or_not(&ctx.input(&self.features))?;
        features.check_finite()?;
        features.rounded().iter().for_each(|rounded| ctx.progress().warn(rounded));
        let n_rows = self.n_rows(&features);
        let names = features.class_names();
        let mut file = std::io::BufWriter::new(fs_err::File::create(ctx.out.join("features.csv"))?);
        let columns: Vec<String> = (0..features.n_columns()).map(|column| format!(",f{column}")).collect();
        let class = if names.is_some() { ",class" } else { "" };
        let is_labelled = !features.labels().is_empty();
        let header = format!("{}{class}{}", if is_labelled { "label" } else { "" }, columns.concat());
        writeln!(file, "{}", header.trim_start_matches(','))?;
        let mut task = ctx.task("writing", "rows");
        for row in 0..n_rows {
            if row.is_multiple_of(ROWS_AT_ONCE) && task.observe(row as u64, n_rows as u64).is_break() {
                bail!("interrupted");
            }
            let label = features.labels().get(row);
            let label = label.map(|label| write!(file, "{label}").map(|()| *label)).transpose()?;
            if let Some(name) = label.and_then(|label| names?.get(label)) {
                write!(file, ",\"{}\"", field(name).replace('"', "\"\""))?;
            }
            for (column, value) in features.row(row).iter().enumerate() {
                let comma = if column > 0 || is_labelled { "," } else { "" };
                write!(file, "{comma}{value}")?;
            }
            writeln!(file)?;
        }
        file.flush()?;
        let metrics = json!({"n_rows": n_rows, "n_columns": features.n_columns()});
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}
