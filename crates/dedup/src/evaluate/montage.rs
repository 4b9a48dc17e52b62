//! Blocks of small pictures in one JPEG, for the report.

use std::collections::HashMap;

use dcgan_images::ImagesError;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::Result;

/// Side of the square that a picture is fitted into.
const CELL: u32 = 88;
/// Space around it.
const GAP: u32 = 4;
/// Space between two blocks, beside the one around pictures.
const BLOCK_GAP: u32 = 16;
/// Pictures of a block, at most.
const MAX_IN_BLOCK: usize = 8;
/// Width of the sheet, at most.
const MAX_WIDTH: u32 = 8 * (CELL + GAP) + GAP;
/// Lines of the sheet, at most.
const MAX_LINES: u32 = 5;
/// Neither light nor dark: the page may be either.
const GROUND: Rgb<u8> = Rgb([128, 130, 134]);

/// One sheet of blocks of pictures, as many as have room; each block's keys are given, and JPEG files by key. None if there
/// is no block.
pub(super) fn jpeg(blocks: &[Vec<String>], pictures: &HashMap<String, Vec<u8>>) -> Result<Option<Vec<u8>>> {
    let places = places(blocks);
    let Some(n_lines) = places.iter().map(|place| place.line + 1).max() else { return Ok(None) };
    let right = places.iter().map(|place| place.left + CELL).max().unwrap_or(0);
    let mut sheet = RgbImage::from_pixel(right + GAP, n_lines * (CELL + GAP) + GAP, GROUND);
    for place in places {
        let Some(picture) = pictures.get(place.key).and_then(|jpeg| image::load_from_memory(jpeg).ok())
        else {
            continue;
        };
        let picture = picture.to_rgb8();
        let longer = picture.width().max(picture.height()).max(1);
        let [w, h] = [picture.width(), picture.height()].map(|side| (side * CELL / longer).max(1));
        let small = imageops::resize(&picture, w, h, FilterType::Triangle);
        let top = GAP + place.line * (CELL + GAP) + (CELL - h) / 2;
        imageops::replace(&mut sheet, &small, i64::from(place.left + (CELL - w) / 2), i64::from(top));
    }
    let mut bytes = Vec::new();
    let encoded = JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&sheet);
    encoded.map_err(|e| ImagesError::BadPicture { reason: e.to_string() })?;
    Ok(Some(bytes))
}

/// Where a picture goes.
struct Place<'a> {
    key: &'a str,
    left: u32,
    line: u32,
}

fn places(blocks: &[Vec<String>]) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    let (mut line, mut left) = (0, GAP);
    for block in blocks {
        let shown = &block[..block.len().min(MAX_IN_BLOCK)];
        let width = shown.len() as u32 * (CELL + GAP);
        if left > GAP && left + width > MAX_WIDTH {
            (line, left) = (line + 1, GAP);
        }
        if line >= MAX_LINES {
            break;
        }
        for key in shown {
            places.push(Place { key, left, line });
            left += CELL + GAP;
        }
        left += BLOCK_GAP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stand_apart_and_none_is_broken_between_lines() {
        let block = |n: usize| (0..n).map(|k| format!("{n}-{k}")).collect::<Vec<_>>();
        let blocks = [block(2), block(4), block(3), block(9)];
        let found: Vec<(&str, u32, u32)> = places(&blocks).iter().map(|p| (p.key, p.left, p.line)).collect();
        assert_eq!(found[0], ("2-0", 4, 0));
        assert_eq!(found[2], ("4-0", 4 + 2 * 92 + 16, 0));
        assert_eq!(found[6], ("3-0", 4, 1), "no room for three beside two and four");
        assert_eq!(found.len(), 2 + 4 + 3 + MAX_IN_BLOCK, "a large group is cut");
        assert!(found.iter().all(|(_, left, _)| left + CELL <= MAX_WIDTH));
        assert!(jpeg(&[], &HashMap::new()).unwrap().is_none());
    }

    #[test]
    fn pictures_stand_in_their_places() {
        let red = RgbImage::from_pixel(160, 80, Rgb([200, 0, 0]));
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, 95).encode_image(&red).unwrap();
        let blocks = [vec!["red".to_owned(), "gone".to_owned()]];
        let bytes = jpeg(&blocks, &HashMap::from([("red".to_owned(), file)])).unwrap().unwrap();
        let sheet = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (GAP + 2 * (CELL + GAP), CELL + 2 * GAP));
        let is_near = |x, y, colour: [u8; 3]| {
            let found: [u8; 3] = sheet.get_pixel(x, y).0;
            assert!(found.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 12), "{found:?} at {x}, {y}");
        };
        is_near(GAP + CELL / 2, GAP + CELL / 2, [200, 0, 0]);
        // Above a picture twice as wide as high, and where there is none.
        is_near(GAP + CELL / 2, GAP + 4, GROUND.0);
        is_near(GAP + CELL + GAP + CELL / 2, GAP + CELL / 2, GROUND.0);
    }
}
