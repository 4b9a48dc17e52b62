//! What stages say of how they compare with the paper, each phrase once.

use super::data::{Departure, Row, TableData};

/// What one stage says.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The stage's id.
    pub id: &'a str,
    /// Its id without the matrix's values.
    pub written: &'a str,
    /// The phrases.
    pub phrases: &'a [String],
}

/// What the stages say of themselves, each phrase once, with the rows that come after it.
pub fn departures(all: &[Said<'_>], tables: &[TableData]) -> Vec<Departure> {
    let is_shown = |row: &&Row| row.stage.is_some() && !row.is_averaged;
    let rows: Vec<&Row> = tables.iter().flat_map(|table| &table.rows).filter(is_shown).collect();
    let mut found: Vec<(&str, Vec<&Said<'_>>)> = Vec::new();
    for (said, text) in all.iter().flat_map(|said| said.phrases.iter().map(move |text| (said, text))) {
        match found.iter_mut().find(|(known, _)| known == text) {
            Some((_, of)) => of.push(said),
            None => found.push((text, vec![said])),
        }
    }
    let departure = |(text, of): (&str, Vec<&Said<'_>>)| Departure {
        text: text.to_owned(),
        stages: names(&of, all),
        rows: concerned(text, &rows),
    };
    found.into_iter().map(departure).collect()
}

/// The ids of stages, in order; where all copies that a matrix makes of a stage are among them, its id as written.
fn names(of: &[&Said<'_>], all: &[Said<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for said in of {
        let n_among = of.iter().filter(|other| other.written == said.written).count();
        let n_copies = all.iter().filter(|other| other.written == said.written).count();
        let name = if n_among == n_copies { said.written } else { said.id };
        if names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The rows that a departure affects.
fn concerned(text: &str, rows: &[&Row]) -> String {
    let is_concerned = |row: &&&Row| row.differences.iter().any(|difference| difference.text == text);
    let found: Vec<&str> = rows.iter().filter(is_concerned).map(|row| row.method.as_str()).collect();
    if found.len() == rows.len() && found.len() > 1 { "every row".to_owned() } else { found.join(", ") }
}
