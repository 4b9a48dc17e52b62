//! Times grouping on synthetic codes: `group_synthetic N_IMAGES [RADIUS …]`.
//!
//! The codes are those of the example `write_codes` of `dcgan-cluster` with 64 planted in a thousand: copies of earlier ones, half of them
//! with up to 8 bits changed.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use dcgan_dedup::Code;
use dcgan_dedup::group::{GroupConfig, UnionFind, equal_codes, near_pairs};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let n_images = arguments.next().unwrap_or(3_000_000);
    let radii: Vec<usize> = arguments.collect();
    let codes = synthetic_codes(n_images);
    println!("{n_images} codes, {:.0} MB in all so far", peak_megabytes());
    let clock = Instant::now();
    let groups = equal_codes(&codes);
    println!(
        "exact: {} groups in {:.2} s, peak {:.0} MB",
        groups.len(),
        clock.elapsed().as_secs_f64(),
        peak_megabytes()
    );
    drop(groups);
    for radius in radii {
        let clock = Instant::now();
        let mut sets = UnionFind::new(n_images as u32);
        let mut n_pairs = 0;
        let report = near_pairs(&codes, radius as u32, GroupConfig::default().bucket_cap, &mut |pairs| {
            n_pairs += pairs.len();
            pairs.iter().for_each(|pair| {
                sets.join(pair.first, pair.second);
            });
        });
        let n_groups = sets.groups().len();
        let seconds = clock.elapsed().as_secs_f64();
        println!(
            "radius {radius}: {n_pairs} pairs, {n_groups} groups in {seconds:.1} s, peak {:.0} MB; {report:?}",
            peak_megabytes()
        );
    }
}

fn synthetic_codes(n: usize) -> Vec<Code> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut codes: Vec<Code> = Vec::with_capacity(n);
    for i in 0..n {
        let is_planted = i > 0 && rng.random_range(0..1000) < 64;
        let mut code = match is_planted {
            true => codes[rng.random_range(0..i)],
            false => Code([rng.random(), rng.random()]),
        };
        if is_planted && rng.random() {
            for _ in 0..rng.random_range(1..=8) {
                code.0[rng.random_range(0..2)] ^= 1 << rng.random_range(0..64);
            }
        }
        codes.push(code);
    }
    codes
}

/// The process's largest resident memory so far.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1e3
}
