//! The graph of a manifest as Mermaid and as SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dcgan_engine::manifest::{Manifest, StageDef};
use dcgan_report::diagram::{self, Node};

/// A Mermaid flowchart: a box for each stage as written, an arrow from each stage to those that read it. A box says over
/// what the matrix repeats it. Stages that no goal needs are dashed. Finished stages of elsewhere, read by path, are rounded.
pub fn mermaid(manifest: &Manifest) -> String {
    let wanted = manifest.wanted();
    let boxes = boxes(manifest);
    let mut text = String::from("flowchart LR\n");
    for (idx, (written, cells)) in boxes.iter().enumerate() {
        let cells: Vec<&StageDef> = cells.iter().map(|idx| &manifest.stages[*idx]).collect();
        let kind = cells.first().map_or("", |stage| stage.config.kind().name);
        // Numbered nodes: an id such as `end` is a keyword of Mermaid's.
        let _ = writeln!(text, "    s{idx}[\"{written}<br/><small>{kind}{}</small>\"]", repetition(&cells));
    }
    let outside = outside(manifest);
    for (idx, path) in outside.iter().enumerate() {
        let path = path.replace('"', "&quot;");
        let _ = writeln!(text, "    f{idx}([\"{path}<br/><small>{FINISHED}</small>\"])");
    }
    for ((from, to), keys) in arrows(manifest, &boxes, &outside) {
        let _ = writeln!(text, "    {from} -->|{}| s{to}", keys.join(", "));
    }
    for (idx, (_, cells)) in boxes.iter().enumerate() {
        if !cells.iter().any(|stage| wanted.contains(stage)) {
            let _ = writeln!(text, "    style s{idx} stroke-dasharray: 5 5");
        }
    }
    text
}

/// What stands under the path of a stage of elsewhere.
const FINISHED: &str = "finished stage";

/// The ids as written, in order, each with the indices of its cells.
fn boxes(manifest: &Manifest) -> Vec<(&str, Vec<usize>)> {
    let mut boxes: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (idx, stage) in manifest.stages.iter().enumerate() {
        let number = *known.entry(&stage.written).or_insert_with(|| {
            boxes.push((&stage.written, Vec::new()));
            boxes.len() - 1
        });
        boxes[number].1.push(idx);
    }
    boxes
}

/// The paths of finished stages of elsewhere, each once, in the order in which they are read.
fn outside(manifest: &Manifest) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let inputs = manifest.stages.iter().flat_map(|stage| stage.config.stage().inputs());
    let paths = inputs.filter(|input| input.name.is_path()).map(|input| input.name.as_str());
    paths.filter(|path| seen.insert(*path)).collect()
}

/// From which node to which box, with the keys that it is read by; in the order of the boxes.
fn arrows(
    manifest: &Manifest,
    boxes: &[(&str, Vec<usize>)],
    outside: &[&str],
) -> Vec<((String, usize), Vec<&'static str>)> {
    let stages = boxes.iter().enumerate().flat_map(|(number, (_, cells))| {
        cells.iter().map(move |idx| (manifest.stages[*idx].id.as_str(), format!("s{number}")))
    });
    let paths = outside.iter().enumerate().map(|(number, path)| (*path, format!("f{number}")));
    let nodes: BTreeMap<&str, String> = stages.chain(paths).collect();
    let mut arrows: Vec<((String, usize), Vec<&'static str>)> = Vec::new();
    let mut known: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for (to, (_, cells)) in boxes.iter().enumerate() {
        for input in cells.iter().flat_map(|idx| manifest.stages[*idx].config.stage().inputs()) {
            let Some(from) = nodes.get(input.name.as_str()) else { continue };
            let arrow = (from.clone(), to);
            let number = *known.entry(arrow.clone()).or_insert_with(|| {
                arrows.push((arrow, Vec::new()));
                arrows.len() - 1
            });
            if !arrows[number].1.contains(&input.key) {
                arrows[number].1.push(input.key);
            }
        }
    }
    arrows
}

/// The look of the picture where it stands alone; the colours follow the reader's.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1c1d1f}.kind{font-size:11px;fill:#55585e}\
    .node{fill:#f3f6fa;stroke:#0b57a4}.dashed{stroke-dasharray:5 4}.edge{fill:none;stroke:#6b7078;stroke-width:1.4}\
    @media(prefers-color-scheme:dark){text{fill:#e8e9eb}.kind{fill:#a9adb5}.node{fill:#1d232b;stroke:#8fc1f7}\
    .edge{stroke:#9aa0a8}}";

/// The graph as an SVG file, with a box for each stage as written; stages that no goal needs are dashed.
pub fn svg(manifest: &Manifest) -> String {
    let graph = manifest.graph();
    let wanted = manifest.wanted();
    let node = |(idx, stage): (usize, &dcgan_engine::manifest::StageDef)| Node {
        id: stage.id.clone(),
        kind: stage.config.kind().name.to_owned(),
        parents: graph.parents[idx].clone(),
        is_dashed: !wanted.contains(&idx),
    };
    let mut nodes: Vec<Node> = manifest.stages.iter().enumerate().map(node).collect();
    let mut names: Vec<&str> = manifest.stages.iter().map(|stage| stage.written.as_str()).collect();
    for path in outside(manifest) {
        for (node, stage) in nodes.iter_mut().zip(&manifest.stages) {
            if stage.config.stage().inputs().iter().any(|input| input.name.as_str() == path) {
                node.parents.push(names.len());
            }
        }
        // The end of the path tells most, and a box is narrow.
        let parts: Vec<&str> = path.split(std::path::is_separator).filter(|part| !part.is_empty()).collect();
        let id = parts[parts.len().saturating_sub(2)..].join("/");
        nodes.push(Node { id, kind: FINISHED.to_owned(), parents: Vec::new(), is_dashed: false });
        names.push(path);
    }
    diagram::svg(&diagram::folded(&nodes, &names), "xmlns=\"http://www.w3.org/2000/svg\"", STYLE)
}

/// `, seed = 1, 2, 3`: the values that the cells of a stage have.
fn repetition(cells: &[&StageDef]) -> String {
    let axes = cells.first().map(|stage| stage.cell.as_slice()).unwrap_or_default();
    let values = |axis: &str| {
        let mut values: Vec<&str> = Vec::new();
        for (_, value) in cells.iter().flat_map(|stage| stage.cell.iter().filter(|(name, _)| name == axis)) {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        values.join(", ")
    };
    axes.iter().map(|(axis, _)| format!("<br/>{axis} = {}", values(axis))).collect()
}
