//! Inception-v3 as FID is measured with: the graph that TensorFlow released in 2015, of which pytorch-fid and torch-fidelity have the
//! weights for PyTorch.
//!
//! Batch norm is folded into the convolutions, which write with bias and ReLU straight to their part of a module's maps. Pictures are
//! run a few at a time; neither their number nor that of threads changes a bit of the result.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use dcgan_images::Picture;
//! use dcgan_metrics::inception::{Inception, Resize};
//!
//! # fn main() -> dcgan_metrics::Result<()> {
//! let inception = Inception::open(Path::new("pt_inception-2015-12-05-6726825d.pth"))?;
//! let grey = Picture { channels: 1, height: 28, width: 28, pixels: vec![128; 28 * 28] };
//! let rows = inception.run(&[grey], Resize::PytorchFid, &mut |_done, _total| ControlFlow::Continue(()))?;
//! assert_eq!(rows.features.len(), 2048);
//! # Ok(())
//! # }
//! ```

mod graph;
mod network;
mod resize;
#[cfg(test)]
mod tests;
mod weights;

use std::ops::ControlFlow;
use std::path::Path;

use dcgan_images::Picture;
use dcgan_nn::inference::Maps;
use rayon::prelude::*;

pub use self::graph::{CLASSES, FEATURES};
use self::graph::{Graph, SIDE};
pub use self::resize::Resize;
use self::{network::Scratch, weights::Classifier, weights::Ready};
use crate::error::{MetricsError, Result};

/// Pictures that are run together.
const BATCH: usize = 8;

/// What long functions report to: units done and their total; [`ControlFlow::Break`] asks them to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// The network.
#[derive(Debug)]
pub struct Inception {
    graph: Graph<Ready>,
    classifier: Classifier,
}

/// What the network makes of some pictures: a row each, one after another.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Rows {
    /// [`FEATURES`] a row, which FID, KID and the neighbours' measures take.
    pub features: Vec<f32>,
    /// [`CLASSES`] a row: the classifier's logits.
    pub logits: Vec<f32>,
    /// The same without the classifier's bias, of which torch-fidelity computes its Inception Score.
    pub logits_unbiased: Vec<f32>,
}

impl Inception {
    /// Reads the weights that pytorch-fid and torch-fidelity publish, as `.pth` or as `.safetensors` of the same names.
    ///
    /// # Errors
    /// [`MetricsError::File`] where tensors are missing, too many, of another shape, not f32 or not finite: it names them.
    pub fn open(path: &Path) -> Result<Self> {
        let (graph, classifier) = weights::read(path)?;
        Ok(Self { graph, classifier })
    }

    /// Runs pictures of any sizes. `observe` hears pictures after every few.
    ///
    /// # Errors
    /// [`MetricsError::Interrupted`] where `observe` asked to stop; [`MetricsError::Picture`] where a picture has no pixels, or the
    /// network's numbers are not finite.
    pub fn run(&self, pictures: &[Picture], resize: Resize, observe: Observe<'_>) -> Result<Rows> {
        let total = pictures.len() as u64;
        let (mut rows, mut scratch, mut maps) = (Rows::default(), Scratch::default(), Maps::new());
        for (i, batch) in pictures.chunks(BATCH).enumerate() {
            let done = i * BATCH;
            if observe(done as u64, total).is_break() {
                return Err(MetricsError::Interrupted);
            }
            if let Some(at) = batch.iter().position(|picture| !is_whole(picture)) {
                return Err(MetricsError::Picture {
                    picture: done + at,
                    expected: "grey or colour pixels",
                    found: shape(&batch[at]),
                });
            }
            maps.reshape(batch.len(), [SIDE, SIDE], 3);
            let each = maps.values_mut().par_chunks_exact_mut(SIDE * SIDE * 3).zip(batch);
            each.for_each(|(out, picture)| resize.write(picture, out));
            self.add(&maps, &mut scratch, &mut rows)?;
            if let Some(at) = rows.logits[done * CLASSES..].iter().position(|value| !value.is_finite()) {
                return Err(MetricsError::Picture {
                    picture: done + at / CLASSES,
                    expected: "finite logits",
                    found: rows.logits[done * CLASSES + at].to_string(),
                });
            }
        }
        if observe(total, total).is_break() {
            return Err(MetricsError::Interrupted);
        }
        Ok(rows)
    }

    fn add(&self, pictures: &Maps, scratch: &mut Scratch, rows: &mut Rows) -> Result<()> {
        let features = self.graph.features(pictures, scratch)?;
        let (mut source, mut logits) = (Maps::new(), Maps::new());
        source.reshape(pictures.n(), [1, 1], FEATURES);
        source.values_mut().copy_from_slice(&features);
        logits.reshape(pictures.n(), [1, 1], CLASSES);
        self.classifier.filters.run(&source, &mut logits, 0)?;
        let biased = logits.values().iter().zip(self.classifier.bias.iter().cycle());
        rows.logits.extend(biased.map(|(logit, bias)| logit + bias));
        rows.logits_unbiased.extend_from_slice(logits.values());
        rows.features.extend(features);
        Ok(())
    }
}

fn is_whole(picture: &Picture) -> bool {
    let n = picture.channels.saturating_mul(picture.height).saturating_mul(picture.width);
    n > 0 && n == picture.pixels.len() && [1, 3].contains(&picture.channels)
}

fn shape(picture: &Picture) -> String {
    let Picture { channels, height, width, pixels } = picture;
    format!("{} numbers of {channels}×{height}×{width}", pixels.len())
}
