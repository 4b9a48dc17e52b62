//! Which training pictures of CIFAR-10 are among its test pictures: `leaks FOLDER CIFAR GROUPING`.
//!
//! The second is the folder cifar-10-batches-bin, the last JSON as in a manifest: `'{"rule": "near"}'`. The first keeps the autoencoder and
//! the codes of `copies_found`; pairs are written as leaks.csv into it, and as a picture of pairs, leaks.png.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use dcgan_dedup::Autoencoder;
use dcgan_dedup::group::{GROUPS, group_against, read_groups};
use dcgan_dedup::hash::{HashConfig, Pictures, files::CODES, files::PICTURES, hash, read_keys};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_images::{Source, Split};
use image::RgbImage;

/// Pairs side by side, and one above another.
const SHEET: [u32; 2] = [10, 20];

fn go(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, cifar] = [0, 1].map(|k| PathBuf::from(&arguments[k]));
    let grouping = serde_json::from_str(&arguments[2]).unwrap();
    let model = Autoencoder::load(&folder.join("model").join(AUTOENCODER)).unwrap();
    let hashed = |split: Split, name: &str| {
        let at = folder.join(name);
        std::fs::create_dir_all(&at).unwrap();
        if !at.join(CODES).exists() {
            let source = Source::Cifar10 { path: cifar.clone(), split };
            hash(&source, &model, &HashConfig::default(), &at, &mut go).unwrap();
        }
        at
    };
    let (train, test) = (hashed(Split::Train, "codes"), hashed(Split::Test, "codes-test"));
    let clock = Instant::now();
    let out = folder.join("leaks");
    std::fs::create_dir_all(&out).unwrap();
    let summary = group_against(&test, &train, &grouping, &out, &mut go).unwrap();
    let seconds = clock.elapsed().as_secs_f64();
    println!(
        "{} of {} test pictures are among the {} training pictures ({seconds:.1} s)",
        summary.n_found, summary.n_images, summary.n_against
    );
    let groups = read_groups(&out.join(GROUPS)).unwrap();
    let pictures = |at: &PathBuf| {
        let keys = read_keys(&at.join(CODES), |_| true).unwrap();
        let pictures = Pictures::open(&at.join(PICTURES), keys.len() as u64).unwrap();
        let index: std::collections::HashMap<String, u32> =
            keys.into_iter().map(|(i, key)| (key, i)).collect();
        move |key: &str| pictures.read(&[index[key]]).unwrap()
    };
    let (of_test, of_train) = (pictures(&test), pictures(&train));
    let mut sheet = RgbImage::new(SHEET[0] * 70, SHEET[1] * 34);
    let mut table = "test,train,distance,pixel_distance\n".to_owned();
    let step = (groups.len() / (SHEET[0] * SHEET[1]) as usize).max(1);
    for (k, member) in groups.iter().flatten().enumerate() {
        let (key, train) = (&member.key, &member.representative);
        table += &format!("{key},{train},{},{:.3}\n", member.distance, member.pixel_distance);
        let place = (k / step) as u32;
        if k % step == 0 && place < SHEET[0] * SHEET[1] {
            for (side, bytes) in [of_test(key), of_train(train)].into_iter().enumerate() {
                let corner = [place % SHEET[0] * 70 + 33 * side as u32, place / SHEET[0] * 34];
                for i in 0..1024 {
                    let pixel = image::Rgb([0, 1, 2].map(|c| bytes[c * 1024 + i]));
                    sheet.put_pixel(corner[0] + i as u32 % 32, corner[1] + i as u32 / 32, pixel);
                }
            }
        }
    }
    std::fs::write(folder.join("leaks.csv"), table).unwrap();
    sheet.save(folder.join("leaks.png")).unwrap();
}
