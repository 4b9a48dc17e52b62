//! Drawing z and pictures.

use candle_core::{Device, Tensor};
use dcgan_nn::{init, pixels::to_pixels, rng};

use crate::{Generator, GeneratorConfig, Result, ZDistribution};

/// Pictures drawn in one batch: the batch size of the paper's training, since batch norm uses the batch's statistics.
pub const SAMPLE_BATCH: usize = 128;

/// `n` draws of z, (n, nz), from a stream of [`rng::stream`].
pub fn draw_z(
    config: &GeneratorConfig,
    n: usize,
    (seed, purpose, counter): (u64, rng::Purpose, u64),
    device: &Device,
) -> Result<Tensor> {
    let mut rng = rng::stream(seed, purpose, counter);
    Ok(match config.z {
        ZDistribution::Uniform => init::uniform(&[n, config.nz], &mut rng, device)?,
        ZDistribution::Normal => init::normal(&[n, config.nz], 0.0, 1.0, &mut rng, device)?,
    })
}

/// `n` pictures as uint8 NCHW pixels, drawn from `seed` in whole batches of [`SAMPLE_BATCH`]; the first pictures are the
/// same whatever `n`.
pub fn generate(generator: &Generator, n: usize, seed: u64) -> Result<Vec<u8>> {
    let size = generator.config().image_size();
    let mut pixels = Vec::new();
    for batch in 0..n.div_ceil(SAMPLE_BATCH) {
        let stream = (seed, rng::Purpose::SampleZ, batch as u64);
        let z = draw_z(generator.config(), SAMPLE_BATCH, stream, generator.device())?;
        pixels.extend(to_pixels(&generator.forward(&z)?)?);
    }
    pixels.truncate(n * crate::IMAGE_CHANNELS * size * size);
    Ok(pixels)
}
