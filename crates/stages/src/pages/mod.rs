//! Pages on which people choose samples, draw boxes on them and judge pairs: one file each, opened straight from the disk.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dcgan_dedup::SIDE;
use dcgan_dedup::evaluate::{Evaluation, Sheet};
use dcgan_dedup::group::Member;
use dcgan_dedup::hash::Pictures;
use dcgan_images::page::{escaped, jpeg};
use dcgan_images::{Picture, SampleBox};
use serde_json::json;

/// Name of the page on which samples are picked.
pub const PICK_PAGE: &str = "pick.html";
/// Picks pictures into up to three lists of numbers.
const PICK: &str = include_str!("pick.html");
/// Draws boxes on pictures and saves them as CSV.
const BOXES: &str = include_str!("boxes.html");
/// Marks pairs of pictures as the same or not and saves the marks as CSV.
const JUDGE: &str = include_str!("judge.html");
/// Marks pictures of groups and saves the marks as that CSV.
const GROUPS: &str = include_str!("groups.html");
/// How both keep marks.
const MARKS: &str = include_str!("marks.js");
/// Pictures of groups on the page, at most; a page of them has 4 MB.
const MAX_SHOWN: usize = 3000;
/// Pictures of one group beside the one that stays, at most.
const MAX_IN_GROUP: usize = 40;
/// Pictures in a row of their sheet, and its quality as a JPEG.
const SHEET: (usize, u8) = (32, 90);
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
        .replace("/* MARKS */", MARKS)
        .replace("<!-- TABLE -->", &evaluation.html())
        .replace("/* DATA */ null", &data)
}

/// The page on which the groups that `rule` found are looked through. Of each group `images` has the numbers, in `pictures`, of the one that
/// stays and then of the others, and `doubts` how far the least alike of them is from the nearest other one: the largest come first.
///
/// # Errors
/// If a picture cannot be read.
pub fn groups_page(
    rule: &str,
    groups: &[Vec<Member>],
    (images, doubts): (&[Vec<u32>], &[f32]),
    pictures: &Pictures,
) -> anyhow::Result<String> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|&a, &b| doubts[b].total_cmp(&doubts[a]));
    let (mut shown, mut data) = (Vec::new(), Vec::new());
    for k in order {
        let (others, stays) = others_of((&groups[k], &images[k]));
        let n = others.len().min(MAX_IN_GROUP);
        if shown.len() + 1 + n > MAX_SHOWN {
            break;
        }
        shown.push(stays);
        shown.extend(others[..n].iter().map(|(_, image)| image));
        let member = |(member, _): &(&Member, u32)| json!({"key": member.key, "distance": member.distance, "pixel_distance": member.pixel_distance});
        data.push(json!({
            "stays": others.first().map(|(member, _)| &member.representative),
            "others": others[..n].iter().map(member).collect::<Vec<_>>(),
            "n_more": others.len() - n,
            "doubt": doubts[k],
        }));
    }
    let sheet = match shown.is_empty() {
        true => String::new(),
        false => format!("data:image/jpeg;base64,{}", STANDARD.encode(sheet(&pictures.read(&shown)?)?)),
    };
    let data = json!({
        "rule": rule, "n_groups": groups.len(), "groups": data, "side": SIDE, "columns": SHEET.0, "sheet": sheet,
    });
    let data = data.to_string().replace('<', "\\u003c");
    Ok(GROUPS.replace("/* STYLE */", STYLE).replace("/* MARKS */", MARKS).replace("/* DATA */ null", &data))
}

/// Of a group who goes, the most distant first, and the number of the one that stays.
fn others_of<'a>((members, images): (&'a Vec<Member>, &Vec<u32>)) -> (Vec<(&'a Member, u32)>, u32) {
    let goes = |member: &&Member| member.elsewhere || member.key != member.representative;
    let mut others: Vec<(&Member, u32)> =
        members.iter().filter(goes).zip(images.iter().skip(1).copied()).collect();
    others.sort_by(|(a, _), (b, _)| b.pixel_distance.total_cmp(&a.pixel_distance));
    (others, images.first().copied().unwrap_or_default())
}

/// Pictures of 3072 bytes in rows, as a JPEG.
fn sheet(pictures: &[u8]) -> anyhow::Result<Vec<u8>> {
    let plane = SIDE * SIDE;
    let n = pictures.len() / (3 * plane);
    let (width, height) = (SHEET.0 * SIDE, n.div_ceil(SHEET.0) * SIDE);
    let mut pixels = vec![128; 3 * width * height];
    for (k, picture) in pictures.chunks_exact(3 * plane).enumerate() {
        let (left, top) = (k % SHEET.0 * SIDE, k / SHEET.0 * SIDE);
        for (channel, rows) in picture.chunks_exact(plane).enumerate() {
            for (y, row) in rows.chunks_exact(SIDE).enumerate() {
                let start = (channel * height + top + y) * width + left;
                pixels[start..start + SIDE].copy_from_slice(row);
            }
        }
    }
    Ok(jpeg(&Picture { channels: 3, height, width, pixels }, SHEET.1)?)
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

    #[test]
    fn groups_stand_with_their_pictures_and_the_least_sure_come_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pictures.npy");
        let shades: Vec<u8> = (0..6).flat_map(|k| [40 * k; 3 * SIDE * SIDE]).collect();
        let head = dcgan_files::npy::head("|u1", &[6, 3, SIDE as u64, SIDE as u64]);
        fs_err::write(&path, [head, shades].concat()).unwrap();
        let pictures = Pictures::open(&path, 6).unwrap();
        let member = |key: &str, representative: &str, pixel_distance| Member {
            key: key.to_owned(),
            representative: representative.to_owned(),
            distance: 2,
            pixel_distance,
            blake3: None,
            elsewhere: key == "</script>",
        };
        let groups = vec![
            vec![member("a", "a", 0.0), member("b", "a", 0.1), member("c", "a", 0.2)],
            vec![member("</script>", "of another set", 0.3)],
        ];
        let page =
            groups_page("near", &groups, (&[vec![1, 0, 3], vec![5, 2]], &[0.2, 0.3]), &pictures).unwrap();
        let data = page.split_once("const data = ").unwrap().1.split_once(";\n").unwrap().0;
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let keys = |group: usize| -> Vec<&str> {
            let others = data["groups"][group]["others"].as_array().unwrap();
            let keys = others.iter().map(|other| other["key"].as_str().unwrap());
            std::iter::once(data["groups"][group]["stays"].as_str().unwrap()).chain(keys).collect()
        };
        assert_eq!(keys(0), ["of another set", "</script>"]);
        assert_eq!(keys(1), ["a", "c", "b"]);
        let sheet = data["sheet"].as_str().unwrap().strip_prefix("data:image/jpeg;base64,").unwrap();
        let sheet = dcgan_images::decode(&STANDARD.decode(sheet).unwrap(), Default::default()).unwrap();
        assert_eq!([sheet.width, sheet.height], [32 * SIDE, SIDE]);
        let shade = |k: usize| (f32::from(sheet.pixels[16 * sheet.width + k * SIDE + 16]) / 40.0).round();
        assert_eq!([0, 1, 2, 3, 4].map(shade), [5.0, 2.0, 1.0, 3.0, 0.0]);
        assert!(page.matches("</script>").count() == 1, "a key ends no script");
        let none = groups_page("near", &[], (&[], &[]), &pictures).unwrap();
        assert!(none.contains("\"groups\":[]") && none.contains("\"sheet\":\"\""));
    }
}
