//! The files are Pillow 13.0's:
//! ```python
//! y, x = np.mgrid[0:40, 0:56]
//! a = np.stack([(x*x + y*y*2) // 9 % 256, (x*4 + y) % 256, (x*y) // 8 % 256], -1).astype(np.uint8)
//! im = Image.fromarray(a)
//! for name, options in [
//!     ("BASELINE", dict(optimize=True)),
//!     ("PROGRESSIVE", dict(progressive=True)),
//!     ("RESTARTS", dict(optimize=True, restart_marker_blocks=2)),
//! ]:
//!     im.save(name + ".jpg", quality=60, **options)
//! cmyk = np.concatenate([a, a[..., :1] // 2], -1)[:16, :16]
//! Image.fromarray(cmyk, "CMYK").save("CMYK.jpg", quality=80, optimize=True)
//! ```

use base64::Engine as _;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::{Damaged, DecodeConfig, Filter, ImagesError, Picture, decode, decode_reduced, decode_thumbnail};

const BASELINE: &str = "\
     /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV\
     pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAo\
     ADgDASIAAhEBAxEB/8QAGgAAAwEBAQEAAAAAAAAAAAAAAAQFAwcCAf/EAC4QAAEEAQIEAwcFAAAAAAAAAAEAAgMEMREhEhNBYSIygRQVI1FSU3\
     GRorHR8P/EABoBAAIDAQEAAAAAAAAAAAAAAAMEAQIFBgD/xAAlEQACAgECBgIDAAAAAAAAAAABAgADBBEhBRITMUFRIsEzYZH/2gAMAwEAAhED\
     EQA/AOcRNT0LVjDGn4I8JdzrKshjEDcKnWZhK148KpWiwkrV1nlQxyqzCsVmho4nEADck9ElViwmrj+TU4G+eXw+nX/d1nvTztoI0bBRWbG8Sf\
     TZhCcpxYQrPTvOWqU8s53DD2T8EPZe4a/ZUIK+NlpdTWd0+GZ8rw42VWtDjZZMbFCAZXtZ1Gpz+F794N4S2swl2ONw2HcBQEZ+widxpx/yHf15\
     lJ0kdSIPfuT5W9SUqzmWJeZKdSf0A+QWEMT5ZDJIS5zjqSVYqVsbIy0BB+5g5N1mW2gGijx9mb04MbIVCPlVWB0x01wANyhU6DNuBKE0U/F2AM\
     5FDau/d/Y3+k6yW3JpxTPGn0+H+EIRFA9Tbtexti5/pjderjZVq1XGyEI3MYoMdPUsVKmNk37VFCA2ECV/Y7D16oQjUoHPyi3EbDjVr0+5mU8j\
     4qs12x8QxRl2h210GunZCEKXyjVYU5QRt31+iIXg3C8bLrZ7hqdfZn//2Q==";
const PROGRESSIVE: &str = "\
     /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV\
     pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAAo\
     ADgDASIAAhEBAxEB/8QAGQAAAwEBAQAAAAAAAAAAAAAAAAMEAgYB/8QAGQEAAgMBAAAAAAAAAAAAAAAAAgMAAQQF/9oADAMBAAIQAxAAAAHm34\
     oXTKVVIjrEtztnHF8rnX6o093yvGomlS7DwMKAa5B4FtbWBqscBqwBZ//EABoQAAMBAQEBAAAAAAAAAAAAAAABAhEhEhP/2gAIAQEAAQUCQhEk\
     kkCQkSiUSi+TCEhIlEo1Su04QpFJxH0EtcyLJFVm0yZJkmT0kN5P/8QAHxEAAgICAgMBAAAAAAAAAAAAAAECAwQSEyEiMkFh/9oACAEDAQE/AW\
     hI20jsyK6HST0r9iycrX+HhDpsk5P6caMiXHFamHi12xbmf//EABoRAAMBAQEBAAAAAAAAAAAAAAABEQISAzH/2gAIAQIBAT8BZpDxWPB0RsWI\
     cNiKYV+j9edSH//EAB4QAAEDBAMAAAAAAAAAAAAAAAABESECECAxIjBx/9oACAEBAAY/Auz3N1wk4jraTZvCJFrqlkP/xAAeEAEAAQQCAwAAAA\
     AAAAAAAAABABEgITEQgUFR8f/aAAgBAQABPyEQwwQwUywXUEsZvC49WpPRCwDQbQSilBn2xtgvFQ1n5hDafWLF9XNG8sE//9oADAMBAAIAAwAA\
     ABDh7INOk0KP6Pz/xAAcEQEBAAICAwAAAAAAAAAAAAABABFBIVExkcH/2gAIAQMBAT8QWWQ2iaNLyOet2JBga+svEhuMX7Y6ZtwxZZc9t//EAB\
     sRAQEAAwADAAAAAAAAAAAAAAEAESExUWHB/9oACAECAQE/EHmzWqLdbRykJ93YEDxZQuM2JNdz8S//xAAiEAACAwACAgEFAAAAAAAAAAAAAREh\
     MUFhEPBxUYGRwfH/2gAIAQEAAT8Q8RkZmIpJEkrbfBj4MjAzMT+Lbn3sxOg6jCjKhDvb+RsuWW/wl9EY0dBlQqT51S9+Cw28RUu0huY2JbZnRC\
     sicSVs9O/RHQY9KMKMqM6ISQut0vvyXZHQdTCmOj//2Q==";
