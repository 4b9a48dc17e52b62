//! A graph of stages as a picture: layers from left to right, each stage to the right of what it reads.

use std::fmt::Write as _;

/// A stage in the picture.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Stages it reads, as indices.
    pub parents: Vec<usize>,
    /// True for one that is drawn with a dashed border.
    pub is_dashed: bool,
}

const WIDTH: f64 = 164.0;
const HEIGHT: f64 = 44.0;
const GAP: f64 = 14.0;
const LAYER_GAP: f64 = 38.0;
const MARGIN: f64 = 6.0;
/// Room for an edge that passes a layer.
const PASSAGE: f64 = 8.0;
/// Rounds of moving stages towards those they are joined to.
const ROUNDS: usize = 24;

/// A place in a layer: a stage, or a passage for an edge on its way to a later layer.
#[derive(Debug, Clone)]
struct Place {
    node: Option<usize>,
    layer: usize,
    /// Places in the layer before that it is joined to.
    before: Vec<usize>,
    /// Places in the layer after.
    after: Vec<usize>,
    /// Its middle, from the top.
    y: f64,
}

impl Place {
    fn half(&self) -> f64 {
        if self.node.is_some() { HEIGHT / 2.0 } else { PASSAGE / 2.0 }
    }
}

/// A picture of a graph without cycles as one SVG element; `attributes` go into its tag, `style` into a style element
/// of its own where it is not empty. Its classes are `node`, `dashed`, `id`, `kind` and `edge`.
pub fn svg(nodes: &[Node], attributes: &str, style: &str) -> String {
    let (places, rows) = laid_out(nodes);
    let width = (rows.len() as f64 * (WIDTH + LAYER_GAP) - LAYER_GAP).max(0.0) + 2.0 * MARGIN;
    let height = places.iter().map(|place| place.y + place.half()).fold(0.0, f64::max) + MARGIN;
    let mut text = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         style=\"min-width:{:.0}px\" {attributes}>",
        // Shrunk to fit a page, but not so far that its words cannot be read.
        0.75 * width
    );
    if !style.is_empty() {
        let _ = write!(text, "<style>{style}</style>");
    }
    text.push('\n');
    for place in &places {
        for before in &place.before {
            let _ = writeln!(text, "<path class=\"edge\" d=\"{}\"/>", path(&places[*before], place));
        }
    }
    for place in &places {
        let Some(node) = place.node.and_then(|idx| nodes.get(idx)) else { continue };
        let (x, y) = (left(place.layer), place.y - HEIGHT / 2.0);
        let class = if node.is_dashed { "node dashed" } else { "node" };
        let _ = writeln!(
            text,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\
             <text class=\"id\" x=\"{0:.1}\" y=\"{1:.1}\" text-anchor=\"middle\">{2}</text>\
             <text class=\"kind\" x=\"{0:.1}\" y=\"{3:.1}\" text-anchor=\"middle\">{4}</text>",
            x + WIDTH / 2.0,
            y + 19.0,
            escaped(&node.id),
            y + 35.0,
            escaped(&node.kind),
        );
    }
    text + "</svg>\n"
}

/// One box for all the nodes that share one of the `names` (one for each node); it says how many they are, and reads what any of
/// them reads.
pub fn folded(nodes: &[Node], names: &[&str]) -> Vec<Node> {
    let mut boxes: Vec<&str> = Vec::new();
    for name in names {
        if !boxes.contains(name) {
            boxes.push(name);
        }
    }
    let number = |idx: &usize| boxes.iter().position(|name| Some(name) == names.get(*idx));
    let fold = |name: &&str| {
        let mut of = nodes.iter().zip(names).filter(|(_, other)| *other == name).map(|(node, _)| node);
        let mut folded = of.next()?.clone();
        let mut n = 1;
        for node in of {
            n += 1;
            folded.parents.extend(&node.parents);
            folded.is_dashed &= node.is_dashed;
        }
        if n > 1 {
            folded.id = format!("{name} × {n}");
        }
        folded.parents = folded.parents.iter().filter_map(number).collect();
        folded.parents.sort_unstable();
        folded.parents.dedup();
        Some(folded)
    };
    boxes.iter().filter_map(fold).collect()
}

