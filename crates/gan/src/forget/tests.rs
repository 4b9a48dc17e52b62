use std::ops::ControlFlow;

use candle_core::Device;

use super::*;
use crate::{Architecture, ArchitectureName, BatchStatistics, Generator, sample::first_z};

// scikit-learn 1.9:
//   v = ((0.37 + 0.618034 * np.arange(300)) % 1.0) * 2 - 1; x = v.reshape(60, 5); x[:, 4] *= 3
//   y = x @ [1, -2, 0.5, 0, 0.3] + 0.7 * np.sin(7 * np.arange(60)) > 0.1
//   m = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10000).fit(x, y); print(m.coef_, m.intercept_)
#[test]
fn the_regression_agrees_with_scikit_learn() {
    let x = Array2::from_shape_fn((60, 5), |(row, column)| {
        let value = (0.37 + 0.618034 * (row * 5 + column) as f64).fract() * 2.0 - 1.0;
        if column == 4 { 3.0 * value } else { value }
    });
    let scores = x.dot(&Array1::from(vec![1.0, -2.0, 0.5, 0.0, 0.3]));
    let targets: Vec<bool> =
        scores.iter().enumerate().map(|(i, s)| s + 0.7 * (7.0 * i as f64).sin() > 0.1).collect();
    for (l2, expected, expected_intercept) in [
        (1.0, [1.054527, -2.28439, 1.51693, 0.045273, -0.166061], -0.032353),
        (0.01, [3.069329, -5.801969, 3.736713, 0.302234, -0.098416], -0.017678),
    ] {
        let (weights, intercept) = logistic(&x, &targets, l2).unwrap();
        for (ours, expected) in weights.iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-4, "{l2}: {weights}");
        }
        assert!((intercept - expected_intercept).abs() < 1e-4, "{l2}: {intercept}");
        // Whichever class is more frequent, a positive weight speaks for `true`.
        for kept in [true, false] {
            let rows: Vec<usize> = (0..60).filter(|&row| targets[row] == kept || row < 30).collect();
            let some: Vec<bool> = rows.iter().map(|&row| targets[row]).collect();
            let (weights, _) = logistic(&x.select(ndarray::Axis(0), &rows), &some, l2).unwrap();
            assert!(weights[0] > 0.0 && weights[1] < 0.0 && weights[2] > 0.0, "{kept}: {weights}");
        }
    }
}

fn generator() -> Generator {
    let architecture = Architecture { name: ArchitectureName::Svhn32, width: 0.1 };
    Generator::random(architecture.generator(), 3, &Device::Cpu).unwrap()
}

fn bounds(sample: usize, [x0, y0, x1, y1]: [usize; 4]) -> SampleBox {
    SampleBox { sample, bounds: PixelBox { x0, y0, x1, y1 } }
}

#[test]
fn places_in_boxes_are_counted_as_by_hand() {
    let generator = generator();
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(&generator, BatchStatistics::Inferred, 0, &mut observe).unwrap();
    let z = first_z(generator.config(), 6, 1).unwrap();
    // svhn32's second highest maps are 8×8: a place stands for 4×4 pixels, and their middles are at 2, 6, 10, …
    let boxes = [bounds(1, [0, 0, 8, 4]), bounds(1, [4, 0, 9, 7]), bounds(4, [0, 0, 32, 30])];
    let config = ForgetConfig::default();
    let found = learn(&sampler, &z, &boxes, &config, &mut observe).unwrap();
    // Picture 1: (0, 0), (1, 0) and (1, 1), as many beside them; picture 4: 7 of 8 rows, and the 8 places below them.
    assert_eq!((found.layer, found.weights.len(), found.n_places), (1, 13, [3 + 56, 3 + 8]));
    assert!(found.accuracy > 0.5);
    assert_eq!(found.random(5, 0).len(), found.positive().len());
    assert_ne!(found.random(5, 0), found.random(5, 1));
    assert_eq!(found, learn(&sampler, &z, &boxes, &config, &mut observe).unwrap());
    let other = ForgetConfig { seed: 1, ..config.clone() };
    assert_ne!(found, learn(&sampler, &z, &boxes, &other, &mut observe).unwrap());
    let highest = ForgetConfig { layer: 1, negatives: 2.0, ..config };
    let found = learn(&sampler, &z, &boxes[..1], &highest, &mut observe).unwrap();
    assert_eq!((found.layer, found.weights.len(), found.n_places), (2, 6, [8, 16]));
}

