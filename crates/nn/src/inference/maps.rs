//! Maps in memory that is used again.

use crate::{Result, cpu};

/// Maps of `n` pictures, (n, h, w, c) f32, whose memory is used again.
#[derive(Debug, Default, Clone)]
pub struct Maps {
    pub(super) n: usize,
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) values: Vec<f32>,
}

impl Maps {
    /// No maps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for `n` pictures of `size` rows and columns and `channels`. Values are what they are: write them all.
    pub fn reshape(&mut self, n: usize, size: [usize; 2], channels: usize) {
        (self.n, self.size, self.channels) = (n, size, channels);
        self.values.resize(n * size[0] * size[1] * channels, 0.0);
    }

    /// Pictures.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The values, (n, h, w, c).
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, to be written.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// (n, h, w, c).
    pub fn shape(&self) -> [usize; 4] {
        [self.n, self.size[0], self.size[1], self.channels]
    }

    pub(super) fn place(&self, first: usize) -> cpu::Place {
        cpu::Place { n: self.n, size: self.size, channels: self.channels, first }
    }
}

pub(super) fn wrong<T>(message: String) -> Result<T> {
    Err(candle_core::Error::Msg(message).into())
}
