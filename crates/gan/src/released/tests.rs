use std::path::Path;

use candle_core::Module;
use dcgan_nn::device::Device;
use ndarray::ArrayD;
use ndarray_npy::WriteNpyExt;

use super::*;
use crate::FeatureExtractor;

/// Numbers that examples/imagenet_pytorch.py makes too.
fn hashed(n: usize, stream: u32) -> impl Iterator<Item = u32> {
    (0..n as u32).map(move |i| {
        let mut h = i.wrapping_mul(0x9E37_79B1) ^ stream.wrapping_mul(0x85EB_CA6B);
        h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
        h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
        h ^ (h >> 15)
    })
}

/// Numbers in [-1, 1).
fn uniform(n: usize, stream: u32) -> impl Iterator<Item = f32> {
    hashed(n, stream).map(|h| (f64::from(h) / 2_f64.powi(31) - 1.0) as f32)
}

/// Writes an array as the script makes it.
fn write(folder: &Path, network: &str, number: usize, shape: &[usize], offset: f32) {
    let stream = number as u32 + if network == "gen" { 100 } else { 0 };
    let values = uniform(shape.iter().product(), stream).map(|u| offset + 0.0346 * u).collect();
    let file = fs_err::File::create(folder.join(format!("30_{network}_params.jl_{number:02}.npy"))).unwrap();
    ArrayD::from_shape_vec(shape, values).unwrap().write_npy(file).unwrap();
}

/// Writes the kernels of a network, and behind those of `with_norm` gain and bias.
fn write_convolutions(
    folder: &Path,
    network: &str,
    kernels: &[(usize, usize, usize)],
    with_norm: impl Fn(usize) -> bool,
) {
    for &(number, first, second) in kernels {
        write(folder, network, number, &[first, second, 3, 3], 0.0);
        if with_norm(number) {
            let n = if network == "gen" { second } else { first };
            write(folder, network, number + 1, &[n], 1.0);
            write(folder, network, number + 2, &[n], 0.0);
        }
    }
}

/// All 36 arrays of the ImageNet networks in the shapes of the authors' files.
fn write_imagenet(folder: &Path) {
    let d = [(1, 128, 3), (2, 128, 128), (5, 256, 128), (8, 256, 256), (11, 512, 256), (14, 512, 512)];
    write_convolutions(folder, "discrim", &d, |number| number > 1);
    write(folder, "discrim", 17, &[8192, 1], 0.0);
    write(folder, "gen", 1, &[256, 8192], 0.0);
    write(folder, "gen", 2, &[8192], 1.0);
    write(folder, "gen", 3, &[8192], 0.0);
    let g = [(4, 512, 512), (7, 512, 256), (10, 256, 256), (13, 256, 128), (16, 128, 128), (19, 128, 3)];
    write_convolutions(folder, "gen", &g, |number| number < 19);
}

/// Compares values and two sums over all values with PyTorch's. All values together agree to 1e-5 of their norm (3e-6 for the
/// features, 8e-6 for the logits, by examples/imagenet_values.rs); single ones, behind six layers in f32, to 1e-4.
fn check(values: &[f32], expected: [f32; 8], weighted: f64, absolute: f64) {
    let n = values.len();
    for (k, expected) in expected.into_iter().enumerate() {
        let found = values[(n * k / 7).min(n - 1)];
        assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{k}: {found}, {expected}");
    }
    let ours: f64 = values.iter().zip(uniform(n, 3000)).map(|(&v, w)| f64::from(v) * f64::from(w)).sum();
    let ours_absolute: f64 = values.iter().map(|&v| f64::from(v).abs()).sum();
    // Rounding errors add up as a random walk does.
    let scale = absolute / n as f64 * (n as f64).sqrt();
    assert!((ours - weighted).abs() < 1e-5 * scale, "{ours}, {weighted}");
    assert!((ours_absolute / absolute - 1.0).abs() < 1e-5, "{ours_absolute}, {absolute}");
}