fn left(layer: usize) -> f64 {
    MARGIN + layer as f64 * (WIDTH + LAYER_GAP)
}

/// From the right edge of one place to the left edge of one in the next layer; a passage is crossed straight on.
fn path(from: &Place, to: &Place) -> String {
    let (start, end) = (left(from.layer) + WIDTH, left(to.layer));
    let middle = (start + end) / 2.0;
    let into = if to.node.is_some() { String::new() } else { format!(" H{:.1}", end + WIDTH) };
    format!("M{start:.1} {0:.1} C{middle:.1} {0:.1} {middle:.1} {1:.1} {end:.1} {1:.1}{into}", from.y, to.y)
}

fn laid_out(nodes: &[Node]) -> (Vec<Place>, Vec<Vec<usize>>) {
    let layers = layers(nodes);
    let mut places: Vec<Place> = layers
        .iter()
        .enumerate()
        .map(|(idx, layer)| Place { node: Some(idx), layer: *layer, before: vec![], after: vec![], y: 0.0 })
        .collect();
    for (idx, node) in nodes.iter().enumerate() {
        for parent in &node.parents {
            let mut from = *parent;
            for layer in layers[*parent] + 1..layers[idx] {
                // Edges from one stage share their way.
                let shared = places[from].after.iter().copied().find(|after| places[*after].node.is_none());
                from = shared.unwrap_or_else(|| {
                    places.push(Place { node: None, layer, before: vec![from], after: vec![], y: 0.0 });
                    let passage = places.len() - 1;
                    places[from].after.push(passage);
                    passage
                });
            }
            places[from].after.push(idx);
            places[idx].before.push(from);
        }
    }
    let mut rows = vec![Vec::new(); layers.iter().max().map_or(0, |layer| layer + 1)];
    for (idx, place) in places.iter().enumerate() {
        rows[place.layer].push(idx);
    }
    for round in 0..ROUNDS {
        order(&mut rows, &mut places, round % 2 == 0);
    }
    for round in 0..ROUNDS {
        straighten(&rows, &mut places, round % 2 == 0);
    }
    let top = places.iter().map(|place| place.y - place.half()).fold(f64::INFINITY, f64::min);
    for place in &mut places {
        place.y += MARGIN - top;
    }
    (places, rows)
}

/// A stage's layer is after all it reads; one that reads nothing stands just before the first stage that reads it.
fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        for (idx, node) in nodes.iter().enumerate() {
            let lowest = node.parents.iter().map(|parent| layers[*parent] + 1).max().unwrap_or(0);
            layers[idx] = lowest.min(nodes.len());
        }
    }
    for idx in (0..nodes.len()).filter(|idx| nodes[*idx].parents.is_empty()) {
        let readers = nodes.iter().enumerate().filter(|(_, node)| node.parents.contains(&idx));
        if let Some(first) = readers.map(|(reader, _)| layers[reader]).min() {
            layers[idx] = first - 1;
        }
    }
    layers
}

fn neighbours(places: &[Place], place: usize, is_forward: bool) -> &[usize] {
    if is_forward { &places[place].before } else { &places[place].after }
}

/// Puts each layer into the order of the mean position of what its places are joined to, and sets them side by side.
fn order(rows: &mut [Vec<usize>], places: &mut [Place], is_forward: bool) {
    let n_rows = rows.len();
    for step in 0..n_rows {
        let row = if is_forward { step } else { n_rows - 1 - step };
        let wish =
            |place: usize| mean(places, neighbours(places, place, is_forward)).unwrap_or(places[place].y);
        let mut wished: Vec<(f64, usize)> = rows[row].iter().map(|place| (wish(*place), *place)).collect();
        wished.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows[row] = wished.into_iter().map(|(_, place)| place).collect();
        let mut y = 0.0;
        for place in &rows[row] {
            y += places[*place].half();
            places[*place].y = y;
            y += places[*place].half() + GAP;
        }
        let half = (y - GAP) / 2.0;
        rows[row].iter().for_each(|place| places[*place].y -= half);
    }
}

