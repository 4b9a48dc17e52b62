//! Kernels as tiles multiply them.

use std::ops::Range;

use rayon::prelude::*;

use super::super::packing::{Multiplied, turn};
use super::super::shared::{Shared, fetch};
use super::{
    raster::{Panel, Taps, panels},
    tile::{G, OUTSIDE, POINTS, Sandwich, Window},
};
use crate::lanes::LANES;

/// What products multiply transformed sources with.
#[derive(Clone, Copy)]
pub(crate) enum Kernel<'a, V> {
    /// (kh, kw, source channels, target channels), and the other way round if its taps are turned; transformed as it is needed.
    Plain(&'a [f32]),
    /// As [`transform_kernel`] makes it.
    Transformed(&'a [V]),
}

/// Source channels that are brought near before they are transformed.
const AHEAD: usize = 1;

/// The taps of one phase, of a panel's target channels and of source channels.
pub(super) struct KernelTaps<'a> {
    kernel: &'a [f32],
    /// Of the first source channel.
    first: Window<3>,
    /// From a source channel to the next.
    step: usize,
    /// The panel's target channels.
    columns: usize,
}

impl<'a> KernelTaps<'a> {
    /// Of a kernel (kh, kw, c source channels, o target channels), from a source channel on.
    pub(super) fn new(
        kernel: &'a [f32],
        taps: Taps,
        [c, o]: [usize; 2],
        phase: usize,
        panel: Panel,
        channel: usize,
    ) -> Self {
        let first = taps.window(phase, channel * o + panel.first, c * o);
        Self { kernel, first, step: o, columns: panel.columns }
    }

    /// Of a kernel (kh, kw, o target channels, c source channels), which is turned in `room`.
    pub(super) fn turned(
        kernel: &[f32],
        taps: Taps,
        [c, o]: [usize; 2],
        phase: usize,
        panel: Panel,
        channels: &Range<usize>,
        room: &'a mut [f32],
    ) -> Self {
        let (columns, step) = (panel.columns, channels.len() * panel.columns);
        let from = taps.window(phase, panel.first * c + channels.start, c * o);
        let inside = |places: [usize; 3], step: usize| {
            std::array::from_fn(|i| if places[i] == OUTSIDE { OUTSIDE } else { i * step })
        };
        let first = Window { rows: inside(from.rows, 3 * step), columns: inside(from.columns, step) };
        for (i, j) in (0..9).map(|tap| (tap / 3, tap % 3)) {
            let (Some(from), Some(to)) = (from.place(i, j), first.place(i, j)) else { continue };
            turn(&kernel[from..], c, &mut room[to..to + step], columns);
        }
        Self { kernel: room, first, step: columns, columns }
    }

    /// Has the taps of a source channel brought near. They lie in pieces of a few cache lines, pages apart, which no processor foresees.
    fn fetch(&self, channel: usize) {
        if self.step == self.columns {
            return;
        }
        let from = self.first.shifted(channel * self.step);
        for place in (0..9).filter_map(|tap| from.place(tap / 3, tap % 3)) {
            for line in (0..self.columns).step_by(LANES) {
                fetch(self.kernel, place + line);
            }
        }
    }

    /// G·g·Gᵀ of a source channel, or of two that are joined in a value: point p at `out[at + p·step..]`.
    pub(super) fn transform<E: Multiplied>(
        &self,
        value: usize,
        elements: &mut Vec<E>,
        out: Shared<E::Value>,
        at: usize,
        step: usize,
    ) {
        let columns = self.columns;
        let run = |channel: usize, out: Shared<E>, at: usize, step: usize| {
            self.fetch(channel + AHEAD);
            let (from, to) = (self.first.shifted(channel * self.step), Window::even(at, step));
            let transform = Sandwich::<G<E>, f32, E, 3, 6>::new(self.kernel, from, out, to, columns);
            // SAFETY: a value of a panel is one task's.
            #[allow(unsafe_code)]
            unsafe {
                transform.run();
            }
        };
        if let Some(out) = E::as_elements(out) {
            return run(value, out, at, step);
        }
        elements.resize(2 * POINTS * columns, E::default());
        for i in 0..2 {
            run(2 * value + i, Shared::new(elements), i * POINTS * columns, columns);
        }
        let (first, second) = elements.split_at(POINTS * columns);
        for (point, (first, second)) in
            first.chunks_exact(columns).zip(second.chunks_exact(columns)).enumerate()
        {
            // SAFETY: a value of a panel is one task's, and all of it was set when it was made.
            #[allow(unsafe_code)]
            let to = unsafe { out.slice(at + point * step, columns) };
            E::join(first, Some(second), to);
        }
    }
}

/// G·g·Gᵀ for each pair of channels, of a kernel (3, 3, c source channels, o target channels) of stride 1, as the right sides of products:
/// (panel, point, source channel, the panel's target channels).
pub(crate) fn transform_kernel(kernel: &[f32], taps: Taps, [c, o]: [usize; 2]) -> Vec<f32> {
    let mut values = vec![0.0; POINTS * c * o];
    let out = Shared::new(&mut values);
    let panels = panels(1, o);
    (0..panels.len() * c).into_par_iter().for_each(|row| {
        let (panel, channel) = (panels[row / c], row % c);
        let at = POINTS * c * panel.first + channel * panel.columns;
        let taps = KernelTaps::new(kernel, taps, [c, o], panel.phase, panel, 0);
        taps.transform::<f32>(channel, &mut Vec::new(), out, at, c * panel.columns);
    });
    values
}
