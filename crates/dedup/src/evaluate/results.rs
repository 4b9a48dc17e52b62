//! What was measured: a row for each method.

use serde::Serialize;

use super::changes::Change;
use super::interval::Share;

/// A method's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodResult {
    /// In words.
    pub method: String,
    /// For each change, the share of copies whose original is found.
    pub recall: Vec<Share>,
    /// The share of false pairs among all pairs found, over all changes but the flip.
    pub false_positives: Share,
    /// False pairs in a million pairs of a copy and a picture it does not come from.
    pub false_per_million: f64,
}

/// What [`evaluate`](super::evaluate()) measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Pictures that were changed.
    pub n_changed: u64,
    /// Pictures they were looked for among.
    pub n_background: u64,
    /// How many of those the set holds: fewer where it is another part of the data than was hashed.
    pub n_met: u64,
    /// The columns.
    pub changes: Vec<Change>,
    /// The rows.
    pub methods: Vec<MethodResult>,
}
