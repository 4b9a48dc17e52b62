use super::*;
use crate::preprocess::N_INPUTS;

/// A smooth picture, of which the window of `size` (in shares) at (left, top) fills the 32×32 pixels.
fn scene(seed: f32, [left, top]: [f32; 2], size: [f32; 2]) -> Vec<u8> {
    let value = |channel: usize, x: f32, y: f32| {
        let k = channel as f32 + seed;
        // Waves of the seed's own lengths: by a shift alone none becomes another.
        let f = 1.0 + 0.15 * (seed - 1.0);
        let (x, y) = (f * x, y / f);
        let waves = (7.0 * x + 3.0 * k).sin() + (9.0 * y - 2.0 * k).cos() + (13.0 * (x + y) + k * k).sin();
        let finer = 0.5 * (25.0 * x - 11.0 * y + k).sin();
        (128.0 + 30.0 * (waves + finer)) as u8
    };
    (0..N_INPUTS)
        .map(|i| {
            let at = |k: usize, start: f32, size: f32| start + size * (k as f32 + 0.5) / SIDE as f32;
            value(i / PLANE, at(i % SIDE, left, size[0]), at(i / SIDE % SIDE, top, size[1]))
        })
        .collect()
}

fn whole(seed: f32) -> Vec<u8> {
    scene(seed, [0.0; 2], [1.0; 2])
}

fn grey(pixels: &[u8]) -> Vec<u8> {
    let grey = luminance(&channels(pixels));
    grey.iter().flatten().map(|v| (v * 255.0).round() as u8).collect::<Vec<u8>>().repeat(3)
}

#[test]
fn crops_are_aligned() {
    assert!(pixel_distance(&whole(1.0), &whole(1.0)) < 1e-3);
    for (start, side) in [([0.0, 0.02], 0.98), ([0.05, 0.0], 0.95), ([0.1, 0.0], 0.9), ([0.03, 0.06], 0.9)] {
        let crop = scene(1.0, start, [side; 2]);
        let [a, b] = [whole(1.0), crop.clone()].map(|pixels| standardised(channels(&pixels)));
        let plain = distance(&a, &b, &Mover::new(Alignment::NONE), [0.0; 2]);
        let (found, other) = (pixel_distance(&whole(1.0), &crop), pixel_distance(&crop, &whole(1.0)));
        assert!(found < 0.2 && other < 0.2, "{side}: {found} {other} instead of {plain}");
        assert!(side > 0.95 || plain > 0.25, "{plain}");
    }
}

#[test]
fn pictures_of_another_aspect_ratio_are_aligned() {
    for size in [[0.9, 1.0], [1.0, 0.88]] {
        let squeezed = scene(1.0, size.map(|size| (1.0 - size) / 2.0), size);
        let (found, other) = (pixel_distance(&whole(1.0), &squeezed), pixel_distance(&squeezed, &whole(1.0)));
        assert!(found < 0.2 && other < 0.2, "{size:?}: {found} {other}");
    }
    // Far ones from where they are expected.
    let middle = scene(1.0, [0.125, 0.0], [0.75, 1.0]);
    let start = Alignment { zoom: [0.78, 1.0], shift: [0.5, 0.0] };
    let found = distance_from(&Prepared::new(&middle), &Prepared::new(&whole(1.0)), start);
    assert!(found < 0.1, "{found}");
}

#[test]
fn grey_and_blurred_copies_are_alike() {
    let picture = whole(1.0);
    assert!(
        pixel_distance(&picture, &grey(&picture)) < 0.05 && pixel_distance(&grey(&picture), &picture) < 0.05
    );
    let blurred: Vec<u8> = channels(&picture)
        .iter()
        .flat_map(|plane| smoothed(plane, 8))
        .flatten()
        .map(|v| (v * 255.0).round() as u8)
        .collect();
    let found = pixel_distance(&picture, &blurred);
    assert!(found < 0.15, "{found}");
    for seed in [2.0, 3.5, 5.2, 7.7] {
        let distances =
            [pixel_distance(&grey(&picture), &whole(seed)), pixel_distance(&blurred, &whole(seed))];
        assert!(distances.iter().all(|distance| *distance > 0.4), "{seed}: {distances:?}");
    }
}

#[test]
fn brightness_is_not_seen_and_other_pictures_stay_apart() {
    let picture = whole(1.0);
    let brighter: Vec<u8> = picture.iter().map(|&p| (f32::from(p) * 1.1).min(255.0) as u8).collect();
    assert!(pixel_distance(&picture, &brighter) < 0.05);
    for seed in [2.0, 3.5, 5.2, 7.7] {
        let distance = pixel_distance(&picture, &whole(seed));
        assert!(distance > 0.5, "{seed}: {distance}");
    }
}

/// A light sky over a dark ground, with faint waves of its own.
fn horizon(seed: f32, strength: f32) -> Vec<u8> {
    let detail = whole(seed);
    (0..N_INPUTS)
        .map(|i| {
            let ground = if i / SIDE % SIDE < 18 { 200.0 } else { 70.0 };
            (ground + strength * (f32::from(detail[i]) - 128.0)) as u8
        })
        .collect()
}

#[test]
fn one_horizon_is_not_enough_to_be_alike() {
    // A sea and a road: without their details the two are one.
    let (sea, road) = (horizon(1.0, 0.15), horizon(3.5, 0.15));
    let found = pixel_distance(&sea, &road);
    assert!(found > 0.4, "{found}");
    let brighter: Vec<u8> = sea.iter().map(|&p| (f32::from(p) * 1.1) as u8).collect();
    assert!(pixel_distance(&sea, &brighter) < 0.1);
    // With no more detail than noise there is nothing by which to tell them apart.
    assert!(pixel_distance(&horizon(1.0, 0.01), &horizon(3.5, 0.01)) < 0.25);
}

#[test]
fn plain_pictures_of_other_colours_are_not_alike() {
    let sea = |above: [u8; 3], below: [u8; 3], row: usize| -> Vec<u8> {
        let value = |i: usize| if i / SIDE % SIDE < row { above[i / PLANE] } else { below[i / PLANE] };
        (0..N_INPUTS).map(value).collect()
    };
    let picture = sea([120, 160, 230], [20, 60, 120], 14);
    for other in [
        sea([230, 140, 160], [150, 20, 30], 14),
        sea([120, 200, 90], [90, 40, 150], 16),
        grey(&sea([250, 250, 250], [5, 5, 5], 14)),
    ] {
        let distances = [pixel_distance(&picture, &other), pixel_distance(&other, &picture)];
        assert!(distances.iter().all(|distance| *distance > 0.5), "{distances:?}");
    }
    let brighter: Vec<u8> = picture.iter().map(|&p| (f32::from(p) * 1.1).min(255.0) as u8).collect();
    for copy in [brighter, grey(&picture), sea([120, 160, 230], [20, 60, 120], 15)] {
        let distance = pixel_distance(&picture, &copy);
        assert!(distance < 0.2, "{distance}");
    }
}

#[test]
fn flat_pictures_are_compared_by_colour() {
    let flat = |red: u8| [vec![red; PLANE], vec![90; 2 * PLANE]].concat();
    assert_eq!(pixel_distance(&flat(90), &flat(90)), 0.0);
    assert_eq!(pixel_distance(&flat(90), &flat(92)), 0.0);
    assert!(pixel_distance(&flat(90), &flat(110)) > 1.0);
    assert!(pixel_distance(&vec![0; N_INPUTS], &vec![255; N_INPUTS]) > 1.0);
    assert!(pixel_distance(&flat(90), &whole(1.0)) > 1.0);
}
