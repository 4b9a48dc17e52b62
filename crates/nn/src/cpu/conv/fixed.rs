//! A convolution whose kernel is packed once, for networks that only run: bias and ReLU are applied while sums are in registers,
//! and source and target may be some of the channels of wider maps.

use rayon::prelude::*;

use super::micro::{Correlate, NOTHING, PANEL, Run};
use super::shared::Shared;
use super::winograd::{Kernel, Raster, Taps, Winograd, transform_kernel};
use crate::lanes::LANES;

/// Positions that are worked on together: a multiple of the rows that the products hold in registers.
const POSITIONS: usize = 192;
/// Kernel rows that are worked on together: a panel of them stays in L2.
const DEPTH: usize = 1024;

/// A kernel with its bias, and the ReLU behind them.
#[derive(Debug)]
pub(crate) struct Fixed {
    kernel: [usize; 2],
    /// Of the source and of the target.
    channels: [usize; 2],
    stride: usize,
    padding: [usize; 2],
    weights: Weights,
    /// One a target channel, made whole vectors; without it there is no ReLU either.
    bias: Option<Vec<f32>>,
}

#[derive(Debug)]
enum Weights {
    /// Winograd's 36 points, as [`transform_kernel`] makes them.
    Tiles(Taps, Vec<f32>),
    /// Neighbouring target channels each.
    Panels(Vec<Panel>),
}

/// (kh, kw, c) rows of some neighbouring target channels, made whole vectors.
#[derive(Debug)]
struct Panel {
    first: usize,
    columns: usize,
    step: usize,
    values: Vec<f32>,
}

/// Maps in memory: pictures and the raster of each.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) n: usize,
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// All channels that there are.
    pub(crate) channels: usize,
    /// The first channel that is meant.
    pub(crate) first: usize,
}

impl Fixed {
    /// `kernel` (kh, kw, c, o), and a bias of o values if there is one.
    pub(crate) fn new(
        kernel: &[f32],
        [kh, kw, c, o]: [usize; 4],
        bias: Option<&[f32]>,
        stride: usize,
        padding: [usize; 2],
    ) -> Self {
        assert!(kernel.len() == kh * kw * c * o && !kernel.is_empty() && stride > 0);
        let taps = Winograd::pays([kh, kw], stride, padding[0], [c, o]);
        let weights = match taps.filter(|_| padding[0] == padding[1] && stride == 1) {
            Some(taps) => Weights::Tiles(taps, transform_kernel(kernel, taps, [c, o])),
            None => Weights::Panels(pack(kernel, o)),
        };
        let bias = bias.map(|bias| {
            assert_eq!(bias.len(), o);
            let rest = o.next_multiple_of(LANES) - o;
            bias.iter().copied().chain(std::iter::repeat_n(0.0, rest)).collect::<Vec<f32>>()
        });
        Self { kernel: [kh, kw], channels: [c, o], stride, padding, weights, bias }
    }

    /// Channels of the source and of the target.
    pub(crate) fn channels(&self) -> [usize; 2] {
        self.channels
    }

    /// Rows and columns of the target; none where the kernel does not fit.
    pub(crate) fn target_size(&self, source: [usize; 2]) -> Option<[usize; 2]> {
        let size = |d: usize| {
            let room = (source[d] + 2 * self.padding[d]).checked_sub(self.kernel[d])?;
            Some(room / self.stride + 1)
        };
        Some([size(0)?, size(1)?])
    }

    /// Target's channels from source's; all positions are written.
    pub(crate) fn run(&self, source: &[f32], from: Place, target: &mut [f32], to: Place) {
        let [c, o] = self.channels;
        assert!(from.first + c <= from.channels && to.first + o <= to.channels && from.n == to.n);
        assert_eq!(self.target_size(from.size), Some(to.size));
        assert!(source.len() == from.len() && target.len() == to.len());
        assert!(source.len().max(target.len()) < NOTHING as usize);
        let out = Shared::new(target);
        match &self.weights {
            Weights::Tiles(taps, kernel) => {
                let raster = |place: Place, c: usize| Raster {
                    size: [place.size[0], place.size[1], c],
                    step: place.channels,
                    first: place.first,
                    fold: 1,
                };
                let (source_raster, target_raster) = (raster(from, c), raster(to, o));
                let winograd = Winograd {
                    n: from.n,
                    source: source_raster,
                    padding: self.padding[0],
                    target: target_raster,
                    taps: *taps,
                };
                let bias = self.bias.as_ref().map(|bias| &bias[..o]);
                winograd.correlate(source, Kernel::Transformed(kernel), bias, out);
            }
            Weights::Panels(panels) => self.run_panels(panels, source, from, out, to),
        }
    }

