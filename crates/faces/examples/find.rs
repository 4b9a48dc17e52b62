//! Finds the faces of a folder's photos, and prints what it takes to compare it with another detector.
//!
//! ```text
//! cargo run --release -p dcgan-faces --example find PHOTOS SMALLEST [SCORE]
//! ```
//!
//! Photos that cannot be decoded are left out. Prints JSON: the boxes of each file (x, y, width, height, score), the seconds for all photos on all threads from file to crops,
//! of detection alone with the photos decoded before, and the shares of decoding, detection and cropping in the time of the threads.
//! Faces smaller than SMALLEST pixels are not looked for. `opencv.py` beside it does the same with OpenCV, alternately.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dcgan_faces::{CropConfig, DetectorConfig, DetectorScratch, Face, FaceDetector, Result};
use dcgan_images::{DecodeConfig, Payload, Picture, ReducedPicture};
use rayon::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(folder), Some(smallest)) = (arguments.first(), arguments.get(1)) else {
        return Err("expected PHOTOS SMALLEST [SCORE]".into());
    };
    let score = arguments.get(2).map(|score| score.parse()).transpose()?;
    let config =
        DetectorConfig { smallest: smallest.parse()?, look_below: 1.0, score, ..DetectorConfig::default() };
    let detector = FaceDetector::new(&config)?;
    let crop = CropConfig::default();
    let mut files: Vec<PathBuf> = fs_err::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jpg"));
    files.sort();
    let decode =
        |file: &PathBuf| Payload::File(file.clone()).into_reduced(&|_, _| 1.0, DecodeConfig::default()).ok();
    let photos: Vec<Option<ReducedPicture>> = files.par_iter().map(decode).collect();
    let (files, photos): (Vec<PathBuf>, Vec<ReducedPicture>) =
        files.into_iter().zip(photos).filter_map(|(file, photo)| Some((file, photo?))).unzip();

    let start = Instant::now();
    let each = files
        .par_iter()
        .map_init(DetectorScratch::default, |scratch, file| look(file.clone(), &detector, &crop, scratch));
    let each: Vec<([Duration; 3], Vec<Picture>)> = each.collect::<Result<_>>()?;
    let seconds = start.elapsed().as_secs_f64();
    let spent = |k: usize| each.iter().map(|(times, _)| times[k].as_secs_f64()).sum::<f64>();
    let n_crops: usize = each.iter().map(|(_, crops)| crops.len()).sum();
    let shares: Vec<f64> = (0..3).map(|k| spent(k) / (spent(0) + spent(1) + spent(2))).collect();

    let start = Instant::now();
    let found = photos
        .par_iter()
        .map_init(DetectorScratch::default, |scratch, photo| detector.detect(photo, scratch));
    let found: Vec<Vec<Face>> = found.collect::<Result<_>>()?;
    let detect_seconds = start.elapsed().as_secs_f64();

    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let values = |face: &Face| [face.x, face.y, face.width, face.height, face.score];
    let boxes: BTreeMap<String, Vec<[f32; 5]>> = files
        .iter()
        .zip(&found)
        .map(|(file, faces)| (name(file), faces.iter().map(values).collect()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "seconds": seconds, "detect_seconds": detect_seconds, "decode_detect_crop": shares, "n_crops": n_crops, "boxes": boxes,
        })
    );
    Ok(())
}

/// The time of decoding, detection and cropping, and the crops.
fn look(
    file: PathBuf,
    detector: &FaceDetector,
    crop: &CropConfig,
    scratch: &mut DetectorScratch,
) -> Result<([Duration; 3], Vec<Picture>)> {
    let start = Instant::now();
    let least_scale = |height: usize, width: usize| {
        detector.config().least_scale(height, width).max(crop.least_scale(detector.config(), height, width))
    };
    let photo = Payload::File(file).into_reduced(&least_scale, DecodeConfig::default())?;
    let decoded = start.elapsed();
    let faces = detector.detect(&photo, scratch)?;
    let detected = start.elapsed();
    let crops = faces.iter().map(|face| crop.crop(&photo, face)).collect::<Result<_>>()?;
    Ok(([decoded, detected - decoded, start.elapsed() - detected], crops))
}
