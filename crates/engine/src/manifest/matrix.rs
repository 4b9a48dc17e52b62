//! `[matrix]`: variables with several values, and the stages once for each.
//!
//! ```toml
//! [matrix]
//! seed = [1, 2, 3]
//! ```
//!
//! A stage that uses `${seed}`, or reads one stage that does, becomes three: `train@seed=1`, `train@seed=2`,
//! `train@seed=3`, each reading the cell of its own seed. A stage that reads a list of stages, as `report` does, stays
//! one and reads all cells. With several axes a stage has only those that it or what it reads depends on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, is_separator};

use toml::Spanned;
use toml::de::{DeArray, DeValue};

use super::problem::Problem;
use super::sources::Sources;
use super::tree::{self, Node, Table};
use super::vars::{self, Vars, display, may_be_variable};
use crate::keys::Names;
use crate::kind::{Kind, Registry};
use crate::record;

/// More stages than anyone means to have.
const MAX_STAGES: usize = 10_000;

/// A variable with several values.
#[derive(Debug, Clone)]
pub(super) struct Axis<'i> {
    pub(super) name: String,
    pub(super) values: Vec<Node<'i>>,
    /// Where its name stands.
    pub(super) at: std::ops::Range<usize>,
}

/// The variables with several values, in the order written.
pub(super) type Matrix<'i> = Vec<Axis<'i>>;

/// One value of each of some axes: `cell[axis_idx]` is an index of its values.
pub(super) type Cell = BTreeMap<usize, usize>;

/// Takes the table `[matrix]` out of a manifest.
pub(super) fn take<'i>(
    top: &mut Table<'i>,
    vars: &Vars<'i>,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Matrix<'i> {
    let Some(node) = top.remove("matrix") else { return Matrix::new() };
    let location = sources.locate(&node.span());
    let DeValue::Table(table) = node.into_inner() else {
        problems
            .push(Problem::new(location, "`matrix` must be a table of lists, such as `seed = [1, 2, 3]`"));
        return Matrix::new();
    };
    let mut matrix = Matrix::new();
    for (key, value) in table {
        let mut wrong = |span, message: String| {
            problems.push(
                Problem::new(sources.locate(&span), message).at_key(format!("matrix.{}", key.get_ref())),
            );
        };
        if vars.contains_key(&**key.get_ref()) {
            wrong(key.span(), "is also in [vars]; a variable has one value or several".to_owned());
            continue;
        }
        match axis(key.get_ref(), key.span(), &value) {
            Ok(axis) => matrix.push(axis),
            Err(message) => wrong(value.span(), message),
        }
    }
    matrix.sort_by_key(|axis| axis.at.start);
    matrix
}

/// An axis of a list of values that differ and can stand in a folder's name.
pub(super) fn axis<'i>(name: &str, at: std::ops::Range<usize>, value: &Node<'i>) -> Result<Axis<'i>, String> {
    let DeValue::Array(items) = value.get_ref() else {
        return Err(format!(
            "expected a list of values, such as [1, 2, 3], found {}",
            value.get_ref().type_str()
        ));
    };
    if items.is_empty() {
        return Err("expected at least one value, found an empty list".to_owned());
    }
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
            && text.len() <= 64
    };
    let mut seen = BTreeSet::new();
    for item in items.iter() {
        let text = display(item.get_ref());
        if !may_be_variable(item.get_ref()) || !is_plain(&text) {
            let found =
                if text.is_empty() { item.get_ref().type_str().to_owned() } else { format!("`{text}`") };
            return Err(format!(
                "expected numbers, true or false, or words of letters, digits, `-`, `_`, `.` and `+`, \
                 for they stand in the names of folders; found {found}"
            ));
        }
        if !seen.insert(text.clone()) {
            return Err(format!("the value {text} is there twice"));
        }
    }
    Ok(Axis { name: name.to_owned(), values: items.iter().cloned().collect(), at })
}

/// A stage as written, as far as the expansion looks at it.
#[derive(Debug)]
pub(super) struct Written<'a, 'i> {
    pub(super) id: &'a str,
    pub(super) table: &'a Table<'i>,
}

/// Which axes each stage has.
#[derive(Debug)]
pub(super) struct Expansion<'i> {
    matrix: Matrix<'i>,
    /// Axes by the stage's id as written.
    axes: BTreeMap<String, BTreeSet<usize>>,
    registry: &'static Registry,
}

