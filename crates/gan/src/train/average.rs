//! The exponential moving average of the generator.

use std::path::Path;

use dcgan_nn::arithmetic::blend;
use dcgan_nn::checkpoint::Checkpoint;

use crate::{Generator, Result};

/// What its tensors' names begin with in a checkpoint.
pub(super) const PREFIX: &str = "average.";

/// A second generator whose weights follow the first one's: ā ← decay·ā + (1 − decay)·a after each of its updates, from the
/// initial weights on. It is not in the paper; its samples change less from one minibatch to the next. Batch norm takes
/// the batch's own statistics, so that there is nothing else to average.
#[derive(Debug)]
pub(super) struct Average {
    generator: Generator,
    decay: f64,
}

impl Average {
    /// Begins with a generator's present weights.
    pub(super) fn of(generator: &Generator, decay: f64) -> Result<Self> {
        let mut weights = Checkpoint::default();
        generator.store(PREFIX, &mut weights);
        let config = generator.config().clone();
        let generator = Generator::from_checkpoint(config, &weights, Path::new("memory"), PREFIX)?;
        Ok(Self { generator, decay })
    }

    /// After an update of the generator.
    pub(super) fn update(&mut self, generator: &Generator) -> Result<()> {
        for ((_, average), (_, var)) in self.generator.parameters().iter().zip(generator.parameters()) {
            blend(average.as_tensor(), self.decay as f32, Some(var.as_tensor()), (1.0 - self.decay) as f32)?;
        }
        Ok(())
    }

    pub(super) fn generator(&self) -> &Generator {
        &self.generator
    }

    pub(super) fn store(&self, checkpoint: &mut Checkpoint) {
        self.generator.store(PREFIX, checkpoint);
    }

    pub(super) fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<()> {
        let config = self.generator.config().clone();
        self.generator = Generator::from_checkpoint(config, checkpoint, path, PREFIX)?;
        Ok(())
    }
}
