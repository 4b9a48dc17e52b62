//! The graph of a manifest as Mermaid and as SVG.

use std::fmt::Write as _;

use crate::diagram::{self, Node};
use crate::graph::Graph;
use crate::manifest::{Manifest, StageDef};

/// A Mermaid flowchart: a box for each stage as written, an arrow from each stage to those that read it. A box says over
/// what the matrix repeats it. Stages that no goal needs are dashed.
pub fn mermaid(manifest: &Manifest) -> String {
    let graph = Graph::new(manifest);
    let wanted = graph.wanted(manifest);
    let mut boxes: Vec<&str> = manifest.stages.iter().map(|stage| stage.written.as_str()).collect();
    boxes.dedup();
    let number = |stage: &StageDef| boxes.iter().position(|written| *written == stage.written);
    let mut text = String::from("flowchart LR\n");
    for (idx, written) in boxes.iter().enumerate() {
        let cells: Vec<&StageDef> =
            manifest.stages.iter().filter(|stage| stage.written == *written).collect();
        let kind = cells.first().map_or("", |stage| stage.config.info().name);
        // Numbered nodes: an id such as `end` is a keyword of Mermaid's.
        let _ = writeln!(text, "    s{idx}[\"{written}<br/><small>{kind}{}</small>\"]", repetition(&cells));
    }
    let mut arrows: Vec<(usize, usize, Vec<&str>)> = Vec::new();
    for stage in &manifest.stages {
        for input in stage.config.stage().inputs() {
            let from = manifest.stage(input.name.as_str()).and_then(number);
            let (Some(from), Some(to)) = (from, number(stage)) else { continue };
            match arrows.iter_mut().find(|arrow| (arrow.0, arrow.1) == (from, to)) {
                Some((_, _, keys)) if keys.contains(&input.key) => {}
                Some((_, _, keys)) => keys.push(input.key),
                None => arrows.push((from, to, vec![input.key])),
            }
        }
    }
    for (from, to, keys) in arrows {
        let _ = writeln!(text, "    s{from} -->|{}| s{to}", keys.join(", "));
    }
    for (idx, written) in boxes.iter().enumerate() {
        let is_wanted = wanted.iter().any(|stage| manifest.stages[*stage].written == *written);
        if !is_wanted {
            let _ = writeln!(text, "    style s{idx} stroke-dasharray: 5 5");
        }
    }
    text
}

/// The look of the picture where it stands alone; the colours follow the reader's.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1c1d1f}.kind{font-size:11px;fill:#55585e}\
    .node{fill:#f3f6fa;stroke:#0b57a4}.dashed{stroke-dasharray:5 4}.edge{fill:none;stroke:#6b7078;stroke-width:1.4}\
    @media(prefers-color-scheme:dark){text{fill:#e8e9eb}.kind{fill:#a9adb5}.node{fill:#1d232b;stroke:#8fc1f7}\
    .edge{stroke:#9aa0a8}}";

/// The graph as an SVG file, with a box for each stage as written; stages that no goal needs are dashed.
pub fn svg(manifest: &Manifest) -> String {
    let graph = Graph::new(manifest);
    let wanted = graph.wanted(manifest);
    let node = |(idx, stage): (usize, &crate::manifest::StageDef)| Node {
        id: stage.id.clone(),
        kind: stage.config.info().name.to_owned(),
        parents: graph.parents[idx].clone(),
        is_dashed: !wanted.contains(&idx),
    };
    let nodes: Vec<Node> = manifest.stages.iter().enumerate().map(node).collect();
    let names: Vec<&str> = manifest.stages.iter().map(|stage| stage.written.as_str()).collect();
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
