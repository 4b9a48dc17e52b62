//! Histograms as TensorBoard reads them, `HistogramProto` of `summary.proto`.

use prost::Message;

/// Buckets of equal width.
const N_BUCKETS: usize = 64;

/// How often values lie in each of some intervals.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(double, tag = "1")]
    pub(super) min: f64,
    #[prost(double, tag = "2")]
    pub(super) max: f64,
    #[prost(double, tag = "3")]
    pub(super) num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    /// The upper ends; the first bucket begins at `min`, each other where the one before it ends.
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub(super) bucket: Vec<f64>,
}

impl Histogram {
    /// None where there are no values, or one that is not finite.
    pub(super) fn of(values: &[f32]) -> Option<Self> {
        let values = || values.iter().map(|&value| f64::from(value));
        let (mut min, mut max) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if values().any(|value| !value.is_finite()) || min > max {
            return None;
        }
        if min == max {
            // As NumPy does.
            (min, max) = (min - 0.5, max + 0.5);
        }
        let width = (max - min) / N_BUCKETS as f64;
        let mut bucket = vec![0.0; N_BUCKETS];
        for value in values() {
            bucket[(((value - min) / width) as usize).min(N_BUCKETS - 1)] += 1.0;
        }
        let mut bucket_limit: Vec<f64> = (1..=N_BUCKETS).map(|n| min + n as f64 * width).collect();
        bucket_limit[N_BUCKETS - 1] = max;
        let sum_squares = values().map(|value| value * value).sum();
        Some(Self {
            min,
            max,
            num: values().count() as f64,
            sum: values().sum(),
            sum_squares,
            bucket_limit,
            bucket,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_counted_once_in_its_interval() {
        let found = Histogram::of(&[0.0, 0.5, 0.5, 64.0, 32.0, 63.999]).unwrap();
        assert_eq!(
            (found.min, found.max, found.num, found.sum),
            (0.0, 64.0, 6.0, f64::from(63.999_f32) + 97.0)
        );
        assert_eq!(found.sum_squares, 0.5 + 4096.0 + 1024.0 + f64::from(63.999_f32).powi(2));
        let counted: Vec<(usize, f64)> =
            found.bucket.iter().copied().enumerate().filter(|(_, count)| *count > 0.0).collect();
        assert_eq!(counted, [(0, 3.0), (32, 1.0), (63, 2.0)]);
        assert_eq!((found.bucket_limit[0], found.bucket_limit[63]), (1.0, 64.0));
        let constant = Histogram::of(&[2.0; 5]).unwrap();
        assert_eq!((constant.min, constant.max, constant.bucket[32]), (1.5, 2.5, 5.0));
        assert!(Histogram::of(&[]).is_none() && Histogram::of(&[1.0, f32::NAN]).is_none());
    }
}
