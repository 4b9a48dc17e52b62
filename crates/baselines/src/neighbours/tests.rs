use super::*;
use crate::BaselinesError;

fn value(i: usize) -> f32 {
    (((i * 7919) % 1009) as f32 - 504.0) / 100.0
}

/// Distances of f64 one by one, the nearest first and of equal ones the earlier.
fn brute_force(test: &[f32], train: &[f32], n_columns: usize, metric: Metric, k: usize) -> Vec<Vec<u64>> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let squared = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
    };
    let distance = |a: &[f32], b: &[f32]| match metric {
        Metric::Euclidean => squared(a, b),
        Metric::Cosine => match dot(a, a).sqrt() * dot(b, b).sqrt() {
            0.0 => 1.0,
            norms => 1.0 - dot(a, b) / norms,
        },
    };
    let nearest = |test: &[f32]| {
        let mut all: Vec<(f64, u64)> =
            train.chunks(n_columns).zip(0..).map(|(row, idx)| (distance(test, row), idx)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all.iter().take(k).map(|(_, idx)| *idx).collect()
    };
    test.chunks(n_columns).map(nearest).collect()
}

fn found(
    test: &[f32],
    train: &[f32],
    n_columns: usize,
    metric: Metric,
    k: usize,
    tile: usize,
) -> Vec<Vec<u64>> {
    let mut nearest = NearestNeighbours::new(test, n_columns, k, metric).unwrap();
    for rows in train.chunks(tile * n_columns) {
        nearest.add(rows, &vec![0; rows.len() / n_columns]).unwrap();
    }
    let rows = |idx| nearest.neighbours(idx).iter().map(|neighbour| neighbour.row).collect();
    (0..test.len() / n_columns).map(rows).collect()
}

#[test]
fn neighbours_are_those_of_brute_force() {
    for (n_columns, offset) in [(3, 0.0), (64, 0.0), (64, 300.0), (200, -7.5)] {
        // Far from 0 a product of f32 has few digits left for distances.
        let rows = |n: usize, start: usize| -> Vec<f32> {
            (0..n * n_columns).map(|i| value((i + start) * (i + start) % 100_003) + offset).collect()
        };
        let (test, train) = (rows(45, 5), rows(1000, 70_000));
        for metric in [Metric::Euclidean, Metric::Cosine] {
            for (k, tile) in [(1, 1000), (7, 130), (7, 1)] {
                let expected = brute_force(&test, &train, n_columns, metric, k);
                assert_eq!(
                    found(&test, &train, n_columns, metric, k, tile),
                    expected,
                    "{n_columns} {metric:?} {k}"
                );
            }
        }
    }
}

/// Rows of which only the last digits of f32 differ: by the product alone they cannot be told apart.
#[test]
fn what_a_product_of_f32_cannot_tell_apart_is_told_apart() {
    let near = |step: usize| f32::from_bits(1000.0_f32.to_bits() + step as u32);
    let train: Vec<f32> =
        (0..300).flat_map(|i| (0..20).map(move |j| near((i * 7919 + j * 31) % 61))).collect();
    let test: Vec<f32> = (0..10).flat_map(|i| (0..20).map(move |j| near((i * 13 + j * 17) % 61))).collect();
    let expected = brute_force(&test, &train, 20, Metric::Euclidean, 3);
    assert_eq!(found(&test, &train, 20, Metric::Euclidean, 3, 77), expected);
}

#[test]
fn numbers_whose_squares_leave_f32_are_compared_too() {
    for scale in [1e25, 1e-30] {
        let rows = |n: usize, start: usize| -> Vec<f32> {
            (0..n * 6).map(|i| value(i * i + start) * scale).collect()
        };
        let (test, mut train) = (rows(9, 3), rows(90, 1));
        train[..6].fill(0.0);
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let expected = brute_force(&test, &train, 6, metric, 4);
            assert_eq!(found(&test, &train, 6, metric, 4, 40), expected, "{scale} {metric:?}");
        }
    }
}

