//! A sum over kernel positions of shifted copies of a raster: what a convolution's forward is, and, for image positions
//! of one remainder by the stride, its input gradient.

use rayon::prelude::*;

use super::columns::FEW_CHANNELS;
use super::micro::{Correlate, NOTHING, PANEL, Run};
use super::packing::{Multiplied, Panels};
use super::shared::Shared;
use crate::element::narrow_to;

/// Target positions that are worked on together: their part of the source stays in L2.
const POSITIONS: usize = 192;
/// Kernel rows that are worked on together: a panel of them stays in L2.
const DEPTH: usize = 1024;

/// One kernel position, and how far its source position lies from that of its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) dy: isize,
    pub(super) dx: isize,
    /// Which of the kernel's kh·kw positions.
    pub(super) kernel: usize,
}

/// target(n, y, x) = Σ over taps, channels: source(n, row·step + dy, column·step + dx, ·) · kernel(tap, ·, ·), where
/// (y, x) = `target_first` + (row, column)·`target_step`. Positions outside the source are 0.
#[derive(Debug)]
pub(super) struct Correlation {
    pub(super) n: usize,
    /// Rows, columns and channels.
    pub(super) source: [usize; 3],
    pub(super) step: usize,
    pub(super) taps: Vec<Tap>,
    /// Rows and columns of target positions.
    pub(super) positions: [usize; 2],
    /// Rows, columns and channels.
    pub(super) target: [usize; 3],
    pub(super) target_first: [usize; 2],
    pub(super) target_step: usize,
}

impl Correlation {
    /// Writes every target position to `out`, which has room for all of the target.
    /// `kernel`: rows (tap, source channel) of the target's channels.
    pub(super) fn run<E: Multiplied>(&self, source: &[E], kernel: &Panels<E::Value>, out: Shared<E>) {
        let n_positions = self.n * self.positions[0] * self.positions[1];
        let channels = self.target[2];
        if n_positions == 0 {
            return;
        }
        let target_len = self.n * self.target.iter().product::<usize>();
        assert!(source.len() < NOTHING as usize && target_len < NOTHING as usize);
        let tiles = n_positions.div_ceil(POSITIONS);
        let tile = n_positions.div_ceil(tiles).next_multiple_of(6);
        let tiles = n_positions.div_ceil(tile);
        let panels = channels.div_ceil(PANEL);
        let gathers = self.gathers::<E>();
        let steps = if gathers { vec![self.gathered::<E>()] } else { self.steps::<E>() };
        let longest = steps.iter().flatten().map(|part| part.run.len).max().unwrap_or(0);
        let zeros = vec![E::Value::default(); longest];
        (0..tiles * panels).into_par_iter().for_each_init(Tile::<E>::default, |scratch, piece| {
            let (t, first_column) = (piece / panels, piece % panels * PANEL);
            let columns = PANEL.min(channels - first_column);
            let (right, step) = kernel.panel(piece % panels);
            scratch.place(self, t * tile, tile.min(n_positions - t * tile), first_column);
            let mut sums = std::mem::take(&mut scratch.sums);
            let (to, out_offsets) = match E::as_sums(out) {
                Some(out) => (out, scratch.targets.clone()),
                None => {
                    let rows = scratch.targets.len();
                    sums.resize(rows * columns, 0.0);
                    (Shared::new(&mut sums), (0..rows).map(|row| (row * columns) as u32).collect())
                }
            };
            let mut add = false;
            for parts in &steps {
                if gathers {
                    scratch.gather(self, source);
                } else {
                    scratch.locate(self, parts);
                }
                let block = Correlate {
                    left: E::values(if gathers { &scratch.columns } else { source }),
                    offsets: &scratch.offsets,
                    runs: &scratch.runs,
                    zeros: &zeros,
                    right,
                    step,
                    first_column: 0,
                    columns,
                    out: to,
                    out_offsets: &out_offsets,
                    add,
                    bias: None,
                };
                // SAFETY: a piece is one tile's positions and one panel's channels of the target; no other has any of them.
                #[allow(unsafe_code)]
                unsafe {
                    block.run();
                }
                add = true;
            }
            for (sums, &target) in sums.chunks_exact(columns).zip(&scratch.targets) {
                // SAFETY: as above.
                #[allow(unsafe_code)]
                narrow_to(sums, unsafe { out.room(target as usize, columns) });
            }
            scratch.sums = sums;
        });
    }

    /// Whether a position's values under all taps are copied into a row: where a run is short, or ends within a value.
    fn gathers<E: Multiplied>(&self) -> bool {
        self.taps.len() > 1 && self.source[2] < FEW_CHANNELS || !self.source[2].is_multiple_of(E::PER)
    }

    /// The kernel's rows in groups of at most [`DEPTH`] values; one empty group where there are no taps.
    fn steps<E: Multiplied>(&self) -> Vec<Vec<Part>> {
        let channels = self.source[2];
        let most = DEPTH * E::PER;
        let mut steps = vec![Vec::new()];
        let mut depth = 0;
        for &tap in &self.taps {
            for channel in (0..channels).step_by(most) {
                let len = most.min(channels - channel);
                if depth + len > most && depth > 0 {
                    steps.push(Vec::new());
                    depth = 0;
                }
                depth += len;
                let first = tap.kernel * channels + channel;
                let run = Run { len: len / E::PER, right_row: first / E::PER };
                if let Some(step) = steps.last_mut() {
                    step.push(Part { tap, channel, run });
                }
            }
        }
        steps
    }

