//! Writes synthetic codes as `hash_images` does, for measurements: `write_codes FOLDER N_IMAGES PLANTED_IN_A_THOUSAND`.
//!
//! Planted codes are copies of earlier ones, half of them with up to 8 bits changed.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use dcgan_dedup::hash::files::CODES;
use dcgan_files::columns::{Column, ROW_GROUP, Writer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SCHEMA: &str = "message codes {
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED INT64 word0 (INTEGER(64, false));
    REQUIRED INT64 word1 (INTEGER(64, false));
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
}";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, n_images, planted] = &arguments[..] else { panic!("FOLDER N_IMAGES PLANTED_IN_A_THOUSAND") };
    let (folder, n_images) = (PathBuf::from(folder), n_images.parse::<usize>().unwrap());
    let planted: u32 = planted.parse().unwrap();
    fs_err::create_dir_all(&folder).unwrap();
    let mut writer = Writer::create(&folder.join(CODES), SCHEMA).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut codes: Vec<[u64; 2]> = Vec::with_capacity(n_images);
    while codes.len() < n_images {
        let start = codes.len();
        for _ in start..n_images.min(start + ROW_GROUP) {
            let is_planted = !codes.is_empty() && rng.random_range(0..1000) < planted;
            let mut code = match is_planted {
                true => codes[rng.random_range(0..codes.len())],
                false => [rng.random(), rng.random()],
            };
            if is_planted && rng.random() {
                for _ in 0..rng.random_range(1..=8) {
                    code[rng.random_range(0..2)] ^= 1 << rng.random_range(0..64);
                }
            }
            codes.push(code);
        }
        let new = &codes[start..];
        let keys = (start..codes.len()).map(|image| format!("{image:09}")).collect();
        let word = |k: usize| Column::U64(new.iter().map(|code| code[k]).collect());
        let sides = || Column::U32(vec![64; new.len()]);
        writer.write(&[Column::Strings(keys), word(0), word(1), sides(), sides()]).unwrap();
    }
    writer.finish().unwrap();
}
