//! Labelled pictures of a conditional generator, any number of them, batch by batch.

use dcgan_nn::{batch_norm::Statistics, labels::one_hot, rng};
use rand::Rng;

use crate::{
    BatchStatistics, GanError, Generator, Result, Sampler,
    sample::{Observe, SAMPLE_BATCH, draw_z},
};

/// An endless series of labelled pictures, as the authors' code draws them to measure nearest neighbours: labels drawn uniformly,
/// in batches of [`SAMPLE_BATCH`].
#[derive(Debug, Clone)]
pub struct LabelledDraws<'a> {
    generator: &'a Generator,
    given: Option<Vec<Option<Statistics>>>,
    seed: u64,
}

/// The pictures of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBatch {
    /// Values in [0, 1], as the generator gives them, not rounded to those of pixels; picture after picture, channels last.
    pub values: Vec<f32>,
    /// A label for each picture.
    pub labels: Vec<u32>,
}

impl<'a> LabelledDraws<'a> {
    /// Makes ready to draw; `observe` is told the z that statistics were inferred over.
    ///
    /// # Errors
    /// [`GanError::Setting`] where the generator is not conditional; [`GanError::Interrupted`].
    pub fn new(
        generator: &'a Generator,
        statistics: BatchStatistics,
        seed: u64,
        observe: Observe<'_>,
    ) -> Result<Self> {
        if generator.config().classes == 0 {
            let expected = "a conditional generator, which draws pictures of a label".to_owned();
            return Err(GanError::Setting { key: "model", expected, found: "another".to_owned() });
        }
        let given = Sampler::new(generator, statistics, seed, observe)?.given_statistics();
        Ok(Self { generator, given, seed })
    }

    /// Batch number `batch`, a function of the seed and of that number alone.
    pub fn batch(&self, batch: u64) -> Result<LabelledBatch> {
        let (config, device) = (self.generator.config(), self.generator.device());
        let z = draw_z(config, SAMPLE_BATCH, (self.seed, rng::Purpose::LabelledZ, batch), device)?;
        let mut stream = rng::stream(self.seed, rng::Purpose::Labels, batch);
        let labels: Vec<u32> =
            (0..SAMPLE_BATCH).map(|_| stream.random_range(0..config.classes as u32)).collect();
        let rows = one_hot(&labels, config.classes, device)?;
        let pictures = self.generator.draw_with(&z, Some(&rows), self.given.as_deref())?;
        let pictures = pictures.to_device(&candle_core::Device::Cpu)?;
        let pictures = match config.output {
            crate::Output::Sigmoid => pictures,
            crate::Output::Tanh => pictures.affine(0.5, 0.5)?,
        };
        let pictures = pictures.to_dtype(candle_core::DType::F32)?;
        Ok(LabelledBatch { values: pictures.flatten_all()?.to_vec1()?, labels })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::Device;

    use super::*;
    use crate::{Architecture, ArchitectureName};

    #[test]
    fn batches_are_the_generators_pictures_of_their_labels() {
        let narrow = |name| Architecture { name, width: 0.05 };
        let generator =
            Generator::random(narrow(ArchitectureName::Mnist28).generator(), 3, &Device::Cpu).unwrap();
        let mut on = |_, _| ControlFlow::Continue(());
        for statistics in [BatchStatistics::Batch, BatchStatistics::Inferred] {
            let draws = LabelledDraws::new(&generator, statistics, 5, &mut on).unwrap();
            let batch = draws.batch(7).unwrap();
            assert_eq!((batch.values.len(), batch.labels.len()), (128 * 784, 128));
            assert_eq!(batch, draws.batch(7).unwrap());
            assert_ne!(batch, draws.batch(8).unwrap());
            assert!((0..10).all(|label| batch.labels.contains(&label)), "{:?}", batch.labels);
            // As a sampler draws them, but for the rounding.
            let z = draw_z(generator.config(), 128, (5, rng::Purpose::LabelledZ, 7), &Device::Cpu).unwrap();
            let z = ndarray::Array2::from_shape_vec((128, 100), z.flatten_all().unwrap().to_vec1().unwrap());
            let sampler = Sampler::new(&generator, statistics, 5, &mut on).unwrap();
            let pixels = sampler.draw_labelled(&z.unwrap(), &batch.labels, &mut on).unwrap();
            let off = |(value, &pixel): (&f32, &u8)| (value * 255.0 - f32::from(pixel)).abs();
            assert!(batch.values.iter().zip(&pixels).map(off).all(|off| off < 0.51));
        }
        let other = Generator::random(narrow(ArchitectureName::Svhn32).generator(), 3, &Device::Cpu).unwrap();
        let refused = LabelledDraws::new(&other, BatchStatistics::Batch, 5, &mut on).unwrap_err().to_string();
        assert!(refused.starts_with("`model`: expected a conditional generator"), "{refused}");
    }
}
