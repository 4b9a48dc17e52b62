//! Pages on which people choose samples, draw boxes on them and judge pairs: one file each, opened straight from the disk.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dcgan_dedup::evaluate::{Evaluation, Sheet};
use dcgan_images::SampleBox;
use dcgan_images::page::escaped;
use serde_json::json;

/// Name of the page on which samples are picked.
pub const PICK_PAGE: &str = "pick.html";
/// Picks pictures into up to three lists of numbers.
const PICK: &str = include_str!("pick.html");
/// Draws boxes on pictures and saves them as CSV.
const BOXES: &str = include_str!("boxes.html");
/// Marks pairs of pictures as the same or not and saves the marks as CSV.
const JUDGE: &str = include_str!("judge.html");
/// What the pages look like.
const STYLE: &str = include_str!("style.css");

/// A grid as `dcgan_images::grid` writes it.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    /// The PNG.
    pub png: &'a Path,
    /// How many pictures it holds.
    pub n_images: usize,
    /// How many stand in a row.
    pub n_columns: usize,
    /// Their side in pixels.
    pub side: usize,
}

/// The page on which samples are picked.
///
/// # Errors
/// If the grid cannot be read.
pub fn pick_page(grid: &Grid<'_>) -> anyhow::Result<String> {
    fill(PICK, grid, &[])
}

/// The page on which boxes are drawn; it begins with `boxes`.
///
/// # Errors
/// If the grid cannot be read.
pub fn boxes_page(grid: &Grid<'_>, boxes: &[SampleBox]) -> anyhow::Result<String> {
    fill(BOXES, grid, boxes)
}

/// The page on which the pairs that `rule` found are judged.
pub fn judge_page(title: &str, rule: &str, sheet: &Sheet, evaluation: &Evaluation) -> String {
    let uri = |jpeg: &[u8]| format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
    let pictures: BTreeMap<&str, String> = sheet.pictures().map(|(key, jpeg)| (key, uri(jpeg))).collect();
    let data = json!({
        "rule": rule,
        "found": sheet.found,
        "n_found": sheet.n_found,
        "borderline": sheet.borderline,
        "pictures": pictures,
    });
    // A key may hold what ends a script.
    let data = data.to_string().replace('<', "\\u003c");
    JUDGE
        .replace("<!-- TITLE -->", &escaped(title))
        .replace("/* STYLE */", STYLE)
        .replace("<!-- TABLE -->", &evaluation.html())
        .replace("/* DATA */ null", &data)
}

fn fill(page: &str, grid: &Grid<'_>, boxes: &[SampleBox]) -> anyhow::Result<String> {
    let boxes: Vec<[usize; 5]> = boxes
        .iter()
        .map(|SampleBox { sample, bounds }| [*sample, bounds.x0, bounds.y0, bounds.x1, bounds.y1])
        .collect();
    let png = STANDARD.encode(fs_err::read(grid.png)?);
    let data = json!({
        "n": grid.n_images,
        "columns": grid.n_columns.min(grid.n_images),
        "side": grid.side,
        "sheet": format!("data:image/png;base64,{png}"),
        "boxes": boxes,
    });
    Ok(page.replace("/* STYLE */", STYLE).replace("/* DATA */ null", &data.to_string()))
}

#[cfg(test)]
mod tests {
    use dcgan_images::{PixelBox, grid::write_grid};

    use super::*;

    #[test]
    fn pages_hold_their_sheet_and_nothing_from_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let png = dir.path().join("samples.png");
        write_grid(&png, &[9; 5 * 3 * 64], [5, 3, 8, 8], 2).unwrap();
        let grid = Grid { png: &png, n_images: 5, n_columns: 2, side: 8 };
        let bounds = PixelBox { x0: 1, y0: 2, x1: 3, y1: 4 };
        let pages =
            [pick_page(&grid).unwrap(), boxes_page(&grid, &[SampleBox { sample: 4, bounds }]).unwrap()];
        for page in &pages {
            assert!(
                page.contains("\"n\":5")
                    && page.contains("\"columns\":2")
                    && page.contains("data:image/png;base64,")
            );
            assert!(page.contains("prefers-color-scheme: dark"), "the style is in the page");
            for foreign in ["http:", "https:", "src=", "import(", "fetch(", "/* "] {
                assert!(!page.contains(foreign), "{foreign}");
            }
        }
        assert!(pages[1].contains("\"boxes\":[[4,1,2,3,4]]"));
    }
}