    fn run_panels(&self, panels: &[Panel], source: &[f32], from: Place, out: Shared, to: Place) {
        let n_positions = to.n * to.size[0] * to.size[1];
        let tiles = n_positions.div_ceil(POSITIONS);
        let steps = self.steps(from);
        let longest = steps.iter().flatten().map(|part| part.run.len).max().unwrap_or(0);
        let zeros = vec![0.0; longest];
        (0..tiles * panels.len()).into_par_iter().for_each_init(Scratch::default, |scratch, piece| {
            let (tile, panel) = (piece / panels.len(), &panels[piece % panels.len()]);
            let positions = tile * POSITIONS..((tile + 1) * POSITIONS).min(n_positions);
            scratch.place(positions, to, panel.first);
            let bias = self.bias.as_ref().map(|bias| &bias[panel.first..]);
            for (i, parts) in steps.iter().enumerate() {
                scratch.locate(self, parts, from);
                let block = Correlate {
                    left: source,
                    offsets: &scratch.offsets,
                    runs: &scratch.runs,
                    zeros: &zeros,
                    right: &panel.values,
                    step: panel.step,
                    first_column: 0,
                    columns: panel.columns,
                    out,
                    out_offsets: &scratch.targets,
                    add: i > 0,
                    bias: bias.filter(|_| i + 1 == steps.len()),
                };
                // SAFETY: a piece is one tile's positions and one panel's channels of the target; no other has any of them.
                #[allow(unsafe_code)]
                unsafe {
                    block.run();
                }
            }
        });
    }

    /// The kernel's rows in groups of at most [`DEPTH`]. Values that lie together in the source are one part: the channels under a
    /// kernel position, or under a whole row of the kernel where it never leaves the source.
    fn steps(&self, from: Place) -> Vec<Vec<Part>> {
        let [kh, kw] = self.kernel;
        let c = self.channels[0];
        let is_whole = self.padding[1] == 0 && from.channels == c;
        let (n_taps, len) = if is_whole { (1, kw * c) } else { (kw, c) };
        let mut steps = vec![Vec::new()];
        let mut depth = 0;
        for (ky, kx) in (0..kh).flat_map(|ky| (0..n_taps).map(move |kx| (ky, kx))) {
            for first in (0..len).step_by(DEPTH) {
                let len = DEPTH.min(len - first);
                if depth + len > DEPTH && depth > 0 {
                    steps.push(Vec::new());
                    depth = 0;
                }
                depth += len;
                let run = Run { len, right_row: (ky * kw + kx) * c + first };
                if let Some(step) = steps.last_mut() {
                    step.push(Part { ky, kx, first, run });
                }
            }
        }
        steps
    }
}

impl Place {
    /// Values there are.
    pub(crate) fn len(self) -> usize {
        self.n * self.size[0] * self.size[1] * self.channels
    }
}

/// Rows of `o` target channels as panels of about equal width, at most as wide as the products hold in registers.
fn pack(kernel: &[f32], o: usize) -> Vec<Panel> {
    let vectors = o.div_ceil(LANES);
    let most = (PANEL / LANES).max(1);
    let n_panels = vectors.div_ceil(most);
    let bound = |i: usize| (vectors * i / n_panels * LANES).min(o);
    let make = |i: usize| {
        let (first, end) = (bound(i), bound(i + 1));
        let step = (end - first).next_multiple_of(LANES);
        let mut values = vec![0.0; kernel.len() / o * step];
        for (to, row) in values.chunks_exact_mut(step).zip(kernel.chunks_exact(o)) {
            to[..end - first].copy_from_slice(&row[first..end]);
        }
        Panel { first, columns: end - first, step, values }
    };
    (0..n_panels).map(make).collect()
}

/// A run of source values, from channel `first` under a kernel position.
#[derive(Debug, Clone, Copy)]
struct Part {
    ky: usize,
    kx: usize,
    first: usize,
    run: Run,
}

/// What one thread fills again for every tile.
#[derive(Default)]
struct Scratch {
    /// Picture, row and column of each position.
    positions: Vec<[usize; 3]>,
    targets: Vec<u32>,
    offsets: Vec<u32>,
    runs: Vec<Run>,
}

impl Scratch {
    fn place(&mut self, positions: std::ops::Range<usize>, to: Place, first: usize) {
        let [rows, columns] = to.size;
        self.targets.clear();
        self.targets.extend(positions.clone().map(|p| (p * to.channels + to.first + first) as u32));
        self.positions.clear();
        self.positions.extend(positions.map(|p| [p / (rows * columns), p / columns % rows, p % columns]));
    }

    /// Where each position's values of each part begin.
    fn locate(&mut self, fixed: &Fixed, parts: &[Part], from: Place) {
        let [h, w] = from.size;
        let inside = |at: usize, k: usize, d: usize, size: usize| {
            (at * fixed.stride + k).checked_sub(fixed.padding[d]).filter(|&at| at < size)
        };
        self.offsets.clear();
        self.runs.clear();
        for part in parts {
            self.runs.push(part.run);
            let offset = |&[n, row, column]: &[usize; 3]| match (
                inside(row, part.ky, 0, h),
                inside(column, part.kx, 1, w),
            ) {
                (Some(y), Some(x)) => {
                    (((n * h + y) * w + x) * from.channels + from.first + part.first) as u32
                }
                _ => NOTHING,
            };
            self.offsets.extend(self.positions.iter().map(offset));
        }
    }
}