// Printed by examples/imagenet_pytorch.py with an empty folder (PyTorch 2.15, float32).
#[test]
fn the_whole_imagenet_networks_give_what_pytorch_gives() {
    let folder = tempfile::tempdir().unwrap();
    write_imagenet(folder.path());
    let Imported { discriminator, generator, n_layers_full, missing } =
        import(ReleasedSet::Imagenet, folder.path(), &Device::CPU).unwrap();
    assert_eq!((n_layers_full, missing.len()), (6, 0));

    // Statistics over 300 pictures: the last batch has 44 of them, and counts as the others do.
    let pictures: Vec<u8> = hashed(300 * 3 * 32 * 32, 1000).map(|h| (h >> 24) as u8).collect();
    let extractor = FeatureExtractor::infer_on(&discriminator, &pictures, &Device::CPU).unwrap();
    let features = extractor.extract_all(&pictures[..256 * 3 * 32 * 32]).unwrap();
    assert_eq!(features.len(), 256 * 28_672);
    let expected = [0.0863327, 1.7056823, 1.2065854, -0.0091652, 0.5889063, -0.0706615, 1.0056326, 0.8026315];
    check(&features, expected, -352.02307930147157, 7084670.572031232);

    let z = Tensor::from_vec(uniform(64 * 256, 2000).collect(), (64, 256), &Device::CPU).unwrap();
    let samples = generator.unwrap().forward(&z).unwrap();
    let logits = discriminator.forward(&samples).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let planes = samples.permute((0, 3, 1, 2)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let expected =
        [-0.3172611, 0.8651855, -0.483991, -0.2849963, -0.0080094, -0.1103082, 0.026711, -0.0512812];
    check(&planes, expected, 35.277477012372174, 55335.3841012257);
    let expected = [-0.2068342, 0.3475144, 0.8687633, 2.5739479, 0.2785048, 1.1020786, 0.3201018, 0.2687043];
    check(&logits, expected, 2.9334004795397854, 63.612881660461426);
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_imagenet(folder.path());
    let path = folder.path().join("30_discrim_params.jl_01.npy");
    let mut kernel = ArrayD::<f32>::read_npy(fs_err::File::open(&path).unwrap()).unwrap();
    kernel[[1, 2, 0, 1]] = f32::NAN;
    kernel.write_npy(fs_err::File::create(&path).unwrap()).unwrap();
    let error = import(ReleasedSet::Imagenet, folder.path(), &Device::CPU).unwrap_err().to_string();
    assert!(error.contains("jl_01.npy: expected finite numbers, found NaN at place 46"), "{error}");
}

#[test]
fn what_is_there_of_the_imagenet_networks_is_imported_and_the_rest_named() {
    let folder = tempfile::tempdir().unwrap();
    write_imagenet(folder.path());
    let remove = |name: &str| fs_err::remove_file(folder.path().join(name)).unwrap();
    let read = || import(ReleasedSet::Imagenet, folder.path(), &Device::CPU);
    remove("30_discrim_params.jl_17.npy");
    let found = read().unwrap();
    assert!(!found.discriminator.config().head && found.generator.is_some());
    assert_eq!(found.discriminator.config().n_features(), 28_672);
    // A gain of the sixth layer, the kernel of the fifth, and a bias of the generator.
    for name in ["30_discrim_params.jl_15.npy", "30_discrim_params.jl_11.npy", "30_gen_params.jl_18.npy"] {
        remove(name);
    }
    let found = read().unwrap();
    assert_eq!(found.discriminator.config().n_features(), 12_288);
    assert!(found.generator.is_none());
    assert_eq!(
        found.missing,
        [
            "30_discrim_params.jl_11.npy",
            "30_discrim_params.jl_15.npy",
            "30_discrim_params.jl_17.npy",
            "30_gen_params.jl_18.npy"
        ]
    );
    remove("30_discrim_params.jl_01.npy");
    let message = read().unwrap_err().to_string();
    assert!(message.contains("30_discrim_params.jl_01.npy"), "{message}");
}
