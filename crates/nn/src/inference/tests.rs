use candle_core::{Device, Tensor};

use super::*;
use crate::testing::{assert_close, flat, values};

fn maps(n: usize, size: [usize; 2], c: usize) -> Maps {
    let mut maps = Maps::new();
    maps.reshape(n, size, c);
    let len = maps.values.len();
    maps.values.copy_from_slice(&values(len));
    maps
}

/// (n, c, h, w), padded with zeros.
fn nchw(maps: &Maps, padding: [usize; 2]) -> Tensor {
    let tensor = Tensor::from_vec(maps.values.clone(), &maps.shape(), &Device::Cpu).unwrap();
    let tensor = tensor.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let [rows, columns] = padding;
    tensor.pad_with_zeros(2, rows, rows).unwrap().pad_with_zeros(3, columns, columns).unwrap()
}

/// Every shape of Inception-v3's convolutions, and ones that leave vectors and tiles part empty, against candle's direct one.
#[test]
fn filters_agree_with_candles_convolution() {
    // Channels, kernel, stride, padding, size.
    let cases = [
        ([3, 32], [3, 3], 2, [0, 0], [15, 17]),
        ([32, 64], [3, 3], 1, [1, 1], [9, 11]),
        ([80, 192], [3, 3], 1, [0, 0], [9, 8]),
        ([64, 80], [1, 1], 1, [0, 0], [7, 5]),
        ([48, 64], [5, 5], 1, [2, 2], [6, 7]),
        ([96, 96], [3, 3], 2, [0, 0], [9, 9]),
        ([128, 160], [1, 7], 1, [0, 3], [5, 9]),
        ([160, 192], [7, 1], 1, [3, 0], [9, 5]),
        ([384, 384], [1, 3], 1, [0, 1], [3, 4]),
        ([384, 37], [3, 1], 1, [1, 0], [4, 3]),
        ([1100, 20], [1, 1], 1, [0, 0], [2, 3]),
        ([2, 5], [2, 3], 3, [1, 2], [7, 8]),
    ];
    for (case, ([c, o], [kh, kw], stride, padding, size)) in cases.into_iter().enumerate() {
        let kernel: Vec<f32> = values(o * c * kh * kw + 3)[3..].iter().map(|v| v * 0.2).collect();
        let bias = values(o);
        let source = maps(3, size, c);
        let tensor = Tensor::from_vec(kernel.clone(), &[o, c, kh, kw], &Device::Cpu).unwrap();
        let expected = nchw(&source, padding).conv2d(&tensor, 0, stride, 1, 1).unwrap();
        let sums = flat(&expected.permute((0, 2, 3, 1)).unwrap());
        for bias in [Some(bias.as_slice()), None] {
            let filters = Filters::new(&kernel, [o, c, kh, kw], bias, stride, padding).unwrap();
            let mut target = Maps::new();
            target.reshape(3, filters.target_size(size).unwrap(), o + 7);
            target.values.fill(5.0);
            filters.run(&source, &mut target, 3).unwrap();
            let finished = |i: usize, sum: f32| bias.map_or(sum, |bias| (sum + bias[i % o]).max(0.0));
            let expected: Vec<f32> = sums.iter().enumerate().map(|(i, &sum)| finished(i, sum)).collect();
            let rows = target.values.chunks_exact(o + 7);
            let ours: Vec<f32> = rows.clone().flat_map(|row| &row[3..3 + o]).copied().collect();
            assert_close(&ours, &expected, 2e-4, &format!("case {case}"));
            // Its neighbours' channels stay as they were.
            assert!(rows.into_iter().all(|row| row[..3] == [5.0; 3] && row[3 + o..] == [5.0; 4]));
        }
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_how_many_pictures() {
    for (c, o, kernel, padding) in [(32, 48, [3, 3], 1), (1040, 33, [1, 1], 0), (20, 100, [3, 1], 1)] {
        let [kh, kw] = kernel;
        let filters =
            Filters::new(&values(o * c * kh * kw), [o, c, kh, kw], Some(&values(o)), 1, [padding; 2]);
        let filters = filters.unwrap();
        let run = |source: &Maps, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut target = Maps::new();
            target.reshape(source.n, filters.target_size(source.size).unwrap(), o);
            pool.install(|| filters.run(source, &mut target, 0)).unwrap();
            target.values
        };
        let all = maps(5, [9, 7], c);
        let together = run(&all, 1);
        assert!(together == run(&all, 3));
        let mut alone = Vec::new();
        for picture in all.values.chunks_exact(9 * 7 * c) {
            let mut one = Maps::new();
            one.reshape(1, [9, 7], c);
            one.values.copy_from_slice(picture);
            alone.extend(run(&one, 2));
        }
        assert!(together == alone, "{c} to {o}");
    }
}

#[test]
fn max_pool_agrees_with_candles() {
    let source = maps(2, [9, 7], 5);
    let mut target = Maps::new();
    target.reshape(2, [4, 3], 5);
    max_pool(&source, 2, 0, &mut target, 0).unwrap();
    let expected = nchw(&source, [0, 0]).max_pool2d_with_stride(3, 2).unwrap();
    assert_eq!(target.values, flat(&expected.permute((0, 2, 3, 1)).unwrap()));
    // Values below 0 alone: padding would be larger.
    let mut source = source;
    source.values.iter_mut().for_each(|value| *value -= 2.0);
    target.reshape(2, [9, 7], 5);
    max_pool(&source, 1, 1, &mut target, 0).unwrap();
    assert!(target.values.iter().all(|value| *value < 0.0));
}

/// ```python
/// x = values(1*3*4*2).reshape(1, 3, 4, 2).permute(0, 3, 1, 2)
/// y = F.relu(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) + torch.tensor([0.1, -0.2])[:, None, None])
/// print(y.permute(0, 2, 3, 1).flatten().tolist())
/// ```
#[test]
fn average_pool_does_not_count_padding() {
    let source = maps(1, [3, 4], 2);
    let mut target = Maps::new();
    target.reshape(1, [3, 4], 4);
    average_pool(&source, &[0.1, -0.2], &mut target, 1).unwrap();
    let ours: Vec<f32> = target.values.chunks_exact(4).flat_map(|row| [row[1], row[2]]).collect();
    let expected = [
        0.02034, 0.0, 0.256408, 0.0, 0.061877, 0.0, 0.0, 0.0, 0.0, 0.0, 0.20068, 0.0, 0.228372, 0.0,
        0.242217, 0.0, 0.0, 0.0, 0.144952, 0.0, 0.283755, 0.0, 0.353156, 0.0,
    ];
    assert_close(&ours, &expected, 1e-6, "average pool");
    assert!(average_pool(&source, &[0.1], &mut target, 1).is_err());
    assert!(average_pool(&source, &[0.1, -0.2], &mut target, 3).is_err());
}

#[test]
fn the_mean_is_over_a_pictures_own_map() {
    let mut source = Maps::new();
    source.reshape(2, [2, 1], 2);
    source.values.copy_from_slice(&[1.0, 2.0, 3.0, 6.0, -1.0, 0.0, -3.0, 0.0]);
    assert_eq!(mean(&source), [2.0, 4.0, -2.0, 0.0]);
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let filters = Filters::new(&values(8), [2, 4, 1, 1], None, 1, [0, 0]).unwrap();
    let source = maps(1, [2, 2], 4);
    let mut target = Maps::new();
    target.reshape(1, [2, 2], 2);
    filters.run(&source, &mut target, 0).unwrap();
    let message = filters.run(&source, &mut target, 1).unwrap_err().to_string();
    assert!(message.contains("to 2 channels from 1 on of [1, 2, 2, 2]"), "{message}");
    assert!(filters.run(&maps(1, [2, 2], 3), &mut target, 0).is_err());
    assert!(filters.run(&maps(2, [2, 2], 4), &mut target, 0).is_err());
    assert!(Filters::new(&values(8), [2, 4, 1, 2], None, 1, [0, 0]).is_err());
    assert!(Filters::new(&values(8), [2, 4, 1, 1], Some(&[0.0]), 1, [0, 0]).is_err());
    assert!(Filters::new(&values(8), [2, 4, 1, 1], None, 0, [0, 0]).is_err());
    let large = Filters::new(&values(9), [1, 1, 3, 3], None, 1, [0, 0]).unwrap();
    assert!(large.target_size([2, 5]).unwrap_err().to_string().contains("does not fit a 2x5 input"));
}