/// Metric, k, predictions, neighbours of the first test row, distance of its nearest.
type Case = (Metric, usize, [u32; 8], &'static [u64], f64);

/// ```python
/// value = lambda i: ((i * 7919) % 1009 - 504) / 100
/// x = np.array([value(i * i + 3 * i) for i in range(60 * 5)], 'f4').reshape(60, 5)
/// y = np.array([i * 7 // 3 % 4 for i in range(60)])
/// t = np.array([value(i * i * 7 + i + 11) for i in range(8 * 5)], 'f4').reshape(8, 5)
/// m = KNeighborsClassifier(k, metric=metric, algorithm='brute').fit(x, y)
/// m.predict(t), m.kneighbors(t)[1][0], m.kneighbors(t)[0][0]
/// ```
#[test]
fn predictions_are_those_of_scikit_learn() {
    let train: Vec<f32> = (0..300).map(|i| value(i * i + 3 * i)).collect();
    let labels: Vec<u32> = (0..60).map(|i| i * 7 / 3 % 4).collect();
    let test: Vec<f32> = (0..40).map(|i| value(i * i * 7 + i + 11)).collect();
    let cases: [Case; 4] = [
        (Metric::Euclidean, 1, [2, 0, 3, 3, 0, 0, 0, 0], &[20], 3.455271),
        (Metric::Euclidean, 5, [3, 1, 2, 0, 2, 1, 3, 1], &[20, 22, 34, 47, 7], 3.455271),
        (Metric::Cosine, 1, [1, 0, 3, 3, 0, 0, 1, 0], &[47], 0.135346),
        (Metric::Cosine, 5, [3, 1, 2, 1, 1, 1, 2, 1], &[47, 34, 20, 22, 12], 0.135346),
    ];
    for (metric, k, predictions, rows, distance) in cases {
        let mut nearest = NearestNeighbours::new(&test, 5, 5, metric).unwrap();
        nearest.add(&train, &labels).unwrap();
        assert_eq!(nearest.predictions(k).unwrap(), predictions, "{metric:?} {k}");
        let first = &nearest.neighbours(0)[..k];
        assert_eq!(first.iter().map(|neighbour| neighbour.row).collect::<Vec<_>>(), rows);
        assert!((nearest.distance(&first[0]) - distance).abs() < 1e-5, "{first:?}");
    }
}

#[test]
fn of_equals_the_first_row_and_the_smallest_class_win() {
    let mut nearest = NearestNeighbours::new(&[0.0], 1, 4, Metric::Euclidean).unwrap();
    nearest.add(&[1.0, -1.0, 1.0], &[9, 3, 3]).unwrap();
    nearest.add(&[1.0, 2.0], &[9, 1]).unwrap();
    let rows: Vec<u64> = nearest.neighbours(0).iter().map(|neighbour| neighbour.row).collect();
    assert_eq!(rows, [0, 1, 2, 3]);
    let predictions: Vec<u32> = (1..=4).map(|k| nearest.predictions(k).unwrap()[0]).collect();
    assert_eq!(predictions, [9, 3, 3, 3]);
}

#[test]
fn the_number_of_threads_does_not_matter_and_what_is_cleared_is_forgotten() {
    let (test, train): (Vec<f32>, Vec<f32>) =
        ((0..1000).map(|i| value(i * i)).collect(), (0..9000).map(|i| value(i * i + 1)).collect());
    let labels: Vec<u32> = (0..900).map(|i| i % 7).collect();
    let mut all = Vec::new();
    for n_threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        all.push(pool.install(|| {
            let mut nearest = NearestNeighbours::new(&test, 10, 6, Metric::Euclidean).unwrap();
            nearest.add(&test, &[1000; 100]).unwrap();
            nearest.clear();
            nearest.add(&train, &labels).unwrap();
            (0..100).map(|row| nearest.neighbours(row).to_vec()).collect::<Vec<_>>()
        }));
    }
    assert!(all[0] == all[1] && all[0].iter().flatten().all(|neighbour| neighbour.label < 7));
}

#[test]
fn what_does_not_fit_is_named() {
    let test = [0.0, 1.0, 2.0, 3.0];
    let message = |error: BaselinesError| error.to_string();
    let new = |test, n_columns, k| NearestNeighbours::new(test, n_columns, k, Metric::Euclidean);
    assert_eq!(message(new(&test, 2, 0).unwrap_err()), "`k`: expected at least 1, found 0");
    assert_eq!(
        message(new(&test, 3, 1).unwrap_err()),
        "test: expected whole rows of 3 numbers, found 4 numbers"
    );
    assert_eq!(message(new(&[], 3, 1).unwrap_err()), "test: expected at least one row, found none");
    assert_eq!(
        message(new(&[0.0, 1.0, 2.0, f32::NAN], 2, 1).unwrap_err()),
        "test, row 1, column 1: expected a finite number, found NaN"
    );
    let mut nearest = new(&test, 2, 3).unwrap();
    nearest.add(&[1.0, 1.0], &[5]).unwrap();
    assert_eq!(
        message(nearest.add(&[1.0, 1.0, f32::INFINITY, 0.0], &[5, 6]).unwrap_err()),
        "train, row 2, column 0: expected a finite number, found inf"
    );
    assert_eq!(
        message(nearest.add(&[1.0, 1.0], &[5, 6]).unwrap_err()),
        "train: expected 2 rows, one a label, found 1"
    );
    assert_eq!(nearest.n_rows(), 1);
    assert_eq!(message(nearest.predictions(2).unwrap_err()), "train: expected at least k = 2 rows, found 1");
    assert_eq!(message(nearest.predictions(4).unwrap_err()), "`k`: expected from 1 to 3, found 4");
    assert_eq!(nearest.predictions(1).unwrap(), [5, 5]);
}

#[test]
fn what_was_found_can_be_kept_and_gone_on_from() {
    let value = |i: usize| ((i * 7919 % 1009) as f32 / 1009.0).sin();
    let rows = |first: usize, n: usize| (first..first + n * 5).map(value).collect::<Vec<f32>>();
    let (test, labels) = (rows(0, 20), (0..40).collect::<Vec<u32>>());
    let mut whole = NearestNeighbours::new(&test, 5, 3, Metric::Euclidean).unwrap();
    whole.add(&rows(300, 40), &labels).unwrap();
    let json = {
        let mut part = NearestNeighbours::new(&test, 5, 3, Metric::Euclidean).unwrap();
        part.add(&rows(300, 25), &labels[..25]).unwrap();
        serde_json::to_string(&part.found()).unwrap()
    };
    let (n_rows, found): (u64, Vec<Vec<Neighbour>>) = serde_json::from_str(&json).unwrap();
    let mut rest = NearestNeighbours::new(&test, 5, 3, Metric::Euclidean).unwrap();
    rest.go_on_from(n_rows, found.clone()).unwrap();
    rest.add(&rows(300 + 25 * 5, 15), &labels[25..]).unwrap();
    assert_eq!(rest.found(), whole.found());

    let mut other = NearestNeighbours::new(&test[..50], 5, 3, Metric::Euclidean).unwrap();
    let message = other.go_on_from(n_rows, found.clone()).unwrap_err().to_string();
    assert!(message.contains("neighbours of 10 rows") && message.contains("found 20"), "{message}");
    let mut fewer = NearestNeighbours::new(&test, 5, 2, Metric::Euclidean).unwrap();
    assert!(fewer.go_on_from(n_rows, found).unwrap_err().to_string().contains("2 neighbours each"));
}
