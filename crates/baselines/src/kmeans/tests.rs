use std::ops::ControlFlow;
use std::path::Path;

use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};

use super::lloyd::{assign, update};
use super::patches::{Purpose, stream};
use super::whitening::Whitening;
use super::*;
use crate::BaselinesError;

fn value(i: usize) -> f32 {
    (((i * 7919) % 23) as f32 - 11.0) / 10.0
}

/// ```python
/// value = lambda i: ((i * 7919) % 23 - 11) / 10
/// c, h, w, side, maps = 3, 7, 6, 2, 5
/// d = c * side * side
/// picture = np.array([(i * i * 31 + i * 17) % 256 for i in range(c * h * w)], float).reshape(c, h, w)
/// mean = np.array([value(i) / 10 for i in range(d)])
/// half = np.array([value(i + 3) for i in range(d * d)]).reshape(d, d)
/// matrix = (half + half.T) / 4
/// centroids = np.array([value(3 * i + 1) for i in range(maps * d)]).reshape(maps, d)
/// x = np.array([picture[:, y:y+side, z:z+side].ravel() for y in range(6) for z in range(5)])
/// x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, ddof=1, keepdims=True) + 10)
/// x = (x - mean) @ matrix
/// z = np.sqrt(((x[:, None] - centroids) ** 2).sum(2))
/// f = np.maximum(0, z.mean(1, keepdims=True) - z).reshape(6, 5, maps)
/// [f[a, b].sum((0, 1)) for a in (slice(0, 3), slice(3, None)) for b in (slice(0, 3), slice(3, None))]
/// ```
#[test]
fn features_are_those_of_numpy() {
    let d = 12;
    let half: Vec<f32> = (0..d * d).map(|i| value(i + 3)).collect();
    let model = KMeans {
        config: KMeansConfig { maps: 5, patch: 2, patches: 5, ..KMeansConfig::default() },
        channels: 3,
        whitening: Whitening {
            mean: (0..d).map(|i| value(i) / 10.0).collect(),
            matrix: (0..d * d).map(|at| (half[at] + half[at % d * d + at / d]) / 4.0).collect(),
        },
        centroids: (0..5 * d).map(|i| value(3 * i + 1)).collect(),
        counts: vec![1; 5],
        inertia: vec![0.0],
    };
    let picture: Vec<u8> = (0..126).map(|i| ((i * i * 31 + i * 17) % 256) as u8).collect();
    let features = Encoder::new(&model, [3, 7, 6]).unwrap().encode(&picture).unwrap();
    let expected = [
        0.97624, 0.90164, 1.38494, 1.18058, 1.12642, 1.5176, 1.47081, 0.36488, 0.34802, 0.58631, 1.15529,
        0.97752, 1.4807, 1.25266, 1.55349, 1.21214, 1.15848, 0.94504, 0.8512, 1.13459,
    ];
    assert_eq!(features.len(), expected.len());
    for (found, expected) in features.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-5, "{features:?}");
    }
}

/// ```python
/// x = np.array([value(i * i + 2 * i) for i in range(40 * 3)]).reshape(40, 3)
/// c = x[[0, 5, 9, 20]].copy()
/// for _ in range(4):
///     z = ((x[:, None] - c) ** 2).sum(2)
///     n = z.argmin(1)
///     print(z.min(1).sum(), np.bincount(n, minlength=4))
///     c = np.array([x[n == k].mean(0) for k in range(4)])
/// ```
#[test]
fn passes_are_those_of_numpy() {
    let rows: Vec<f32> = (0..120).map(|i| value(i * i + 2 * i)).collect();
    let mut centroids: Vec<f32> =
        [0, 5, 9, 20].iter().flat_map(|row| rows[row * 3..][..3].to_vec()).collect();
    let expected = [
        (39.37, [4, 19, 9, 8]),
        (19.42773901585103, [6, 12, 9, 13]),
        (16.042841880341882, [6, 10, 11, 13]),
        (15.443958041958043, [6, 10, 11, 13]),
    ];
    for (inertia, counts) in expected {
        let found = assign(&rows, &centroids, 3, &mut |_| ControlFlow::Continue(())).unwrap();
        let mut rng = stream(0, Purpose::Empty, 0);
        let (of_each, n_drawn) = update(&rows, &found.nearest, &mut centroids, 3, &mut rng);
        assert!((found.inertia - inertia).abs() < 1e-4, "{found:?}");
        assert_eq!((&of_each[..], n_drawn), (&counts[..], 0));
    }
}

