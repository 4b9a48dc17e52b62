//! Images a second: hashing against decoding and resizing alone, in one run.
//!
//! `hash_speed AUTOENCODER FOLDER [lsun]`: the folder holds pictures, or, with `lsun`, `data.mdb`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use dcgan_dedup::hash::{HashConfig, hash};
use dcgan_dedup::{Autoencoder, SIDE};
use dcgan_images::{DecodeConfig, Filter, Record, Source};
use rayon::prelude::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = Autoencoder::load(arguments[0].as_ref()).unwrap();
    let path = PathBuf::from(&arguments[1]);
    let source = match arguments.get(2) {
        Some(_) => Source::Lsun { path },
        None => Source::Folder { path, classes: false },
    };
    let n = source.n_images().unwrap().unwrap() as f64;
    for _ in 0..5 {
        let clock = Instant::now();
        decode_all(&source);
        let decoding = n / clock.elapsed().as_secs_f64();
        let out = tempfile::tempdir().unwrap();
        let clock = Instant::now();
        hash(&source, &model, &HashConfig::default(), out.path(), &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        let hashing = n / clock.elapsed().as_secs_f64();
        println!(
            "decode and resize {decoding:.0} a second, hash {hashing:.0}: {:.1} %",
            100.0 * hashing / decoding
        );
    }
}

/// Decodes and resizes everything on all threads, a thousand records at a time.
fn decode_all(source: &Source) {
    let mut records = source.records().unwrap();
    loop {
        let chunk: Vec<Record> = records.by_ref().take(1024).map(|record| record.unwrap()).collect();
        if chunk.is_empty() {
            return;
        }
        let n_bytes: usize = chunk
            .into_par_iter()
            .map(|record| {
                record.payload.into_thumbnail(SIDE, Filter::CatmullRom, DecodeConfig::default()).unwrap()
            })
            .map(|thumbnail| thumbnail.picture.pixels.len())
            .sum();
        assert!(n_bytes > 0);
    }
}
