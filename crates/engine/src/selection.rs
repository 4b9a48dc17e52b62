//! Which stages of a manifest a command line asks for.

use std::collections::BTreeSet;

use crate::manifest::{Location, Manifest, Problem, Problems, StageDef};
use crate::suggest::{nearest, quoted};

/// Which stages of a manifest are asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These and no others; what they read is taken as it is.
    pub only: Vec<String>,
    /// These and all that need them; what they read is taken as it is.
    pub from: Vec<String>,
    /// These and all that they need; with `from`, of those only.
    pub to: Vec<String>,
    /// To be run even if nothing has changed.
    pub force: Vec<String>,
}

/// Indices of the stages a selection asks for.
///
/// # Errors
/// [`Problems`] of usage if it names a stage that the manifest has not, asks for none, or forces one that it does not ask for.
pub fn selected(manifest: &Manifest, selection: &Selection) -> Result<BTreeSet<usize>, Problems> {
    let graph = manifest.graph();
    let forced = indices(manifest, "--force", &selection.force)?;
    let only = indices(manifest, "--only", &selection.only)?;
    let from = indices(manifest, "--from", &selection.from)?;
    let to = indices(manifest, "--to", &selection.to)?;
    let wanted = manifest.wanted();
    let below = graph.with_descendants(&from);
    let above = graph.with_ancestors(&to);
    let (options, asked): (&str, BTreeSet<usize>) = match (only.as_slice(), from.as_slice(), to.as_slice()) {
        ([], [], []) => return Ok(wanted.into_iter().chain(graph.with_ancestors(&forced)).collect()),
        ([], [], _) => ("--to", above),
        // What hangs below but is not wanted stays out, unless it was named.
        ([], _, []) => {
            ("--from", below.into_iter().filter(|idx| wanted.contains(idx) || from.contains(idx)).collect())
        }
        ([], _, _) => ("--from and --to", below.intersection(&above).copied().collect()),
        _ => ("--only", only.into_iter().collect()),
    };
    if asked.is_empty() {
        let (from, to) = (selection.from.join(", "), selection.to.join(", "));
        return Err(usage(
            &format!("--from {from} --to {to}"),
            format!("`{to}` does not need `{from}`"),
            None,
        ));
    }
    check_forced(manifest, selection, &asked, options)?;
    Ok(asked)
}

/// A stage that is forced and not asked for would not run.
fn check_forced(
    manifest: &Manifest,
    selection: &Selection,
    asked: &BTreeSet<usize>,
    options: &str,
) -> Result<(), Problems> {
    for name in &selection.force {
        let left_out = indices(manifest, "--force", std::slice::from_ref(name))?;
        let left_out = left_out.iter().filter(|idx| !asked.contains(idx));
        let left_out: Vec<&str> = left_out.map(|idx| manifest.stages[*idx].id.as_str()).collect();
        if let Some(first) = left_out.first() {
            let n_more = left_out.len() - 1;
            let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more of its cells") };
            let message = format!("`{first}`{more} is not among the stages asked for with {options}");
            let help = match selection.only.is_empty() {
                true => format!("leave out `--force {name}` or {options}"),
                false => format!("add `--only {name}`"),
            };
            return Err(usage(&format!("--force {name}"), message, Some(help)));
        }
    }
    Ok(())
}

/// Indices of the stages named after an option. A stage of the matrix named as written stands for all its cells, and with some
/// of its axes (`train@seed=2`) for those that have these values.
///
/// # Errors
/// [`Problems`] of usage for a name that is no stage's.
pub fn indices(manifest: &Manifest, option: &str, names: &[String]) -> Result<Vec<usize>, Problems> {
    let mut found = Vec::new();
    for name in names {
        let named = manifest.stages.iter().enumerate().filter(|(_, stage)| is_named(stage, name));
        let n_before = found.len();
        found.extend(named.map(|(idx, _)| idx));
        if found.len() == n_before {
            return Err(no_stage(manifest, option, name));
        }
    }
    Ok(found)
}

fn is_named(stage: &StageDef, name: &str) -> bool {
    if stage.id == name || stage.written == name {
        return true;
    }
    let Some((written, axes)) = name.split_once('@') else { return false };
    let has = |axis: &str| {
        let (name, value) = axis.split_once('=').unwrap_or((axis, ""));
        stage.cell.iter().any(|(axis, own)| axis == name.trim() && own == value.trim())
    };
    stage.written == written && axes.split(',').all(has)
}

fn no_stage(manifest: &Manifest, option: &str, name: &str) -> Problems {
    let place = format!("{option} {name}");
    let (written, _) = name.split_once('@').unwrap_or((name, ""));
    let cells: Vec<&StageDef> = manifest.stages.iter().filter(|stage| stage.written == written).collect();
    if !cells.is_empty() {
        let ids: Vec<&str> = cells.iter().map(|stage| stage.id.as_str()).collect();
        let axes: Vec<String> =
            axes(&cells).iter().map(|(axis, values)| format!("{axis} = {values}")).collect();
        let axes = if axes.is_empty() { "it is there once".to_owned() } else { axes.join("; ") };
        let message = format!("stage `{written}` has no such cell: {axes}");
        return usage(&place, message, nearest(name, ids));
    }
    let mut known: Vec<&str> = manifest.stages.iter().map(|stage| stage.written.as_str()).collect();
    known.dedup();
    let message = format!("the manifest has no stage `{written}`; it has {}", quoted(known.iter().copied()));
    usage(&place, message, nearest(written, known))
}