#[test]
fn a_centroid_without_rows_is_drawn_anew() {
    let rows = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0];
    let mut centroids = [1.0, 1.0, 50.0, 50.0];
    let (counts, n_drawn) = update(&rows, &[0, 0, 0], &mut centroids, 2, &mut stream(0, Purpose::Empty, 3));
    assert_eq!((&counts[..], n_drawn), (&[3, 0][..], 1));
    assert_eq!(centroids[..2], [1.0, 1.0]);
    assert!(rows.chunks(2).any(|row| row == &centroids[2..]), "{centroids:?}");
}

/// Grey pictures of 9×8 with something on them.
fn store(folder: &Path, n: usize, pixel: fn(usize) -> u8) -> ImageStore {
    let mut writer = StoreWriter::create(folder).unwrap();
    for idx in 0..n {
        let pixels = (0..72).map(|at| pixel(idx * 72 + at)).collect();
        let picture = Picture { channels: 1, height: 9, width: 8, pixels };
        writer.append(&idx.to_string(), Some(0), "made", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(folder).unwrap()
}

fn noise(i: usize) -> u8 {
    ((i * i % 8191 * 7919 + i * 31) % 251) as u8
}

fn small() -> KMeansConfig {
    KMeansConfig { maps: 40, patch: 3, patches: 3000, passes: 6, seed: 5, ..KMeansConfig::default() }
}

fn all(store: &ImageStore, config: &KMeansConfig, path: &Path) -> KMeans {
    train_kmeans(store, config, path, &mut |_, _, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 30, noise);
    let on = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let model = all(&store, &small(), &folder.path().join(format!("{n_threads}.safetensors")));
            let features = Encoder::new(&model, [1, 9, 8]).unwrap().encode(store.pixels()).unwrap();
            (model, features)
        })
    };
    let (one, three) = (on(1), on(3));
    assert!(one.1.len() == 30 * 160 && one.1.iter().any(|value| *value > 0.0));
    assert_eq!(one, three);
    // One by one they are the same.
    let alone = Encoder::new(&one.0, [1, 9, 8]).unwrap().encode(store.image(7)).unwrap();
    assert_eq!(alone, one.1[7 * 160..8 * 160]);
}

#[test]
fn inertia_falls_and_the_file_holds_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 30, noise);
    let path = folder.path().join("kmeans.safetensors");
    let model = all(&store, &small(), &path);
    assert!(model.inertia().windows(2).all(|pair| pair[1] < pair[0]), "{:?}", model.inertia());
    assert_eq!(model.counts().iter().sum::<u32>(), 3000);
    assert_eq!(KMeans::load(&path).unwrap(), model);
    let (pictures, n) = model.pictures(7, 2);
    assert_eq!((pictures.len(), n), (7 * 36, 7));
}

