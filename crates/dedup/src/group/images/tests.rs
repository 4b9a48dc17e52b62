use std::path::Path;

use dcgan_images::Source;
use image::RgbImage;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::Autoencoder;
use crate::group::{GROUPS, Keep, MAP_CSV, MAP_PARQUET, read_groups};
use crate::hash::{HashConfig, hash, read_keys};
use crate::preprocess::Preprocessing;

fn go(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Eight by eight squares of their own shades.
fn scene(seed: u32, side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = (8 * x / side, 8 * y / side);
        image::Rgb([(((x * x + 3) * 37 + (y + seed) * (x + 2 * seed) * 90) % 7 * 36) as u8; 3])
    })
}

/// Three files of one picture and one of another: `a` has the lowest key, `b` the most pixels, `c`, which is not compressed, the most
/// bytes.
fn hashed(dir: &Path) {
    let pictures = dir.join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    scene(1, 64).save(pictures.join("a.jpg")).unwrap();
    scene(1, 128).save(pictures.join("b.jpg")).unwrap();
    scene(1, 96).save(pictures.join("c.bmp")).unwrap();
    scene(4, 64).save(pictures.join("d.jpg")).unwrap();
    let source = Source::Folder { path: pictures, classes: false };
    let model = Autoencoder::random(Preprocessing { standardise: true }, 1).unwrap();
    hash(&source, &model, &HashConfig::default(), dir, &mut go).unwrap();
}

#[test]
fn the_one_that_is_asked_for_stays() {
    let dir = tempfile::tempdir().unwrap();
    hashed(dir.path());
    for (keep, stays, why) in [
        (Keep::Largest, "b.jpg", "\"most pixels, then lowest key\""),
        (Keep::Bytes, "c.bmp", "\"largest file, then lowest key\""),
        (Keep::LowestKey, "a.jpg", "lowest key"),
        (Keep::First, "a.jpg", "first in the set"),
    ] {
        let config = GroupConfig { rule: Rule::Phash, keep, ..GroupConfig::default() };
        let summary = group_images(dir.path(), &config, dir.path(), &mut go).unwrap();
        let expected = RuleCounts { n_groups: 1, n_grouped: 3, n_removed: 2, largest_group: 3 };
        assert_eq!(summary.of(Rule::Phash), &expected, "{keep:?}");
        let groups = read_groups(&dir.path().join(GROUPS)).unwrap();
        let keys: Vec<&str> = groups[0].iter().map(|member| member.key.as_str()).collect();
        assert!(keys[0] == stays && keys[1] < keys[2], "{keep:?} {keys:?}");
        let map = fs_err::read_to_string(dir.path().join(MAP_CSV)).unwrap();
        let lines: Vec<&str> = map.lines().collect();
        assert!(lines.len() == 4 && lines[1].starts_with(&format!("0,{stays},yes,{stays},{why},")), "{map}");
        assert!(lines[2].starts_with(&format!("0,{},no,{stays},", keys[1])), "{map}");
        assert!(lines[2].contains("near perceptual hashes"), "{map}");
        let sizes = [("a.jpg", ",64,64,"), ("b.jpg", ",128,128,"), ("c.bmp", ",96,96,")];
        let has_size = |(key, size): (&str, &str)| {
            lines[1..].iter().any(|line| line.starts_with(&format!("0,{key},")) && line.contains(size))
        };
        assert!(sizes.into_iter().all(has_size), "{map}");
        assert!(dir.path().join(MAP_PARQUET).exists());
    }
}

#[test]
fn codes_without_the_files_sizes_are_refused_where_those_decide() {
    let dir = tempfile::tempdir().unwrap();
    hashed(dir.path());
    let config = GroupConfig { rule: Rule::Phash, keep: Keep::Bytes, ..GroupConfig::default() };
    // As an earlier version wrote it.
    let path = dir.path().join(hash::files::CODES);
    let keys = read_keys(&path, |_| true).unwrap();
    let set = Codes::read(&path).unwrap();
    use dcgan_files::columns::{Column, Writer};
    let number = |name: &str, bits: u32| format!("REQUIRED INT{bits} {name} (INTEGER({bits}, false));");
    let schema = format!(
        "message codes {{ REQUIRED BYTE_ARRAY key (STRING); {} {} {} {} }}",
        number("word0", 64),
        number("word1", 64),
        number("width", 32),
        number("height", 32)
    );
    let mut writer = Writer::create(&path, &schema).unwrap();
    let word = |k: usize| Column::U64(set.codes.iter().map(|code| code.0[k]).collect());
    let side = |k: usize| Column::U32(set.sizes.iter().map(|size| size[k]).collect());
    let keys = Column::Strings(keys.into_iter().map(|(_, key)| key).collect());
    writer.write(&[keys, word(0), word(1), side(0), side(1)]).unwrap();
    writer.finish().unwrap();
    let message = group_images(dir.path(), &config, dir.path(), &mut go).unwrap_err().to_string();
    assert!(message.contains("codes with the files' sizes (n_bytes), for keep = bytes"), "{message}");
}

/// A white stroke on black, drawn as people write a 1: of its own slant, bend, hook, length, width and place.
fn stroke(k: u32, side: u32) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(k.into());
    let mut part = |low: f32, high: f32| rng.random_range(low..high);
    let (slant, bend, half, width) = (part(0.0, 0.8), part(-1.5, 1.5), part(0.2, 0.4), part(0.03, 0.08));
    let (hook, at, left) = (part(0.0, 0.3), part(-0.3, 0.3), part(-0.05, 0.05));
    RgbImage::from_fn(side, side, |x, y| {
        let [x, y] = [x, y].map(|at| (at as f32 + 0.5) / side as f32 - 0.5);
        let beside = x - left + slant * y + bend * y * y;
        let stem = (width - beside.abs()).min(half - y.abs());
        let hook = (0.5 * width - (y - at).abs()).min(0.5 * hook - (beside + 0.5 * hook).abs());
        let inside = (stem.max(hook) * side as f32 + 0.5).clamp(0.0, 1.0);
        image::Rgb([(255.0 * inside) as u8; 3])
    })
}

#[test]
fn strokes_are_alike_by_chance_and_only_copies_are_duplicates() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs_err::create_dir(&pictures).unwrap();
    (0..120).for_each(|k| stroke(k, 64).save(pictures.join(format!("{k:03}.png"))).unwrap());
    stroke(7, 256).save(pictures.join("copy-of-007.png")).unwrap();
    let source = Source::Folder { path: pictures, classes: false };
    let model = Autoencoder::random(Preprocessing { standardise: true }, 1).unwrap();
    hash(&source, &model, &HashConfig::default(), dir.path(), &mut go).unwrap();
    let mut set = Codes::read(&dir.path().join(hash::files::CODES)).unwrap();
    let pictures = Pictures::open(&dir.path().join(hash::files::PICTURES), 121).unwrap();
    // Each is a candidate of each.
    let first = set.codes[0];
    set.codes.fill(first);
    let config = GroupConfig { rule: Rule::Near, ..GroupConfig::default() };
    let found = near_groups(&set, &pictures, &dir.path().join("none"), None, &config, &mut go).unwrap();
    assert_eq!(found.n_candidates, 121 * 120 / 2);
    assert_eq!(found.groups[0], [7, 120], "the copy is the last");
    assert!(found.n_alike <= 3 && found.n_crowded >= 40, "{} {}", found.n_alike, found.n_crowded);
}