const RESTARTS: &str = "\
     /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV\
     pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAo\
     ADgDASIAAhEBAxEB/8QAGwAAAwEAAwEAAAAAAAAAAAAAAAQFAwECBgf/xAAuEAABBAECBAMHBQAAAAAAAAABAAIDBDERIRITQWEiMoEUFSNRUl\
     NxkaKx0fD/xAAaAQACAwEBAAAAAAAAAAAAAAACBAEDBQYA/8QAJREAAgIBAgYCAwAAAAAAAAAAAQIAAwQRIQUSEzFBUSLBM2GR/90ABAAC/9oA\
     DAMBAAIRAxEAPwD5xE1PQtWMMafgjwl3OsFkMYgbhU6zMJWvHhVK0WElaus8qGf/0OarMKxWaGjicQANyT0SVWLCauP5NTgb55fD6df93XNPTz\
     toIwbBRWbG8SfTZhCcpxYQienectUp5Z//0fGww9k/BD2XeGv2VCCvjZZ3U1my+GZxXhxsqtaHGyyY2KEAyvazqNTn8Lv7wbwltZhLscbhsO4C\
     gIz9hE7jTj/kO/rzP//SqOkjqRB79yfK3qSlWcyxLzJTqT+gHyCwhifLIZJCXOcdSSrFStjZJrQEH7mdk3WZbaAaKPH2ZvTgxshUI+VVYHTHTX\
     AA3KEHQZtwIBNFPxdgDP/T8pDau/d/Y3+k6yW3JpxTPGn0+H+EISigepfa9jbFz/TG69XGyrVquNkIV3MYoMdPU//Ut1KmNk37VFCA2ECV/Y7D\
     16oQppQOflEuI2HGrXp9zMp5HxVZrtj4hijLtDtroNdOyEIUvlGqwpygjbvr9ES3g3C8bLrZ7hqdfZn/2Q==";
const CMYK: &str = "\
     /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAGBAUGBQQGBgUGBwcGCAoQCgoJCQoUDg8MEBcUGBgXFBYWGh0lHxobIxwWFiAsICMmJykqKRkfLTAtKD\
     AlKCko/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABkAAAIDAQAAAAAAAAAAAAAAAAQIAAUGA//EAB4QAAEEAwADAAAAAAAAAAAAAAABAgMRBAUx\
     IjJR/9oADgRDAE0AWQBLAAA/AGifMlDJbKTo1DnUNM56UVuZMlKZTZSdOTpaBpnoVsmzSvY0Gyk6SZ1AzslK6V2Zs0pfIyuyk6ATS0DTZKfT/9\
     k=";

const REFUSE: DecodeConfig = DecodeConfig { max_pixels: 1 << 20, damaged: Damaged::Refuse };
const ALLOW: DecodeConfig = DecodeConfig { damaged: Damaged::Allow, ..REFUSE };