impl<'i> Expansion<'i> {
    /// Finds out which stages depend on which axes.
    pub(super) fn new(
        stages: &[Written<'_, 'i>],
        matrix: Matrix<'i>,
        vars: &Vars<'i>,
        registry: &'static Registry,
        sources: &Sources,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let direct = |stage: &Written<'_, 'i>| {
            let used = |(idx, axis): (usize, &Axis<'i>)| tree::uses(stage.table, &axis.name).then_some(idx);
            matrix.iter().enumerate().filter_map(used).collect()
        };
        let axes: BTreeMap<String, BTreeSet<usize>> =
            stages.iter().map(|stage| (stage.id.to_owned(), direct(stage))).collect();
        for (idx, axis) in matrix.iter().enumerate() {
            if axes.values().all(|axes| !axes.contains(&idx)) {
                let message = format!("no stage uses `${{{}}}`", axis.name);
                problems.push(
                    Problem::new(sources.locate(&axis.at), message).at_key(format!("matrix.{}", axis.name)),
                );
            }
        }
        let mut this = Self { matrix, axes, registry };
        if this.matrix.is_empty() {
            return this;
        }
        let reads: Vec<(String, Vec<String>)> =
            stages.iter().map(|stage| (stage.id.to_owned(), this.reads_one(stage.table, vars))).collect();
        this.inherit(&reads);
        let n_stages: usize =
            stages.iter().map(|stage| this.n_cells(stage.id)).fold(0, usize::saturating_add);
        if n_stages > MAX_STAGES {
            let message = format!("the matrix makes {n_stages} stages; expected at most {MAX_STAGES}");
            let at = this.matrix.first().map(|axis| axis.at.clone()).unwrap_or_default();
            problems.push(Problem::new(sources.locate(&at), message).at_key("matrix"));
            this.axes.values_mut().for_each(BTreeSet::clear);
        }
        this
    }

    /// Gives each stage the axes of what it reads; `reads` are the stages by id with those that they read.
    fn inherit(&mut self, reads: &[(String, Vec<String>)]) {
        let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, read) in reads {
            read.iter().for_each(|read| readers.entry(read).or_default().push(id));
        }
        // A stage is looked at again whenever it has got an axis: at most once for each.
        let mut open: Vec<&str> = reads.iter().map(|(id, _)| id.as_str()).collect();
        while let Some(read) = open.pop() {
            let Some(axes) = self.axes.get(read).cloned() else { continue };
            for id in readers.get(read).into_iter().flatten() {
                let own = self.axes.entry((*id).to_owned()).or_default();
                let n_before = own.len();
                own.extend(&axes);
                if own.len() > n_before {
                    open.push(id);
                }
            }
        }
    }

    fn n_cells(&self, id: &str) -> usize {
        let lengths = self.axes.get(id).into_iter().flatten().map(|axis| self.matrix[*axis].values.len());
        lengths.fold(1, usize::saturating_mul)
    }

    /// The stages that a stage's keys of one input may name, whatever the values of the axes in them.
    fn reads_one(&self, table: &Table<'i>, vars: &Vars<'i>) -> Vec<String> {
        let Some((kind, config)) = kind_table(table, self.registry) else { return Vec::new() };
        let texts = kind.keys().iter().filter(|key| key.names() == Names::One);
        let texts = texts.filter_map(|key| tree::get_path(config, &key.key)?.get_ref().as_str());
        let used = |text: &str| {
            let is_in = |(idx, axis): (usize, &Axis<'i>)| {
                text.contains(&format!("${{{}}}", axis.name)).then_some(idx)
            };
            self.matrix.iter().enumerate().filter_map(is_in).collect::<BTreeSet<usize>>()
        };
        let named = |text: &str| {
            let filled = |cell: Cell| vars::fill(text, &self.with_cell(vars, &cell));
            self.cells_of(&used(text)).into_iter().filter_map(filled).collect::<Vec<String>>()
        };
        texts.flat_map(named).collect()
    }

    /// The cells of a stage; for one without an axis the one empty cell.
    pub(super) fn cells(&self, id: &str) -> Vec<Cell> {
        self.axes.get(id).map_or_else(|| vec![Cell::new()], |axes| self.cells_of(axes))
    }

    fn cells_of(&self, axes: &BTreeSet<usize>) -> Vec<Cell> {
        self.cells_within(axes, &Cell::new())
    }

