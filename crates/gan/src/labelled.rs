//! Layers trained with labels: the loop that [`classifier`](crate::classifier) and [`supervised`](crate::supervised) share.

use std::ops::ControlFlow;

use candle_core::{Tensor, Var};
use dcgan_images::{ImageStore, batches};
use dcgan_nn::device::Device;
use dcgan_nn::{
    adam::{Adam, AdamConfig},
    arithmetic::multiply,
    device,
    layer::{Gradients, Layer, Trace, prepare, stack_backward, stack_trace},
    pixels::to_activations_of,
    rng::{self, Purpose},
};
use rand::Rng;

use crate::{GanError, Result, architecture::Output};

/// The pictures that are learned from.
pub(crate) struct Pictures<'a> {
    /// The store they are in.
    pub(crate) store: &'a ImageStore,
    /// Which of it.
    pub(crate) rows: &'a [u32],
    /// How many a minibatch.
    pub(crate) batch_size: usize,
    /// How they are scaled: as a generator with this last layer draws them.
    pub(crate) output: Output,
    /// Seed of their order and of dropout.
    pub(crate) seed: u64,
}

/// The output of the last layer for a minibatch.
pub(crate) struct Logits<'a> {
    /// Rows of the pictures.
    pub(crate) rows: &'a [u32],
    /// (n, outputs).
    pub(crate) values: &'a Tensor,
    /// Minibatches before.
    pub(crate) step: u64,
}

/// Layers and their optimiser.
pub(crate) struct Learner {
    layers: Vec<Layer>,
    gradients: Vec<Gradients>,
    adam: Adam,
    /// Share of the last layer's inputs that is dropped.
    dropout: f64,
}

impl Learner {
    /// Layers with room for their gradients; `parameters` are theirs, in their order.
    pub(crate) fn new(
        (layers, gradients): (Vec<Layer>, Vec<Gradients>),
        parameters: Vec<(String, Var)>,
        adam: AdamConfig,
        dropout: f64,
    ) -> Self {
        Self { layers, gradients, adam: Adam::new(parameters, adam), dropout }
    }

    /// One pass over the pictures in a random order; those that fill no minibatch sit it out. `gradient` gives the loss's gradient
    /// by the logits, `observe` gets the minibatches done.
    ///
    /// # Errors
    /// [`GanError::Interrupted`] where `observe` breaks, and what `gradient` returns.
    pub(crate) fn epoch(
        &mut self,
        pictures: &Pictures<'_>,
        epoch: u64,
        device: &Device,
        gradient: &mut dyn FnMut(Logits<'_>) -> Result<Tensor>,
        observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        let Pictures { store, batch_size, seed, output, .. } = *pictures;
        let mut pixels = Vec::new();
        for indices in batches::shuffled(pictures.rows.len(), seed, epoch).chunks_exact(batch_size) {
            if observe(self.n_steps()).is_break() {
                return Err(GanError::Interrupted);
            }
            let rows: Vec<u32> = indices.iter().map(|&idx| pictures.rows[idx as usize]).collect();
            store.gather(&rows, &mut pixels);
            let shape = [batch_size, store.channels(), store.height(), store.width()];
            let x = to_activations_of(output.activation(), &pixels, shape, device)?;
            self.update(&x, &rows, seed, gradient)?;
        }
        Ok(())
    }

    /// Minibatches done.
    pub(crate) fn n_steps(&self) -> u64 {
        self.adam.n_steps()
    }

    /// Those of the last minibatch.
    #[cfg(test)]
    pub(crate) fn gradients(&self) -> &[Gradients] {
        &self.gradients
    }

    /// One minibatch.
    fn update(
        &mut self,
        x: &Tensor,
        rows: &[u32],
        seed: u64,
        gradient: &mut dyn FnMut(Logits<'_>) -> Result<Tensor>,
    ) -> Result<()> {
        let step = self.n_steps();
        let layers = prepare(&self.layers)?;
        let Some((last, before)) = layers.split_last() else { return Ok(()) };
        let traces = stack_trace(before, x)?;
        let maps = traces.last().map_or(x, Trace::output);
        let mask = self.mask(maps, seed, step)?;
        let trace = match &mask {
            Some(mask) => last.trace(&multiply(maps, mask)?)?,
            None => last.trace(maps)?,
        };
        let dy = gradient(Logits { rows, values: trace.output(), step })?;
        self.gradients.iter_mut().for_each(Gradients::clear);
        let (own, others) = match self.gradients.split_last_mut() {
            Some((own, others)) => (Some(own), others),
            None => (None, &mut [][..]),
        };
        if let Some(dy) = last.backward(&trace, &dy, own, !before.is_empty())? {
            let dy = dy.reshape(maps.shape())?;
            let dy = match &mask {
                Some(mask) => multiply(&dy, mask)?,
                None => dy,
            };
            stack_backward(before, traces, &dy, Some(others), false)?;
        }
        self.adam.step_with(self.gradients.iter().flat_map(Gradients::tensors).map(Some))?;
        Ok(())
    }

    /// 0 for what is dropped, 1/(1 − dropout) for what is kept, of `maps`' shape; none where nothing is dropped.
    fn mask(&self, maps: &Tensor, seed: u64, step: u64) -> Result<Option<Tensor>> {
        if self.dropout == 0.0 {
            return Ok(None);
        }
        let mut draws = rng::stream(seed, Purpose::Dropout, step);
        let (dropout, kept) = (self.dropout as f32, (1.0 / (1.0 - self.dropout)) as f32);
        let mut value = || if draws.random::<f32>() < dropout { 0.0 } else { kept };
        let values = (0..maps.elem_count()).map(|_| value()).collect();
        Ok(Some(device::tensor(values, maps.dims(), maps.device())?))
    }
}

#[cfg(test)]
mod tests;
