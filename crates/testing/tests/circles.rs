//! No file of a crate uses one that uses it, be it over others.
//!
//! A path leads to the file that has the item, through whatever passes the name on: what a `mod.rs` re-exports is no use of it.
//! Tests do not count, and neither do the crate's root and its errors, which belong to all.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module's name, from the crate's root, which is empty.
type Name = Vec<String>;

/// The circles that are left, each with its crate; one that is cut is to be taken off.
const KNOWN: [(&str, &[&str]); 2] = [
    ("gan", &["train", "train::checkpoints", "train::run"]),
    ("nn", &["cuda", "cuda::cudnn", "cuda::upload"]),
];

#[derive(Default)]
struct Module {
    /// Paths of which something is used here.
    used: Vec<Name>,
    /// Paths that are only passed on.
    passed_on: Vec<Name>,
    /// The names that it has from elsewhere.
    imported: BTreeMap<String, Name>,
}

type Modules = BTreeMap<Name, Module>;

/// The text without comments and tests.
fn product(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).peekable();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", &line[..indent]);
            let is_end = |next: &str| {
                next == end
                    || next[..indent.min(next.len())] == line[..indent]
                        && next.ends_with(';')
                        && !next[indent..].starts_with(' ')
            };
            while lines.next().is_some_and(|next| !is_end(next)) {}
        } else {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// The paths of a tree of imports, each with the name that it gets.
fn expand(tree: &str, before: &[String], found: &mut Vec<(String, Name)>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path: Name =
            before.iter().cloned().chain(path.split("::").map(|s| s.trim().to_owned())).collect();
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name =
            if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.trim().to_owned() };
        found.push((name, path));
        return;
    };
    let segments = head.split("::").map(|s| s.trim().to_owned()).filter(|segment| !segment.is_empty());
    let before: Name = before.iter().cloned().chain(segments).collect();
    let (mut depth, mut part) = (0, String::new());
    for letter in rest.trim_end().trim_end_matches('}').chars().chain([',']) {
        match letter {
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    expand(&part, &before, found);
                }
                part.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        part.push(letter);
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The paths `a::b::c` in a text.
fn paths(text: &str) -> Vec<Name> {
    let words = text.split(|letter: char| !is_word(letter) && letter != ':');
    let paths = words.filter(|word| word.contains("::") && !word.starts_with(':'));
    paths.map(|word| word.split("::").map(|s| s.trim_matches(':').to_owned()).collect()).collect()
}

fn module(text: &str) -> Module {
    let mut module = Module::default();
    let mut statements = String::new();
    for item in product(text).split_inclusive(';') {
        let start = item.lines().position(|line| {
            let line = line.trim_start();
            line.starts_with("use ")
                || line.starts_with("pub use ")
                || line.starts_with("pub(crate) use ")
                || line.starts_with("pub(super) use ")
        });
        let Some(start) = start else {
            statements += item;
            continue;
        };
        let lines: Vec<&str> = item.lines().collect();
        statements += &lines[..start].join("\n");
        let import = lines[start..].join(" ");
        let (visibility, tree) = import.split_once("use ").unwrap();
        let mut found = vec![];
        expand(tree.trim_end_matches(';'), &[], &mut found);
        for (name, path) in found {
            let list = if visibility.trim().is_empty() { &mut module.used } else { &mut module.passed_on };
            list.push(path.clone());
            module.imported.insert(name, path);
        }
    }
    module.used.extend(paths(&statements));
    module
}

fn read(folder: &Path, name: &Name, modules: &mut Modules) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let own = |stem: String| name.iter().cloned().chain([stem]).collect::<Name>();
        if path.is_dir() {
            read(&path, &own(stem), modules);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && stem != "tests"
            && stem != "testing"
            && !stem.ends_with("_tests")
        {
            let is_root = ["lib", "mod", "main"].contains(&stem.as_str());
            let name = if is_root { name.clone() } else { own(stem) };
            modules.insert(name, module(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The module that has what `path` names as `from` sees it; none where it is another crate's.
fn resolve(modules: &Modules, from: &Name, path: &[String], depth: usize) -> Option<Name> {
    let mut rest = path;
    let mut at = from.clone();
    match rest.first()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => drop(at.pop()),
        first => {
            let child: Name = at.iter().cloned().chain([first.to_owned()]).collect();
            if !modules.contains_key(&child) {
                // A name that was imported, whose import counts by itself.
                return None;
            }
            at = child;
        }
    }
    rest = &rest[1..];
    while let Some((segment, after)) = rest.split_first() {
        if segment == "super" {
            at.pop();
            rest = after;
            continue;
        }
        let child: Name = at.iter().cloned().chain([segment.clone()]).collect();
        if modules.contains_key(&child) {
            at = child;
        } else {
            let import = modules.get(&at)?.imported.get(segment);
            return match import {
                Some(import) if depth < 20 => resolve(modules, &at, import, depth + 1),
                _ => Some(at),
            };
        }
        rest = after;
    }
    Some(at)
}

/// What each module uses of the others.
fn arrows(modules: &Modules) -> BTreeMap<&Name, BTreeSet<Name>> {
    let is_common = |name: &Name| name.is_empty() || name.last().is_some_and(|last| last == "error");
    let of = |(from, module): (_, &Module)| {
        let found = module.used.iter().filter_map(|path| resolve(modules, from, path, 0));
        (from, found.filter(|to| to != from && !is_common(to)).collect())
    };
    modules.iter().map(of).collect()
}

/// All that `from` needs, over others too.
fn reached(arrows: &BTreeMap<&Name, BTreeSet<Name>>, from: &Name) -> BTreeSet<Name> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(at) = open.pop() {
        let next = arrows.get(&at).into_iter().flatten();
        open.extend(next.filter(|to| seen.insert((*to).clone())).cloned());
    }
    seen
}

/// The arrows of a crate that have a way back.
fn in_circles(modules: &Modules) -> Vec<(String, String)> {
    let arrows = arrows(modules);
    let back = |from: &Name, to: &Name| reached(&arrows, to).contains(from);
    let all = arrows.iter().flat_map(|(from, to)| to.iter().map(|to| (*from, to)));
    let found = all.filter(|(from, to)| back(from, to));
    found.map(|(from, to)| (from.join("::"), to.join("::"))).collect()
}

/// The modules of a crate, by its `src`.
fn read_crate(src: &Path) -> Modules {
    let mut modules = Modules::new();
    read(src, &vec![], &mut modules);
    modules
}

#[test]
fn no_file_needs_one_that_needs_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut found, mut n_modules) = (vec![], 0);
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !folder.join("src").exists() {
            continue;
        }
        let modules = read_crate(&folder.join("src"));
        n_modules += modules.len();
        let is_known = |(from, to): &(String, String)| {
            KNOWN.iter().any(|(of, circle)| {
                *of == name && [from, to].iter().all(|end| circle.contains(&end.as_str()))
            })
        };
        let arrows = in_circles(&modules).into_iter().filter(|arrow| !is_known(arrow));
        found.extend(arrows.map(|(from, to)| format!("{name}: {from} uses {to}, which needs it")));
    }
    found.sort();
    assert!(n_modules > 300 && found.is_empty(), "{n_modules} modules\n{}", found.join("\n"));
}

/// A crate of four files: through a re-export, a tree of imports and a path in the text, three of them need each other.
#[test]
fn circles_are_found_through_re_exports_and_paths() {
    let mut modules = Modules::new();
    let mut add = |name: &str, text: &str| {
        let path: Name = name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        modules.insert(path, module(text));
    };
    add("", "pub use a::Item;\npub use c::{Other, deep::Third};\n");
    add("a", "//! [`b`](crate::b)\nuse crate::{\n    Other,\n    d::D,\n};\npub struct Item;\n");
    add("b", "use std::fmt;\nfn f() -> Item { crate::Item }\n");
    add(
        "c",
        "pub mod deep;\npub struct Other;\n#[cfg(test)]\nmod tests {\n    use crate::d::D;\n}\nfn g() { deep::go() }\n",
    );
    add("c::deep", "use super::super::b;\npub fn go() { b::f() }\n");
    add("d", "pub struct D;\n#[cfg(test)]\nuse crate::a::Item;\n");
    let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let expected = [arrow("a", "c"), arrow("b", "a"), arrow("c", "c::deep"), arrow("c::deep", "b")];
    assert_eq!(in_circles(&modules), expected);
}
