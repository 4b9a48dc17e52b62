//! `metrics.parquet`: the lines of `metrics.jsonl` as a table.

use std::fmt::Write as _;
use std::path::Path;

use dcgan_files::columns::{Column, ROW_GROUP, Writer};
use serde_json::Value;

use super::files;
use crate::Result;

/// The columns behind `step`, 64-bit floats; null where a line has no number.
const NUMBERS: [&str; 11] = [
    "epoch",
    "d_loss",
    "g_loss",
    "d_real",
    "d_fake",
    "d_accuracy",
    "d_gradient_norm",
    "g_gradient_norm",
    "score",
    "images_per_s",
    "elapsed_s",
];

/// Writes the table of the lines in a training's folder, in place of an earlier one.
pub(super) fn write(dir: &Path) -> Result<()> {
    let text = fs_err::read_to_string(dir.join(files::METRICS))?;
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut schema = "message metrics { REQUIRED INT64 step (INTEGER(64, false));".to_owned();
    for name in NUMBERS {
        let _ = write!(schema, " OPTIONAL DOUBLE {name};");
    }
    schema.push('}');
    let mut writer = Writer::create(&dir.join(files::METRICS_TABLE), &schema)?;
    for lines in lines.chunks(ROW_GROUP) {
        let steps = lines.iter().map(|line| line["step"].as_u64().unwrap_or_default());
        let numbers =
            NUMBERS.map(|name| Column::MaybeF64(lines.iter().map(|line| line[name].as_f64()).collect()));
        writer.write(&[vec![Column::U64(steps.collect())], numbers.to_vec()].concat())?;
    }
    Ok(writer.finish()?)
}
