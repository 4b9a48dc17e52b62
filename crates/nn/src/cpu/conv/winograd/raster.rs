//! Places of tiles: rasters, folded where the stride is more than 1, the taps that then meet, and their channels in panels and chunks.

use std::ops::Range;

use super::super::micro::PANEL;
use super::tile::{OUTSIDE, Window};

/// Channels that are transformed together, and whose products are then summed: with a block of tiles they stay in L2.
pub(super) const DEPTH: usize = 64;

/// Rasters of which some neighbouring channels are meant.
///
/// Folded by f, each f×f positions are one of f² times the channels: what is f apart becomes neighbours. Each of these f² phases has all
/// channels that are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raster {
    /// Rows, columns and the channels that are meant.
    pub(crate) size: [usize; 3],
    /// All channels that there are.
    pub(crate) step: usize,
    /// The first that is meant.
    pub(crate) first: usize,
    /// Rows, and columns, that are folded into one.
    pub(crate) fold: usize,
}

impl Raster {
    /// All channels.
    pub(super) fn whole(size: [usize; 3], fold: usize) -> Self {
        Self { size, step: size[2], first: 0, fold }
    }

    pub(super) fn phases(&self) -> usize {
        self.fold * self.fold
    }

    /// Rows and columns of the folded raster.
    pub(super) fn folded(&self) -> [usize; 2] {
        [self.size[0].div_ceil(self.fold), self.size[1].div_ceil(self.fold)]
    }

    /// Where the values of a picture's N×N positions of a phase begin, for channels from `channel` on: from the folded position
    /// (y, x) less `padding` on.
    pub(super) fn window<const N: usize>(
        &self,
        n: usize,
        phase: usize,
        [y, x]: [usize; 2],
        padding: usize,
        channel: usize,
    ) -> Window<N> {
        let places = |first: usize, phase: usize, size: usize, base: usize, step: usize| {
            std::array::from_fn(|i| match (first + i).checked_sub(padding).map(|at| at * self.fold + phase) {
                Some(at) if at < size => base + at * step,
                _ => OUTSIDE,
            })
        };
        let [h, w, _] = self.size;
        Window {
            rows: places(y, phase / self.fold, h, n * h * w * self.step, w * self.step),
            columns: places(x, phase % self.fold, w, self.first + channel, self.step),
        }
    }
}

/// Which tap of a convolution's kernel each tap of each phase's 3×3 kernel is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps {
    /// Rows and columns of the kernel.
    size: usize,
    fold: usize,
    /// Positions of the folded raster before the first.
    pub(super) padding: usize,
    /// Rows of the first phase's first tap above the kernel.
    shift: usize,
    /// The 3×3 kernels are turned by 180 degrees.
    pub(super) is_turned: bool,
}

impl Taps {
    /// Of a kernel whose phases' taps are no more than 3×3.
    pub(super) fn of([kh, kw]: [usize; 2], fold: usize, padding: usize) -> Option<Self> {
        let folded = padding.div_ceil(fold);
        let shift = folded * fold - padding;
        // The last tap's place in its phase.
        let last = (kh + shift).saturating_sub(1) / fold;
        (kh == kw && last < 3 && folded < 3).then_some(Self {
            size: kh,
            fold,
            padding: folded,
            shift,
            is_turned: false,
        })
    }

    /// The same, turned by 180 degrees.
    pub(super) fn turned(self) -> Self {
        Self { is_turned: true, ..self }
    }

    /// Where the matrices of a phase's taps begin, each of `step` numbers, from `first` in each on.
    pub(super) fn window(&self, phase: usize, first: usize, step: usize) -> Window<3> {
        let places = |phase: usize, base: usize, step: usize| {
            std::array::from_fn(|i| {
                let i = if self.is_turned { 2 - i } else { i };
                match (i * self.fold + phase).checked_sub(self.shift) {
                    Some(tap) if tap < self.size => base + tap * step,
                    _ => OUTSIDE,
                }
            })
        };
        Window {
            rows: places(phase / self.fold, first, self.size * step),
            columns: places(phase % self.fold, 0, step),
        }
    }
}

/// Some neighbouring target channels of one phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) phase: usize,
    pub(super) first: usize,
    pub(super) columns: usize,
}

/// All of them, no more than [`PANEL`] at a time.
pub(super) fn panels(phases: usize, channels: usize) -> Vec<Panel> {
    let of = |phase| {
        let firsts = (0..channels).step_by(PANEL);
        firsts.map(move |first| Panel { phase, first, columns: PANEL.min(channels - first) })
    };
    (0..phases).flat_map(of).collect()
}

/// Source channels of each phase, no more than `depth` at a time.
pub(super) fn chunks(
    phases: usize,
    channels: usize,
    depth: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let of = move |phase| {
        let firsts = (0..channels).step_by(depth);
        firsts.map(move |first| (phase, first..(first + depth).min(channels)))
    };
    (0..phases).flat_map(of)
}