#[test]
fn boxes_and_settings_that_do_not_fit_are_refused() {
    let generator = generator();
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 0, &mut observe).unwrap();
    let z = first_z(generator.config(), 2, 1).unwrap();
    let mut fails = |boxes: &[SampleBox], config: &ForgetConfig| {
        learn(&sampler, &z, boxes, config, &mut observe).unwrap_err().to_string()
    };
    let config = ForgetConfig::default();
    assert_eq!(fails(&[], &config), "expected at least one box on 2 samples, found none");
    let told = fails(&[bounds(0, [0, 0, 1, 1])], &config);
    assert!(told.contains("8x8 maps") && told.contains("0 places in 1 box, 0 beside"), "{told}");
    let told = fails(&[bounds(0, [0, 0, 32, 32])], &config);
    assert!(told.contains("64 places in 1 box, 0 beside"), "{told}");
    let told = fails(&[bounds(2, [0, 0, 9, 9])], &config);
    assert!(told.contains("below 2, the number of samples, found 2"), "{told}");
    let told = fails(&[bounds(0, [0, 0, 9, 9])], &ForgetConfig { layer: 3, ..config });
    assert_eq!(told, "`layer`: expected 1 to 2, the generator's layers of feature maps, found 3");
}

#[test]
fn maps_that_are_dropped_no_longer_matter() {
    let generator = generator();
    let mut observe = |_, _| ControlFlow::Continue(());
    let sampler = Sampler::new(&generator, BatchStatistics::Inferred, 0, &mut observe).unwrap();
    let z = first_z(generator.config(), 3, 1).unwrap();
    let mut draw = |maps: &[usize]| sampler.clone().without(1, maps).unwrap().draw(&z, &mut observe).unwrap();
    let whole = draw(&[]);
    assert_ne!(draw(&[0, 2]), whole);
    let nothing = draw(&(0..13).collect::<Vec<_>>());
    assert_eq!(nothing[..3072], nothing[3072..6144], "without maps, z does not matter");
    assert_eq!(whole, sampler.draw(&z, &mut |_, _| ControlFlow::Continue(())).unwrap());
    for (layer, map) in [(1, 13), (0, 0), (3, 0)] {
        assert!(sampler.clone().without(layer, &[map]).is_err());
    }
}

#[test]
fn matched_controls_take_away_as_much_weight() {
    let architecture = Architecture { name: ArchitectureName::Svhn32, width: 0.5 };
    let generator = Generator::random(architecture.generator(), 3, &Device::Cpu).unwrap();
    let norms = outgoing_norms(&generator, 1).unwrap();
    assert_eq!(norms.len(), 64);
    // The kernel behind layer 1 is 5×5×32×64 of N(0, 0.02²).
    let expected = 0.02 * (5.0 * 5.0 * 32.0_f64).sqrt();
    assert!(norms.iter().all(|norm| (norm / expected - 1.0).abs() < 0.15), "{norms:?}");
    assert!(outgoing_norms(&generator, 3).is_err());

    // The object's maps are the heaviest: a random choice would take away far less.
    let norms: Vec<f64> = (0..64).map(|map| 1.0 + f64::from(map)).collect();
    let weights = (0..64).map(|map| if map >= 44 { 1.0 } else { -1.0 }).collect();
    let maps = ObjectMaps { layer: 1, weights, n_places: [1, 1], accuracy: 1.0 };
    let norm = |maps: &[usize]| maps.iter().map(|&map| norms[map].powi(2)).sum::<f64>().sqrt();
    let wanted = norm(&maps.positive());
    assert!(norm(&maps.random(0, 0)) < 0.9 * wanted);
    // All that is as heavy is the same choice; with lighter maps to give away there are many.
    let weights = (0..64).map(|map| if map % 3 == 1 { 1.0 } else { -1.0 }).collect();
    let maps = ObjectMaps { weights, ..maps };
    let wanted = norm(&maps.positive());
    for draw in 0..5 {
        let matched = maps.matched(&norms, 0, draw);
        assert_eq!(matched.len(), maps.positive().len());
        assert!((norm(&matched) / wanted - 1.0).abs() <= 0.01, "{} {wanted}", norm(&matched));
        assert!(matched.is_sorted() && matched.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(matched, maps.positive());
    }
    assert_ne!(maps.matched(&norms, 0, 0), maps.matched(&norms, 0, 1));
}
