use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::*;
use crate::{Damaged, DecodeConfig, Filter, ImagesError, Resize, decode};

const CONFIG: DecodeConfig = DecodeConfig { max_pixels: 1 << 20, damaged: Damaged::Refuse };

/// 301×211 pixels of slow waves.
fn waves() -> (Vec<u8>, u32, u32) {
    let value = |x: u32, y: u32, c: u32| {
        let phase = x as f32 * (0.05 + 0.02 * c as f32) + y as f32 * 0.07;
        (128.0 + 100.0 * phase.sin()) as u8
    };
    let values = (0..211 * 301).flat_map(|i| (0..3).map(move |c| value(i % 301, i / 301, c))).collect();
    (values, 301, 211)
}

fn jpeg(orientation: u8) -> Vec<u8> {
    let (values, width, height) = waves();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&values, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn webp() -> Vec<u8> {
    let (values, width, height) = waves();
    let mut bytes = Vec::new();
    WebPEncoder::new_lossless(&mut bytes).encode(&values, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn reason(bytes: &[u8], config: DecodeConfig) -> String {
    match decode_thumbnail(bytes, 32, Filter::default(), config) {
        Err(ImagesError::BadPicture { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// The root mean square difference of two pictures.
fn difference(a: &Picture, b: &Picture) -> f64 {
    let sum: f64 = a.pixels.iter().zip(&b.pixels).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    (sum / a.pixels.len() as f64).sqrt()
}

#[test]
fn a_thumbnail_is_the_full_picture_made_small() {
    for (bytes, n) in
        [(jpeg(1), 24), (jpeg(1), 32), (jpeg(1), 100), (jpeg(6), 32), (webp(), 32), (webp(), 150)]
    {
        let whole = decode(&bytes, CONFIG).unwrap();
        let (height, width) = (whole.height, whole.width);
        let expected = Resize::MinResizeCentreCrop(n).apply(whole, Filter::default()).unwrap();
        let found = decode_thumbnail(&bytes, n, Filter::default(), CONFIG).unwrap();
        assert_eq!((found.height, found.width), (height, width));
        let off = difference(&expected, &found.picture);
        assert!(off < 2.5, "{n}: {off}");
    }
}

#[test]
fn a_reduced_picture_is_as_large_as_asked_for() {
    // 301×211; a quarter of 211 is 53, an eighth 27.
    for (bytes, share, size) in [
        (jpeg(1), 0.2, [53, 76]),
        (jpeg(1), 0.1, [27, 38]),
        (jpeg(1), 0.9, [211, 301]),
        (jpeg(6), 0.1, [301, 211]),
    ] {
        let found = decode_reduced(&bytes, &|_, _| share, CONFIG).unwrap();
        assert_eq!([found.picture.height, found.picture.width], size);
        assert!(found.scale.iter().all(|&scale| scale >= share), "{:?}", found.scale);
        let whole = decode(&bytes, CONFIG).unwrap();
        assert_eq!((found.height, found.width), (whole.height, whole.width));
        // What lies beyond the last whole block's share of the photo is not the photo's.
        let made_small = |picture: &Picture, [rows, columns]: [f64; 2]| {
            let (width, height) = (whole.width as f64 * columns, whole.height as f64 * rows);
            picture
                .scaled(Window { left: 0.0, top: 0.0, width, height }, [20, 20], Filter::default())
                .unwrap()
        };
        let off = difference(&made_small(&found.picture, found.scale), &made_small(&whole, [1.0; 2]));
        assert!(off < 4.0, "{share}: {off}");
    }
    let found = decode_reduced(&webp(), &|height, _| 100.0 / height as f64, CONFIG).unwrap();
    assert_eq!((found.picture.height, found.height), (100, 211));
}

#[test]
fn grey_and_png_are_decoded_too() {
    let mut bytes = Vec::new();
    JpegEncoder::new(&mut bytes).write_image(&[90; 70 * 70], 70, 70, ExtendedColorType::L8).unwrap();
    let grey = decode_thumbnail(&bytes, 16, Filter::default(), CONFIG).unwrap();
    assert_eq!((grey.picture.channels, grey.picture.height, grey.height), (1, 16, 70));
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&[1, 2, 3], 1, 1, ExtendedColorType::Rgb8).unwrap();
    let png = decode_thumbnail(&bytes, 1, Filter::default(), CONFIG).unwrap();
    assert_eq!(png.picture.pixels, [1, 2, 3]);
}

#[test]
fn broken_and_large_files_are_refused() {
    let (jpeg, webp) = (jpeg(1), webp());
    assert!(reason(&jpeg[..jpeg.len() / 2], CONFIG).starts_with("breaks off"));
    assert!(reason(&webp[..webp.len() / 2], CONFIG).starts_with("cannot be decoded"));
    assert_eq!(
        reason(&jpeg, DecodeConfig { max_pixels: 1000, ..CONFIG }),
        "expected 1 to 1000 pixels, found 301×211"
    );
    assert_eq!(
        reason(&webp, DecodeConfig { max_pixels: 1000, ..CONFIG }),
        "expected 1 to 1000 pixels, found 301×211"
    );
    assert_eq!(reason(b"", CONFIG), "no JPEG, PNG, WebP, GIF, BMP or TIFF: the file is empty");
    // A Huffman table that is none.
    let mut broken = jpeg.clone();
    let table = broken.windows(2).position(|pair| pair == [0xff, 0xc4]).unwrap();
    broken[table + 5..table + 21].fill(0xff);
    assert!(reason(&broken, CONFIG).starts_with("cannot be decoded"));
    // Whatever the damage, it is an error or a picture, never a panic.
    for i in (0..jpeg.len()).step_by(7) {
        let mut broken = jpeg.clone();
        broken[i] ^= 0x55;
        let _ = decode_thumbnail(&broken, 32, Filter::default(), CONFIG);
    }
}
