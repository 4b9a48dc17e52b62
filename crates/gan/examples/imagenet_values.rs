//! Compares every value of the ImageNet networks with those that `imagenet_pytorch.py` wrote into a folder:
//! `cargo run --release -p dcgan-gan --example imagenet_values -- FOLDER`.

use std::{error::Error, ops::ControlFlow, path::PathBuf};

use candle_core::{Module, Tensor};
use dcgan_gan::{
    FeatureExtractor,
    released::{ReleasedSet, import},
};
use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
use dcgan_nn::device::Device;
use ndarray::{ArrayD, Axis};
use ndarray_npy::read_npy;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("expected the folder that the script wrote")?);
    let expected = |name: &str| read_npy::<_, ArrayD<f32>>(folder.join(name));
    let imported = import(ReleasedSet::Imagenet, &folder.join("weights"), &Device::CPU)?;
    let generator = imported.generator.ok_or_else(|| format!("missing: {:?}", imported.missing))?;

    let pictures: ArrayD<u8> = read_npy(folder.join("pictures.npy"))?;
    let store = tempfile::tempdir()?;
    let mut writer = StoreWriter::create(store.path())?;
    for (i, picture) in pictures.axis_iter(Axis(0)).enumerate() {
        let pixels = picture.iter().copied().collect();
        writer.append(
            &i.to_string(),
            None,
            "made",
            &Picture { channels: 3, height: 32, width: 32, pixels },
        )?;
    }
    writer.finish(StoreDescription::default())?;
    let store = ImageStore::open(store.path())?;
    let mut go_on = |_, _| ControlFlow::Continue(());
    let extractor = FeatureExtractor::infer(&imported.discriminator, &store, &Device::CPU, &mut go_on)?;
    let mut features = Vec::new();
    for i in 0..256 {
        features.extend(extractor.extract(store.image(i), 1)?);
    }
    compare("features", &features, &expected("features.npy")?);

    let z = expected("z.npy")?;
    let z = Tensor::from_vec(z.iter().copied().collect(), z.shape(), &Device::CPU)?;
    let samples = generator.forward(&z)?;
    let logits = imported.discriminator.forward(&samples)?.flatten_all()?.to_vec1()?;
    let planes = samples.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1()?;
    compare("samples", &planes, &expected("samples.npy")?);
    compare("logits", &logits, &expected("logits.npy")?);
    Ok(())
}

/// The difference of all values relative to their norm, and the largest of a value, beyond 1 relative to it.
fn compare(name: &str, found: &[f32], expected: &ArrayD<f32>) {
    let pairs = || found.iter().zip(expected).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let of_norm = (pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>()
        / pairs().map(|(_, b)| b * b).sum::<f64>())
    .sqrt();
    let largest = pairs().map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
    println!(
        "{name}: {} of {} values, {of_norm:.1e} of their norm, largest {largest:.1e}",
        found.len(),
        expected.len()
    );
}
