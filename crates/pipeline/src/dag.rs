//! The graph of a manifest as Mermaid.

use std::fmt::Write as _;

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
