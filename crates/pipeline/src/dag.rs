//! The graph of a manifest as Mermaid and as SVG.

use std::fmt::Write as _;

use crate::diagram::{self, Node};
use crate::graph::Graph;
use crate::manifest::Manifest;

/// A Mermaid flowchart: a box for each stage, an arrow from each stage to those that read it. Stages that no goal
/// needs are dashed.
pub fn mermaid(manifest: &Manifest) -> String {
    let graph = Graph::new(manifest);
    let wanted = graph.wanted(manifest);
    let mut text = String::from("flowchart LR\n");
    for (idx, stage) in manifest.stages.iter().enumerate() {
        // Numbered nodes: an id such as `end` is a keyword of Mermaid's.
        let _ =
            writeln!(text, "    s{idx}[\"{}<br/><small>{}</small>\"]", stage.id, stage.config.info().name);
    }
    for (idx, stage) in manifest.stages.iter().enumerate() {
        let mut keys: Vec<(usize, Vec<&str>)> = Vec::new();
        for input in stage.config.stage().inputs() {
            let from = manifest.stages.iter().position(|other| other.id == input.name.as_str());
            let Some(from) = from else { continue };
            match keys.iter_mut().find(|(other, _)| *other == from) {
                Some((_, names)) => names.push(input.key),
                None => keys.push((from, vec![input.key])),
            }
        }
        for (from, mut names) in keys {
            names.dedup();
            let _ = writeln!(text, "    s{from} -->|{}| s{idx}", names.join(", "));
        }
    }
    for idx in (0..manifest.stages.len()).filter(|idx| !wanted.contains(idx)) {
        let _ = writeln!(text, "    style s{idx} stroke-dasharray: 5 5");
    }
    text
}

/// The look of the picture where it stands alone; the colours follow the reader's.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1c1d1f}.kind{font-size:11px;fill:#55585e}\
    .node{fill:#f3f6fa;stroke:#0b57a4}.dashed{stroke-dasharray:5 4}.edge{fill:none;stroke:#6b7078;stroke-width:1.4}\
    @media(prefers-color-scheme:dark){text{fill:#e8e9eb}.kind{fill:#a9adb5}.node{fill:#1d232b;stroke:#8fc1f7}\
    .edge{stroke:#9aa0a8}}";

/// The graph as an SVG file; stages that no goal needs are dashed.
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
    diagram::svg(&nodes, "xmlns=\"http://www.w3.org/2000/svg\"", STYLE)
}
