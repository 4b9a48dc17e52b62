//! Convolutions made ready once.

use super::maps::{Maps, wrong};
use crate::{Result, cpu};

/// A convolution's kernel, and the bias and the ReLU behind it, made ready once.
#[derive(Debug)]
pub struct Filters(cpu::Fixed);

impl Filters {
    /// `kernel`: (o, c, kh, kw) as PyTorch has it, of this `shape`; `bias`: o values, or none, and then there is no ReLU either;
    /// `padding`: rows above and below, columns on either side.
    ///
    /// # Errors
    /// Where the numbers of values do not fit, or are 0.
    pub fn new(
        kernel: &[f32],
        shape: [usize; 4],
        bias: Option<&[f32]>,
        stride: usize,
        padding: [usize; 2],
    ) -> Result<Self> {
        let [o, c, kh, kw] = shape;
        let is_fit = kernel.len() == shape.iter().product::<usize>() && !kernel.is_empty();
        if !is_fit || bias.is_some_and(|bias| bias.len() != o) || stride == 0 {
            return wrong(format!(
                "filters: {} values for a kernel of {shape:?}, {} biases, stride {stride}",
                kernel.len(),
                bias.map_or(o, <[f32]>::len)
            ));
        }
        let positions = kh * kw;
        let mut turned = vec![0.0; kernel.len()];
        for (i, filter) in kernel.chunks_exact(positions).enumerate() {
            let (out, channel) = (i / c, i % c);
            for (position, &value) in filter.iter().enumerate() {
                turned[(position * c + channel) * o + out] = value;
            }
        }
        Ok(Self(cpu::Fixed::new(&turned, [kh, kw, c, o], bias, stride, padding)))
    }

    /// Channels that are read, and channels that are written.
    pub fn channels(&self) -> [usize; 2] {
        self.0.channels()
    }

    /// Rows and columns of the maps made of `source`'s.
    ///
    /// # Errors
    /// Where the kernel is larger than the source.
    pub fn target_size(&self, source: [usize; 2]) -> Result<[usize; 2]> {
        match self.0.target_size(source) {
            Some(size) => Ok(size),
            None => wrong(format!("filters: the kernel does not fit a {}x{} input", source[0], source[1])),
        }
    }

    /// Writes the channels of `target`, which has its shape already, from `first` on.
    ///
    /// # Errors
    /// Where the maps do not fit.
    pub fn run(&self, source: &Maps, target: &mut Maps, first: usize) -> Result<()> {
        let [c, o] = self.channels();
        let size = self.target_size(source.size)?;
        if source.channels != c || first + o > target.channels || target.size != size || target.n != source.n
        {
            return wrong(format!(
                "filters: {:?} to {o} channels from {first} on of {:?}, from {c} channels to maps of {size:?}",
                source.shape(),
                target.shape()
            ));
        }
        let (from, to) = (source.place(0), target.place(first));
        self.0.run(&source.values, from, &mut target.values, to);
        Ok(())
    }
}