    /// The cells over some axes that agree with `cell` on the axes that it has.
    fn cells_within(&self, axes: &BTreeSet<usize>, cell: &Cell) -> Vec<Cell> {
        let mut cells = vec![Cell::new()];
        for axis in axes {
            let with = |cell: &Cell, value| -> Cell {
                cell.iter().map(|(axis, value)| (*axis, *value)).chain([(*axis, value)]).collect()
            };
            let values = match cell.get(axis) {
                Some(value) => *value..*value + 1,
                None => 0..self.matrix[*axis].values.len(),
            };
            cells =
                cells.iter().flat_map(|cell| values.clone().map(move |value| with(cell, value))).collect();
        }
        cells
    }

    /// The id of a stage's cell: `train@seed=1,c=0.1`.
    pub(super) fn id(&self, written: &str, cell: &Cell) -> String {
        let values: Vec<String> =
            self.values(cell).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        if values.is_empty() { written.to_owned() } else { format!("{written}@{}", values.join(",")) }
    }

    /// The names and values of a cell, in the order of the axes.
    pub(super) fn values(&self, cell: &Cell) -> Vec<(String, String)> {
        let value = |axis: &Axis<'i>, value: usize| {
            (
                axis.name.clone(),
                axis.values.get(value).map(|node| display(node.get_ref())).unwrap_or_default(),
            )
        };
        cell.iter().map(|(axis, idx)| value(&self.matrix[*axis], *idx)).collect()
    }

    /// All variables as they are in a cell.
    pub(super) fn with_cell(&self, vars: &Vars<'i>, cell: &Cell) -> Vars<'i> {
        let mut vars = vars.clone();
        for (axis, value) in cell {
            let axis = &self.matrix[*axis];
            if let Some(node) = axis.values.get(*value) {
                vars.insert(axis.name.clone(), node.clone());
            }
        }
        vars
    }

    /// The ids of a stage's cells that agree with a cell of another stage on the axes that both have.
    fn matching(&self, written: &str, cell: &Cell) -> Vec<String> {
        let axes = self.axes.get(written);
        let cells = axes.map_or_else(|| vec![Cell::new()], |axes| self.cells_within(axes, cell));
        cells.iter().map(|other| self.id(written, other)).collect()
    }

    /// What an input as written names, seen from a cell.
    fn inputs_named(&self, text: &str, cell: &Cell) -> Vec<String> {
        let is_stage = self.axes.contains_key(text) || self.is_cell(text);
        let may_be_folder = !is_stage && !text.is_empty() && !text.contains(is_separator);
        match may_be_folder && Path::new(text).join(record::FILE).is_file() {
            true => vec![format!("./{text}")],
            false => self.matching(text, cell),
        }
    }

    /// True for the id of a stage's cell.
    fn is_cell(&self, id: &str) -> bool {
        id.split_once('@').is_some_and(|(written, _)| self.axes.contains_key(written))
    }

    /// Lets the inputs of a stage's cell name cells, and a name that is no stage's but a finished stage's folder be its path;
    /// variables have been filled in.
    pub(super) fn rewrite_inputs(&self, table: &mut Table<'i>, cell: &Cell) {
        let Some((kind, _)) = kind_table(table, self.registry) else { return };
        let Some(config) = table.get_mut(kind.name).and_then(tree::as_table_mut) else { return };
        for key in kind.keys() {
            let Some(node) = tree::get_path_mut(config, &key.key) else { continue };
            let span = node.span();
            let named = |text: String| Spanned::new(span.clone(), DeValue::String(Cow::Owned(text)));
            match node.get_mut() {
                DeValue::String(text) if key.names() == Names::One => {
                    if let [id] = self.inputs_named(text, cell).as_slice() {
                        *text = Cow::Owned(id.clone());
                    }
                }
                DeValue::Array(items) if key.names() == Names::Several => {
                    let mut all = DeArray::new();
                    for item in items.iter() {
                        match item.get_ref().as_str() {
                            Some(text) => {
                                self.inputs_named(text, cell).into_iter().for_each(|id| all.push(named(id)))
                            }
                            None => all.push(item.clone()),
                        }
                    }
                    *items = all;
                }
                _ => {}
            }
        }
    }

    /// The cells of every stage that is named as written; other names are left as they are.
    pub(super) fn all_cells(&self, names: Vec<String>) -> Vec<String> {
        names.into_iter().flat_map(|name| self.matching(&name, &Cell::new())).collect()
    }
}

/// The kind and the table named after it.
fn kind_table<'a, 'i>(table: &'a Table<'i>, registry: &Registry) -> Option<(&'static Kind, &'a Table<'i>)> {
    let (key, value) = table.iter().next()?;
    Some((registry.kind(key.get_ref())?, value.get_ref().as_table()?))
}