    /// All taps as one run of a gathered row, for few channels; taps follow each other in the kernel only where all
    /// of them are there, so rows are gathered for all up to the last.
    fn gathered<E: Multiplied>(&self) -> Vec<Part> {
        let Some(&tap) = self.taps.first() else { return Vec::new() };
        let len = self.source[2] * self.taps.iter().map(|tap| tap.kernel + 1).max().unwrap_or(0);
        vec![Part { tap, channel: 0, run: Run { len: len.div_ceil(E::PER), right_row: 0 } }]
    }
}

/// A run of source channels under one tap.
#[derive(Debug, Clone, Copy)]
struct Part {
    tap: Tap,
    channel: usize,
    run: Run,
}

/// What one thread fills again for every tile.
#[derive(Default)]
struct Tile<E> {
    /// Picture, row and column of each position.
    positions: Vec<[usize; 3]>,
    /// Where each position's target begins.
    targets: Vec<u32>,
    offsets: Vec<u32>,
    runs: Vec<Run>,
    columns: Vec<E>,
    /// Where the target is not f32 itself.
    sums: Vec<f32>,
}

impl<E: Multiplied> Tile<E> {
    fn place(&mut self, c: &Correlation, first: usize, len: usize, first_channel: usize) {
        let [rows, columns] = c.positions;
        let at = |p: usize| [p / (rows * columns), p / columns % rows, p % columns];
        self.positions.clear();
        self.positions.extend((first..first + len).map(at));
        let [h, w, channels] = c.target;
        let target = |&[n, row, column]: &[usize; 3]| {
            let (y, x) =
                (c.target_first[0] + row * c.target_step, c.target_first[1] + column * c.target_step);
            (((n * h + y) * w + x) * channels + first_channel) as u32
        };
        self.targets.clear();
        self.targets.extend(self.positions.iter().map(target));
    }

    /// Where each position's values of each part begin.
    fn locate(&mut self, c: &Correlation, parts: &[Part]) {
        self.offsets.clear();
        self.runs.clear();
        for part in parts {
            self.runs.push(part.run);
            let offset = |&[n, row, column]: &[usize; 3]| match c.inside(row, column, part.tap) {
                Some((y, x)) => {
                    let first = ((n * c.source[0] + y) * c.source[1] + x) * c.source[2] + part.channel;
                    (first / E::PER) as u32
                }
                None => NOTHING,
            };
            self.offsets.extend(self.positions.iter().map(offset));
        }
    }

    /// Copies every position's values under all taps into a row.
    fn gather(&mut self, c: &Correlation, source: &[E]) {
        let [h, w, channels] = c.source;
        self.runs.clear();
        self.runs.extend(c.gathered::<E>().iter().map(|part| part.run));
        let values = self.runs.first().map_or(0, |run| run.len);
        let len = values * E::PER;
        self.columns.clear();
        self.columns.resize(len * self.positions.len(), E::narrow(0.0));
        let rows = c.tap_rows();
        for (&[n, row, column], out) in self.positions.iter().zip(self.columns.chunks_exact_mut(len.max(1))) {
            for &(first, n_taps) in &rows {
                let Some(y) = (row * c.step).checked_add_signed(first.dy).filter(|&y| y < h) else {
                    continue;
                };
                // The taps of the row that lie inside the source.
                let x = (column * c.step) as isize + first.dx;
                let inside = (-x).clamp(0, n_taps) as usize..(w as isize - x).clamp(0, n_taps) as usize;
                if inside.is_empty() {
                    continue;
                }
                let from = ((n * h + y) * w + (x + inside.start as isize) as usize) * channels;
                let to = (first.kernel + inside.start) * channels;
                let len = inside.len() * channels;
                out[to..to + len].copy_from_slice(&source[from..from + len]);
            }
        }
        self.offsets.clear();
        let rows = 0..self.positions.len() * self.runs.len();
        self.offsets.extend(rows.map(|row| (row * values) as u32));
    }
}

impl Correlation {
    /// Taps that follow each other in a source row and in the kernel: the first, and how many.
    fn tap_rows(&self) -> Vec<(Tap, isize)> {
        let mut rows: Vec<(Tap, isize)> = Vec::new();
        for &tap in &self.taps {
            match rows.last_mut() {
                Some((first, n))
                    if tap.dy == first.dy
                        && tap.dx == first.dx + *n
                        && tap.kernel == first.kernel + *n as usize =>
                {
                    *n += 1;
                }
                _ => rows.push((tap, 1)),
            }
        }
        rows
    }

    fn inside(&self, row: usize, column: usize, tap: Tap) -> Option<(usize, usize)> {
        let y = (row * self.step).checked_add_signed(tap.dy).filter(|&y| y < self.source[0])?;
        let x = (column * self.step).checked_add_signed(tap.dx).filter(|&x| x < self.source[1])?;
        Some((y, x))
    }
}
