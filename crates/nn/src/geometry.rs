//! The sizes of one convolution.

use candle_core::{Result, bail};

/// A convolution from images `(n, h, w, c)` to maps `(n, oh, ow, o)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) oh: usize,
    pub(crate) ow: usize,
    pub(crate) o: usize,
}

impl Geometry {
    pub(crate) fn of_convolution(
        [n, h, w, c]: [usize; 4],
        o: usize,
        [kh, kw]: [usize; 2],
        stride: usize,
        padding: usize,
    ) -> Result<Self> {
        if stride == 0 || kh == 0 || kw == 0 || h + 2 * padding < kh || w + 2 * padding < kw {
            bail!(
                "convolution: kernel {kh}x{kw}, stride {stride}, padding {padding} does not fit a {h}x{w} input"
            )
        }
        let oh = (h + 2 * padding - kh) / stride + 1;
        let ow = (w + 2 * padding - kw) / stride + 1;
        Ok(Self { n, h, w, c, kh, kw, stride, padding, oh, ow, o })
    }

    /// The convolution whose input gradient is the transposed convolution of `(n, oh, ow, o)` to `c` channels.
    pub(crate) fn of_transposed(
        [n, oh, ow, o]: [usize; 4],
        c: usize,
        [kh, kw]: [usize; 2],
        stride: usize,
        padding: usize,
        output_padding: usize,
    ) -> Result<Self> {
        let size = |maps: usize, k: usize| {
            let full = (maps.max(1) - 1) * stride + k + output_padding;
            full.checked_sub(2 * padding).filter(|&size| size > 0)
        };
        match (size(oh, kh), size(ow, kw)) {
            (Some(h), Some(w)) if oh > 0 && ow > 0 && kh > 0 && kw > 0 && output_padding < stride => {
                Ok(Self { n, h, w, c, kh, kw, stride, padding, oh, ow, o })
            }
            _ => bail!(
                "transposed convolution: kernel {kh}x{kw}, stride {stride}, padding {padding}, output padding \
                 {output_padding} does not fit a {oh}x{ow} input"
            ),
        }
    }

    /// Values under one kernel position: kh·kw·c.
    pub(crate) fn patch(&self) -> usize {
        self.kh * self.kw * self.c
    }

    pub(crate) fn image_len(&self) -> usize {
        self.h * self.w * self.c
    }

    pub(crate) fn map_len(&self) -> usize {
        self.oh * self.ow * self.o
    }
}