/// Moves the places of each layer as near as their order and their widths allow to what they are joined to.
fn straighten(rows: &[Vec<usize>], places: &mut [Place], is_forward: bool) {
    let n_rows = rows.len();
    for step in 0..n_rows {
        let row = &rows[if is_forward { step } else { n_rows - 1 - step }];
        let wishes: Vec<f64> = row
            .iter()
            .map(|place| mean(places, neighbours(places, *place, is_forward)).unwrap_or(places[*place].y))
            .collect();
        let apart = |upper: usize, lower: usize| places[row[upper]].half() + places[row[lower]].half() + GAP;
        // The wishes pushed apart downwards and upwards; the mean of both keeps the distances too.
        let (mut to_bottom, mut to_top) = (wishes.clone(), wishes);
        for k in 1..row.len() {
            to_bottom[k] = to_bottom[k].max(to_bottom[k - 1] + apart(k - 1, k));
        }
        for k in (1..row.len()).rev() {
            to_top[k - 1] = to_top[k - 1].min(to_top[k] - apart(k - 1, k));
        }
        for (k, place) in row.iter().enumerate() {
            places[*place].y = (to_bottom[k] + to_top[k]) / 2.0;
        }
    }
}

fn mean(places: &[Place], of: &[usize]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|place| places[*place].y).sum::<f64>() / of.len() as f64)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(parents: &[&[usize]]) -> Vec<Node> {
        let node = |(idx, parents): (usize, &&[usize])| Node {
            id: format!("n{idx}"),
            kind: "a<b".to_owned(),
            parents: parents.to_vec(),
            is_dashed: false,
        };
        parents.iter().enumerate().map(node).collect()
    }

    /// data → two image sets → model (of the first) → features (of both and the model) → table; weights → table.
    fn pipeline() -> Vec<Node> {
        graph(&[&[], &[0], &[0], &[1], &[1, 3], &[2, 3, 1], &[4, 5, 7], &[]])
    }

    #[test]
    fn stages_stand_after_what_they_read_and_never_on_each_other() {
        let nodes = pipeline();
        let (places, rows) = laid_out(&nodes);
        for (idx, node) in nodes.iter().enumerate() {
            assert!(node.parents.iter().all(|parent| places[*parent].layer < places[idx].layer), "{idx}");
        }
        assert_eq!(places[7].layer + 1, places[6].layer, "what reads nothing stands near its reader");
        for row in rows {
            for pair in row.windows(2) {
                let (upper, lower) = (&places[pair[0]], &places[pair[1]]);
                assert!(lower.y - upper.y >= upper.half() + lower.half() + GAP - 1e-6, "{upper:?} {lower:?}");
            }
        }
        assert!(places.iter().all(|place| place.y - place.half() >= MARGIN - 1e-6));
    }

    #[test]
    fn every_edge_is_drawn_through_neighbouring_layers() {
        let (places, _) = laid_out(&pipeline());
        for place in &places {
            assert!(place.before.iter().all(|before| places[*before].layer + 1 == place.layer));
        }
        let svg = svg(&pipeline(), "", "");
        assert_eq!(svg.matches("<rect").count(), 8);
        assert!(svg.contains("a&lt;b") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn copies_share_a_box() {
        // shapes → two copies of train → two copies of table → report
        let nodes = graph(&[&[], &[0], &[0], &[1], &[2], &[3, 4]]);
        let found = folded(&nodes, &["shapes", "train", "train", "table", "table", "report"]);
        let described: Vec<(&str, &[usize])> =
            found.iter().map(|node| (node.id.as_str(), node.parents.as_slice())).collect();
        let expected: [(&str, &[usize]); 4] =
            [("n0", &[]), ("train × 2", &[0]), ("table × 2", &[1]), ("n5", &[2])];
        assert_eq!(described, expected);
    }

    #[test]
    fn a_chain_is_straight_and_no_graph_is_no_picture() {
        let (places, _) = laid_out(&graph(&[&[], &[0], &[1]]));
        assert!(places.iter().all(|place| (place.y - places[0].y).abs() < 1e-6));
        assert!(svg(&[], "", "").starts_with("<svg"));
    }
}
