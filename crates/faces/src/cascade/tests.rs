//! Against `rustface`, another implementation of the same cascade. It takes shortcuts in other places (a window that leaves the
//! picture is moved, not only padded; other rounding of scaled pixels), so that boxes differ by a few pixels at times.

use dcgan_images::decode;
use rustface::ImageData;

use super::*;
use crate::testing::photo;

fn peer() -> Box<dyn rustface::Detector> {
    let model = rustface::read_model(&include_bytes!("../../model/seeta_fd_frontal_v1.0.bin")[..]).unwrap();
    let mut peer = rustface::create_detector_with_model(model);
    peer.set_score_thresh(4.0);
    peer
}

fn theirs(peer: &mut dyn rustface::Detector, grey: &[u8], width: usize) -> Vec<Window> {
    let found = peer.detect(&ImageData::new(grey, width as u32, (grey.len() / width) as u32));
    let window = |face: &rustface::FaceInfo| Window {
        x: face.bbox().x(),
        y: face.bbox().y(),
        side: face.bbox().width() as i32,
        score: face.score(),
    };
    found.iter().map(window).collect()
}

fn ours(cascade: &Cascade, grey: &[u8], width: usize, scratch: &mut Scratch) -> Vec<Window> {
    let mut found = cascade.detect(grey, width, 0.3, scratch);
    found.retain(|window| window.score >= 4.0);
    found
}

/// How many of `some` have their like in `others`.
fn n_alike(some: &[Window], others: &[Window]) -> usize {
    some.iter().filter(|window| others.iter().any(|other| window.overlap(other) > 0.7)).count()
}

#[test]
fn drawn_faces_are_found_where_rustface_finds_them() {
    let cascade = Cascade::embedded().unwrap();
    let mut scratch = Scratch::default();
    let faces = [[60.0, 70.0, 45.0], [200.0, 90.0, 60.0], [310.0, 60.0, 28.0]];
    for n_faces in 0..=3 {
        let picture = photo(380, 200, &faces[..n_faces]);
        let found = ours(&cascade, &picture.pixels, 380, &mut scratch);
        let expected = theirs(peer().as_mut(), &picture.pixels, 380);
        assert_eq!((found.len(), n_alike(&found, &expected)), (n_faces, n_faces), "{found:?} {expected:?}");
        for [x, y, radius] in &faces[..n_faces] {
            let is_it = |window: &Window| {
                let middle = |at: i32| f64::from(at) + f64::from(window.side) / 2.0;
                (middle(window.x) - x).hypot(middle(window.y) - y - 0.15 * radius) < 0.3 * radius
            };
            assert!(found.iter().any(is_it), "{x} {y}: {found:?}");
        }
    }
}

#[test]
fn small_pictures_have_no_faces() {
    let cascade = Cascade::embedded().unwrap();
    for (width, height) in [(1, 1), (39, 200), (200, 39), (40, 40)] {
        assert_eq!(cascade.detect(&vec![9; width * height], width, 0.3, &mut Scratch::default()), []);
    }
}

#[test]
fn real_photos_give_what_rustface_gives() {
    let Some(real) = dcgan_testing::real_data() else { return };
    let (cascade, mut peer, mut scratch) = (Cascade::embedded().unwrap(), peer(), Scratch::default());
    let folder = real.join("faces/lfw150");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let [mut n_ours, mut n_theirs, mut ours_alike, mut theirs_alike] = [0; 4];
    for file in files.iter().step_by(5) {
        let picture = decode(&std::fs::read(file).unwrap(), Default::default()).unwrap();
        let (grey, width) = (picture.luma(), picture.width);
        let (found, expected) =
            (ours(&cascade, &grey, width, &mut scratch), theirs(peer.as_mut(), &grey, width));
        n_ours += found.len();
        n_theirs += expected.len();
        ours_alike += n_alike(&found, &expected);
        theirs_alike += n_alike(&expected, &found);
    }
    eprintln!("{ours_alike} of {n_ours} ours, {theirs_alike} of {n_theirs} theirs");
    assert!(n_ours > 200 && ours_alike * 100 >= n_ours * 98 && theirs_alike * 100 >= n_theirs * 98);
}