/// The axes of a stage's cells, each with its values.
fn axes(cells: &[&StageDef]) -> Vec<(String, String)> {
    let names = cells.first().map(|stage| stage.cell.as_slice()).unwrap_or_default();
    let values = |name: &String| {
        let mut seen = BTreeSet::new();
        let all = cells.iter().flat_map(|stage| &stage.cell).filter(|(axis, _)| axis == name);
        let values: Vec<&str> =
            all.map(|(_, value)| value.as_str()).filter(|value| seen.insert(*value)).collect();
        values.join(", ")
    };
    names.iter().map(|(name, _)| (name.clone(), values(name))).collect()
}

fn usage(place: &str, message: String, help: Option<String>) -> Problems {
    let location = Location { source: place.to_owned(), line: None };
    Problems { list: vec![Problem::at(location, message, help)], is_usage: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::TOYS;

    const MANIFEST: &str = r#"
name = "m"
goals = ["b"]
[matrix]
seed = [1, 2]
size = [20, 30]
[[stage]]
id = "a"
[stage.count]
n = "${size}"
seed = "${seed}"
[[stage]]
id = "b"
[stage.double]
of = "a"
[[stage]]
id = "c"
[stage.double]
of = "b"
[[stage]]
id = "d"
[stage.count]
"#;

    fn of(arguments: &str) -> Result<Vec<String>, String> {
        let manifest = Manifest::parse("m.toml".as_ref(), MANIFEST.to_owned(), &[], &TOYS).unwrap();
        let mut selection = Selection::default();
        let words: Vec<&str> = arguments.split_whitespace().collect();
        for pair in words.chunks(2) {
            let list = match pair[0] {
                "--only" => &mut selection.only,
                "--from" => &mut selection.from,
                "--to" => &mut selection.to,
                _ => &mut selection.force,
            };
            list.push(pair[1].to_owned());
        }
        let selected = selected(&manifest, &selection).map_err(|problems| {
            assert!(problems.is_usage);
            problems.to_string()
        })?;
        Ok(selected.iter().map(|idx| manifest.stages[*idx].id.clone()).collect())
    }

    fn is(arguments: &str, expected: &[&str]) {
        let found = of(arguments).unwrap();
        assert_eq!(found.len(), expected.len(), "{arguments}: {found:?}");
        for (id, expected) in found.iter().zip(expected) {
            assert_eq!(id, expected, "{arguments}");
        }
    }

    #[test]
    fn a_part_of_a_matrix_is_named_by_some_of_its_axes() {
        is("--only b@seed=2", &["b@seed=2,size=20", "b@seed=2,size=30"]);
        is("--only b@size=30", &["b@seed=1,size=30", "b@seed=2,size=30"]);
        is("--only b@size=30,seed=1", &["b@seed=1,size=30"]);
        assert_eq!(of("--only b").unwrap().len(), 4);
        for wrong in ["b@seed=3", "b@sed=1", "b@", "b@seed", "d@seed=1"] {
            assert!(of(&format!("--only {wrong}")).is_err(), "{wrong}");
        }
        let message = of("--only b@seed=3,size=20").unwrap_err();
        assert!(
            message.starts_with(
                "--only b@seed=3,size=20: stage `b` has no such cell: seed = 1, 2; size = 20, 30"
            )
        );
        assert!(message.contains("did you mean `b@seed="), "{message}");
    }

    #[test]
    fn to_takes_what_a_stage_needs_and_from_with_it_what_lies_between() {
        is("--to a@seed=1,size=20", &["a@seed=1,size=20"]);
        is("--to c@seed=1,size=20", &["a@seed=1,size=20", "b@seed=1,size=20", "c@seed=1,size=20"]);
        is("--to d --to a@seed=1,size=20", &["a@seed=1,size=20", "d"]);
        is("--from b@seed=1,size=20 --to c", &["b@seed=1,size=20", "c@seed=1,size=20"]);
        assert_eq!(of("--to b --force a").unwrap().len(), 8);
        let message = of("--from c --to a").unwrap_err();
        assert_eq!(message, "--from c --to a: `a` does not need `c`");
    }

    #[test]
    fn what_is_forced_and_not_asked_for_is_refused() {
        let message = of("--only a --force d").unwrap_err();
        assert_eq!(
            message,
            "--force d: `d` is not among the stages asked for with --only\n    help: add `--only d`"
        );
        assert!(of("--only a --only d --force d").is_ok());
        assert!(of("--to b --force d").unwrap_err().contains("asked for with --to"));
        assert!(of("--from c --force a").unwrap_err().contains("asked for with --from"));
        let message = of("--only a@seed=1 --force a").unwrap_err();
        assert!(message.contains("`a@seed=2,size=20` and 1 more of its cells is not among"), "{message}");
        // Without a choice, what is forced is asked for.
        assert!(of("--force d").unwrap().contains(&"d".to_owned()));
    }
}