#[test]
fn what_is_interrupted_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 30, noise);
    let whole = all(&store, &small(), &folder.path().join("whole.safetensors"));
    let path = folder.path().join("cut.safetensors");
    let mut stop_in_fourth = |step: Step, done: u64, _| {
        if step == Step::Passes && done >= 9000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let cut = train_kmeans(&store, &small(), &path, &mut stop_in_fourth);
    assert!(matches!(cut, Err(BaselinesError::Interrupted)));
    assert_eq!(KMeans::load(&path).unwrap().inertia().len(), 3);
    let mut starts = Vec::new();
    let rest = train_kmeans(&store, &small(), &path, &mut |step, done, _| {
        starts.extend((step == Step::Passes).then_some(done));
        ControlFlow::Continue(())
    });
    assert_eq!((rest.unwrap(), &starts[..]), (whole, &[9000, 12_000, 15_000][..]));
    // Another training does not go on from it.
    let other = KMeansConfig { seed: 6, ..small() };
    assert_eq!(all(&store, &other, &path).inertia().len(), 6);
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let varied = store(&folder.path().join("a"), 3, noise);
    let constant = store(&folder.path().join("b"), 3, |_| 80);
    let path = folder.path().join("kmeans.safetensors");
    let message = |store: &ImageStore, config: KMeansConfig| {
        let found = train_kmeans(store, &config, &path, &mut |_, _, _| ControlFlow::Continue(()));
        found.unwrap_err().to_string()
    };
    assert_eq!(
        message(&varied, KMeansConfig { patch: 9, ..small() }),
        "`patch`: expected at most the pictures' smaller side, 8 (of 9×8), found 9"
    );
    let large = KMeansConfig { patch: 37, ..small() };
    assert!(large.check_channels(1).is_ok());
    let refused = large.check_channels(3).unwrap_err().to_string();
    assert!(refused.starts_with("`patch`: expected at most 36 for pictures of 3 channel(s)"), "{refused}");
    assert!(refused.ends_with("found 37, of 4107 numbers"), "{refused}");
    assert_eq!(
        message(&varied, KMeansConfig { patches: 39, ..small() }),
        "`patches`: expected at least as many as `maps`, 40, found 39"
    );
    assert_eq!(
        message(&constant, small()),
        "expected pictures that vary from pixel to pixel, found 3000 patches, each of one value"
    );
    assert!(!path.exists());
    let model = all(&varied, &small(), &path);
    let wrong = |size| Encoder::new(&model, size).unwrap_err().to_string();
    assert_eq!(
        wrong([3, 9, 8]),
        "expected pictures of 1 channel(s), which the centroids are made of, found 3"
    );
    assert!(wrong([1, 9, 2]).starts_with("`patch`: expected at most the pictures' smaller side, 2 (of 9×2)"));
    assert_eq!(
        wrong([1, 9, 3]),
        "`pooling`: expected at most the number of patches along a side, 1, found 2"
    );
    std::fs::write(&path, b"junk").unwrap();
    assert!(KMeans::load(&path).unwrap_err().to_string().contains("kmeans.safetensors: expected"));
}

/// A patch that is its own centroid is at distance 0, so that its share of the feature is the mean of its distances. By products
/// of f32 the distance comes out as the root of a rounding.
#[test]
fn features_of_patches_that_are_centroids_are_those_of_f64() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), 4, noise);
    let config =
        KMeansConfig { maps: 40, patch: 6, patches: 40, passes: 1, pooling: 1, ..KMeansConfig::default() };
    let mut model = all(&store, &config, &folder.path().join("kmeans.safetensors"));
    // Long rows, as of a whitening that lifts what hardly varies.
    model.whitening.matrix.iter_mut().for_each(|value| *value *= 30.0);
    let encoded = |model: &KMeans| Encoder::new(model, [1, 9, 8]).unwrap().encode(store.image(0)).unwrap();
    let mut patches = vec![0.0; 12 * 36];
    for (place, patch) in patches.chunks_exact_mut(36).enumerate() {
        let place = [place / 3, place % 3];
        super::patches::normalised(store.image(0), [1, 9, 8], place, 6, config.contrast_epsilon, patch);
    }
    model.whitening.apply(&mut patches, &mut |_, _, _| ControlFlow::Continue(())).unwrap();
    model.centroids[..12 * 36].copy_from_slice(&patches);
    let mut expected = vec![0.0_f64; 40];
    for patch in patches.chunks_exact(36) {
        let distances: Vec<f64> = model
            .centroids
            .chunks_exact(36)
            .map(|c| patch.iter().zip(c).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>().sqrt())
            .collect();
        let mean = distances.iter().sum::<f64>() / 40.0;
        expected.iter_mut().zip(&distances).for_each(|(sum, distance)| *sum += (mean - distance).max(0.0));
    }
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(*value));
    for (idx, (found, expected)) in encoded(&model).iter().zip(&expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() < 1e-6 * largest, "{idx}: {found}, {expected}");
    }
}
