//! What a manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::problem::named_in;
use super::sources::Location;
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::kind::{Registry, StageConfig};

/// A manifest that has been read and checked.
#[derive(Debug)]
pub struct Manifest {
    /// The pipeline's name, and that of its folder of runs.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Ids of the stages that are wanted; stages that none of them needs are left out. Empty: all.
    pub goals: Vec<String>,
    /// Where stages run whose work can be divided; none: here.
    pub cluster: Option<Cluster>,
    /// The file it was read from.
    pub path: PathBuf,
    /// The kinds that its stages are of.
    pub registry: &'static Registry,
    /// The stages, in the order written.
    pub stages: Vec<StageDef>,
    /// Where `name`, `goals` … stand.
    pub(crate) places: Places,
}

/// One stage of a manifest.
#[derive(Debug)]
pub struct StageDef {
    /// Its id, also the name of its folder; of a cell of the matrix `train@seed=1`.
    pub id: String,
    /// Its id as written, the same for all its cells.
    pub written: String,
    /// The values of the matrix that it is for, as text; empty outside the matrix.
    pub cell: Vec<(String, String)>,
    /// Its kind and configuration, with variables filled in.
    pub config: StageConfig,
    /// Where its keys stand.
    pub(crate) places: Places,
}

/// Where the keys of a table were written.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(super) whole: Location,
    pub(super) keys: BTreeMap<String, Location>,
}

impl Places {
    /// The key that a message is about: of the keys written in the table `table`, or the stage's if that is empty, the first that
    /// the message names; else the table.
    pub(crate) fn named(&self, table: &str, message: &str) -> String {
        named_in(message, table, self.keys.keys().map(String::as_str)).unwrap_or(table).to_owned()
    }

    /// The place of a dotted key, or of the nearest table around it.
    pub(crate) fn of(&self, key: &str) -> Location {
        let mut key = key;
        loop {
            if let Some(location) = self.keys.get(key) {
                return location.clone();
            }
            match key.rsplit_once(['.', '[']) {
                Some((outer, _)) => key = outer,
                None => return self.whole.clone(),
            }
        }
    }
}

impl Manifest {
    /// The stage with an id.
    pub fn stage(&self, id: &str) -> Option<&StageDef> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// What comes before what.
    pub fn graph(&self) -> Graph {
        let inputs: Vec<_> = self.stages.iter().map(|stage| stage.config.stage().inputs()).collect();
        let reads = inputs.iter().map(|inputs| inputs.iter().map(|input| input.name.as_str()).collect());
        let stages: Vec<(&str, Vec<&str>)> =
            self.stages.iter().map(|stage| stage.id.as_str()).zip(reads).collect();
        Graph::new(&stages)
    }

    /// The stages that the goals need; all of them where there are no goals. Those that wait for a person are none.
    pub fn wanted(&self) -> BTreeSet<usize> {
        let graph = self.graph();
        let is_waiting = |idx: &usize| self.stages[*idx].config.stage().waits_for().is_some();
        if self.goals.is_empty() {
            return (0..self.stages.len()).filter(|idx| !is_waiting(idx)).collect();
        }
        let named: BTreeSet<&String> = self.goals.iter().collect();
        let is_goal = |idx: &usize| named.contains(&self.stages[*idx].id);
        let goals: Vec<usize> =
            (0..self.stages.len()).filter(is_goal).filter(|idx| !is_waiting(idx)).collect();
        graph.with_ancestors(&goals)
    }
}
