use dcgan_images::{ImageStore, ImportConfig, Source, import};

use super::*;
use crate::released::{ReleasedSet, import as import_released};

fn store_of(source: &Source, dir: &std::path::Path) -> ImageStore {
    import(source, &ImportConfig::default(), dir, &mut |_, _| ControlFlow::Continue(())).unwrap();
    ImageStore::open(dir).unwrap()
}

// PyTorch, float32: kernels w[:, :, ::-1, ::-1]; F.conv2d(stride=2, padding=2); batch norm with the means over the 39 batches
// of 128 and the last one of 8 of train_32x32.mat of each batch's mean and biased variance; F.leaky_relu(0.2);
// torch.cat([F.max_pool2d(h, h.shape[-1] // 4).flatten(1) for h in maps], 1), of test_32x32.mat's first, second and last.
#[test]
fn features_of_real_digits_agree_with_pytorch() {
    let Some(data) = dcgan_testing::real_data() else { return };
    let released = data.join("authors/svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb");
    let released = import_released(ReleasedSet::Svhn, &released, &Device::CPU).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let open = |split: &str| {
        store_of(
            &Source::Svhn { path: data.join(format!("svhn/{split}_32x32.mat")) },
            &dir.path().join(split),
        )
    };
    let (train, test) = (open("train"), open("test"));
    let extractor = FeatureExtractor::infer(&released.discriminator, &train, &Device::CPU, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let columns = [0, 1, 17, 1023, 1024, 3071, 3072, 7167];
    let expected: [(usize, [f32; 8], f64, f64); 3] = [
        (
            0,
            [
                0.16451521,
                0.08777802,
                -0.00152649,
                0.04150941,
                0.27888751,
                0.00752595,
                1.29033363,
                -0.13054119,
            ],
            1403.392244,
            1472.671177,
        ),
        (
            1,
            [0.07565822, 0.04733947, 0.0164243, 0.05357289, 0.30874693, 0.02093664, 1.15797246, -0.15753356],
            1401.132802,
            1394.358169,
        ),
        (
            1999,
            [0.01372887, 0.07734775, 0.03936049, 0.00906357, 0.52133071, 0.05369845, 1.77657318, -0.02429557],
            1361.684362,
            1355.475738,
        ),
    ];
    for (image, values, sum, squares) in expected {
        let features = extractor.extract(test.image(image), 1).unwrap();
        assert_eq!(features.len(), 7168);
        for (&column, value) in columns.iter().zip(values) {
            assert!(
                (features[column] - value).abs() < 1e-4,
                "{image}, {column}: {} {value}",
                features[column]
            );
        }
        let ours: f64 = features.iter().map(|&f| f64::from(f)).sum();
        let our_squares: f64 = features.iter().map(|&f| f64::from(f).powi(2)).sum();
        assert!((ours / sum - 1.0).abs() < 1e-5, "{ours} {sum}");
        assert!((our_squares / squares - 1.0).abs() < 1e-5, "{our_squares} {squares}");
    }
}
