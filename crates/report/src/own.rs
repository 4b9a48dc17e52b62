//! What one asks first of a report on pictures of one's own.

use serde::{Deserialize, Serialize};

use super::picture::Picture;

/// The report's beginning, where a network was trained on pictures that are none of the paper's sets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Own {
    /// How many files, unreadable, left out, trained on, how long.
    pub facts: Vec<Fact>,
    /// Real pictures, then samples.
    pub beside: Vec<Picture>,
    /// Samples of one z after another while the network was trained.
    pub course: Option<Picture>,
    /// What to do next.
    pub next: Vec<Advice>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What is asked.
    pub question: String,
    /// The answer.
    pub answer: String,
}

/// Something to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What, and why.
    pub text: String,
    /// The command, where there is one.
    pub command: Option<String>,
}

impl Own {
    /// All its pictures.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.beside.iter().chain(&self.course)
    }
}