fn file(base64: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

/// 256×256 pixels of waves with some noise.
fn photo() -> Vec<u8> {
    let value = |i: u32| {
        let (x, y) = (i / 3 % 256, i / 768);
        let noise = i.wrapping_mul(2_654_435_761) >> 27;
        (100.0 + 60.0 * (x as f32 * 0.07 + y as f32 * 0.05).sin()) as u8 + noise as u8
    };
    let values: Vec<u8> = (0..3 * 256 * 256).map(value).collect();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85)
        .write_image(&values, 256, 256, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// The complaint, which is the same for every stage's way of decoding.
fn complaint(bytes: &[u8]) -> String {
    let whole = decode(bytes, REFUSE).map(|_| ());
    let thumbnail = decode_thumbnail(bytes, 16, Filter::default(), REFUSE).map(|_| ());
    let reduced = decode_reduced(bytes, &|_, _| 0.1, REFUSE).map(|_| ());
    let [a, b, c] = [whole, thumbnail, reduced].map(|result| match result {
        Err(ImagesError::BadPicture { reason }) => reason,
        other => panic!("{other:?}"),
    });
    assert!(a == b && b == c, "{a} / {b} / {c}");
    a
}

fn sum(picture: &Picture) -> u64 {
    picture.pixels.iter().map(|&value| u64::from(value)).sum()
}

/// Where the first scan's data begins.
fn scan_start(bytes: &[u8]) -> usize {
    let start = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    start + 2 + usize::from(bytes[start + 3])
}

#[test]
fn pixels_are_pillow_s() {
    for name in [BASELINE, PROGRESSIVE, RESTARTS] {
        let picture = decode(&file(name), REFUSE).unwrap();
        assert_eq!((picture.channels, picture.height, picture.width), (3, 40, 56));
        let pixel = |y: usize, x: usize| [0, 1, 2].map(|c| picture.pixels[(c * 40 + y) * 56 + x]);
        assert_eq!([pixel(5, 7), pixel(12, 3), pixel(39, 55)], [[11, 32, 1], [33, 25, 2], [73, 50, 0]]);
        assert_eq!(sum(&picture), 685_447);
    }
    let picture = decode(&file(CMYK), REFUSE).unwrap();
    assert_eq!((picture.channels, picture.height, picture.width), (3, 16, 16));
    assert_eq!([0, 1, 2].map(|c| picture.pixels[(c * 16 + 5) * 16 + 7]), [238, 217, 245]);
    assert_eq!(sum(&picture), 169_461);
}

#[test]
fn lost_data_makes_a_picture_bad() {
    let good = photo();
    assert!(decode(&good, REFUSE).is_ok());
    let mut damaged = good.clone();
    let quarter = damaged.len() / 4;
    damaged[quarter..quarter + 512].fill(0xff);
    // A marker without meaning, for the complaint to be the same whatever stood there.
    damaged[quarter + 512] = 0x01;
    assert_eq!(complaint(&damaged), "damaged: Corrupt JPEG data: premature end of data segment");
    // What it would be: grey for the most part.
    let grey = decode(&damaged, ALLOW).unwrap();
    assert!(grey.pixels.iter().filter(|&&value| value == 128).count() > grey.pixels.len() / 2);
    // Lost within the data, so that the blocks end before or behind it.
    let start = scan_start(&good);
    let cut = [&good[..start + 2000], &good[start + 2500..]].concat();
    assert!(complaint(&cut).starts_with("damaged: Corrupt JPEG data"), "{}", complaint(&cut));
    let doubled = [&good[..start + 2500], &good[start + 2000..]].concat();
    assert!(complaint(&doubled).starts_with("damaged: Corrupt JPEG data"), "{}", complaint(&doubled));
    let broken_off = &good[..good.len() / 2];
    assert!(complaint(broken_off).starts_with("breaks off"));
    assert!(complaint(&[broken_off, &[0xff, 0xd9]].concat()).starts_with("damaged: "));
    assert!(decode(broken_off, ALLOW).is_ok());
}

#[test]
fn damage_is_found_in_progressive_files_and_between_restarts() {
    let progressive = file(PROGRESSIVE);
    let start = scan_start(&progressive);
    // The first scan ends early, the others follow.
    let cut = [&progressive[..start + 4], &progressive[start + 24..]].concat();
    assert!(complaint(&cut).starts_with("damaged: Corrupt JPEG data"), "{}", complaint(&cut));
    let restarts = file(RESTARTS);
    let marker = |n: u8| restarts.windows(2).position(|pair| pair == [0xff, 0xd0 + n]).unwrap();
    let cut = [&restarts[..marker(1)], &restarts[marker(2)..]].concat();
    assert_eq!(complaint(&cut), "damaged: Corrupt JPEG data: found marker 0xd2 instead of RST1");
}

#[test]
fn what_is_odd_without_loss_is_taken() {
    let (good, expected) = (file(BASELINE), 685_447);
    let taken = |bytes: &[u8]| sum(&decode(bytes, REFUSE).unwrap());
    let end = good.len() - 2;
    for padding in [&[0; 300][..], &[0xff; 5], &[0, 0, 0xff]] {
        assert_eq!(taken(&[&good[..end], padding, &good[end..]].concat()), expected);
    }
    // A segment that is longer than it says, and a version of JFIF that nobody knows.
    let segment = b"\xff\xfe\0\x04abcd\0";
    assert_eq!(taken(&[&good[..20], segment, &good[20..]].concat()), expected);
    let mut version = good.clone();
    version[11] = 9;
    assert_eq!(taken(&version), expected);
    // Some programs put their own data before the end: here 2,000 bytes of no meaning.
    let data: Vec<u8> = (1..=2000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 25) as u8).collect();
    for base in [&good, &file(RESTARTS)] {
        let end = base.len() - 2;
        assert_eq!(taken(&[&base[..end], &data, &base[end..]].concat()), expected);
    }
    // Blocks there were once blocks of the picture.
    let start = scan_start(&good);
    let blocks = [&good[..end], &good[start..end], &good[end..]].concat();
    assert!(complaint(&blocks).contains("extraneous bytes before marker 0xd9"), "{}", complaint(&blocks));
}

#[test]
fn what_follows_a_picture_is_not_looked_at() {
    let good = file(BASELINE);
    let video = [b"\0\0\0\x18ftypmp42".as_slice(), &[0x5a; 1000], b"\xff\xda\xff\xd8\xff"].concat();
    for tail in [b"xx\xff\xdaxx".as_slice(), &video, &good, &good[..300]] {
        let motion = [&good, tail].concat();
        assert_eq!(sum(&decode(&motion, REFUSE).unwrap()), 685_447);
        assert!(decode_thumbnail(&motion, 8, Filter::default(), REFUSE).is_ok());
    }
}

#[test]
fn hostile_headers_are_refused() {
    let good = file(BASELINE);
    let frame = good.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let with_size = |[height, width]: [u16; 2]| {
        let mut bytes = good.clone();
        bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        bytes
    };
    assert_eq!(complaint(&with_size([50_000, 50_000])), "expected 1 to 1048576 pixels, found 50000×50000");
    assert_eq!(complaint(&with_size([0, 56])), "expected 1 to 1048576 pixels, found 56×0");
    // A second frame, whichever of the two is the large one.
    let large = with_size([50_000, 50_000]);
    let frame_of = |bytes: &[u8]| bytes[frame..frame + 19].to_vec();
    for second in [frame_of(&large), frame_of(&good)] {
        let two = [&good[..frame + 19], &second, &good[frame + 19..]].concat();
        assert!(complaint(&two).starts_with("cannot be decoded"), "{}", complaint(&two));
    }
    let scan = good.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let scans = [&good[..scan], &good[scan..good.len() - 2].repeat(600), &good[good.len() - 2..]].concat();
    assert_eq!(complaint(&scans), "cannot be decoded: a JPEG of more than 500 scans");
    assert!(complaint(b"\xff\xd8\xff").starts_with("breaks off"));
    assert!(complaint(b"\xff\xd8\xff\xd9").starts_with("cannot be decoded"));
    // Whatever the damage, it is an error or a picture, never a panic.
    for base in [good, file(PROGRESSIVE), file(RESTARTS), file(CMYK)] {
        for i in 0..base.len() {
            let mut broken = base.clone();
            broken[i] ^= 0x55;
            let _ = decode(&broken, ALLOW);
            let _ = decode_thumbnail(&broken, 32, Filter::default(), REFUSE);
        }
    }
}
