//! What stands between a picture's last block and its end-of-image marker: blocks that were once part of the picture, so that
//! something before them is lost, or something else that a camera or a program put there.
//!
//! libjpeg cannot tell. Here the Huffman codes of a sequential JPEG are read once more, from ITU-T T.81, annex F.2, without
//! their values; it is asked rarely.

use super::segments::{body, next_marker};

/// Whether the surplus in the file `bytes` is no picture data: the last block ends as a scan does, and what follows are no blocks.
/// Only of files with one scan can that be said.
pub(super) fn is_foreign(bytes: &[u8]) -> bool {
    let Some((mut scan, n_mcus)) = Scan::find(bytes) else { return false };
    for mcu in 0..n_mcus {
        if scan.restart_interval > 0 && mcu > 0 && mcu % scan.restart_interval == 0 && !scan.bits.restart() {
            return false;
        }
        if take_mcu(&scan.blocks, &mut scan.bits).is_err() {
            return false;
        }
    }
    if !scan.bits.is_padded() {
        return false;
    }
    // Blocks might go on at the next bit, or at the next byte.
    let behind = scan.bits.clone();
    let is_invalid = |mut bits: Bits<'_>| loop {
        match take_mcu(&scan.blocks, &mut bits) {
            Ok(()) => {}
            Err(Stop::Invalid) => return true,
            Err(Stop::End) => return false,
        }
    };
    is_invalid(behind.clone()) && is_invalid(Bits { n_left: 0, ..behind })
}

/// Why no block could be read.
enum Stop {
    /// The data end.
    End,
    /// A code that is none, or more than 64 coefficients.
    Invalid,
}

/// A Huffman table: how many codes there are of each length from 1 on, and what they stand for.
#[derive(Clone)]
struct Table {
    counts: [u8; 16],
    values: Vec<u8>,
}

/// A scan whose data are to be read.
struct Scan<'a> {
    bits: Bits<'a>,
    /// The tables of each block of a minimum coded unit.
    blocks: Vec<[Table; 2]>,
    restart_interval: usize,
}

impl<'a> Scan<'a> {
    /// The scan of a sequential JPEG with one, and the number of its minimum coded units.
    fn find(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut tables: [[Option<Table>; 4]; 2] = Default::default();
        let (mut frame, mut restart_interval, mut at) = (None, 0, 2);
        loop {
            let (marker, behind) = next_marker(bytes, at)?;
            let body = body(bytes, behind)?;
            at = behind + 2 + body.len();
            match marker {
                0xc0 | 0xc1 => frame = Some(body),
                0xc4 => read_tables(body, &mut tables)?,
                0xdd => restart_interval = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?])),
                0xda => {
                    let (blocks, n_mcus) = layout(frame?, body, &tables)?;
                    let bits = Bits { bytes, at, byte: 0, n_left: 0 };
                    return Some((Self { bits, blocks, restart_interval }, n_mcus));
                }
                // Progressive, lossless, arithmetic.
                0xc2..=0xcf | 0xd9 => return None,
                _ => {}
            }
        }
    }
}

/// Reads the blocks of a minimum coded unit.
fn take_mcu(blocks: &[[Table; 2]], bits: &mut Bits<'_>) -> Result<(), Stop> {
    for [dc, ac] in blocks {
        let n_bits = bits.symbol(dc)?;
        bits.skip(n_bits & 15)?;
        let mut k = 1;
        while k < 64 {
            let symbol = bits.symbol(ac)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => k += 16,
                (_, 0) => break,
                (run, n_bits) => {
                    k += usize::from(run) + 1;
                    bits.skip(n_bits)?;
                }
            }
        }
        if k > 64 {
            return Err(Stop::Invalid);
        }
    }
    Ok(())
}

/// Adds a segment's Huffman tables.
fn read_tables(mut body: &[u8], tables: &mut [[Option<Table>; 4]; 2]) -> Option<()> {
    while let Some((&head, rest)) = body.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>()?;
        let n_values = counts.iter().map(|&n| usize::from(n)).sum();
        let (values, rest) = rest.split_at_checked(n_values)?;
        let slot = tables.get_mut(usize::from(head >> 4))?.get_mut(usize::from(head & 15))?;
        *slot = Some(Table { counts: *counts, values: values.to_vec() });
        body = rest;
    }
    Some(())
}

/// The tables of each block of a minimum coded unit, and how many of those there are; none where the scan does not hold all
/// components.
fn layout(frame: &[u8], scan: &[u8], tables: &[[Option<Table>; 4]; 2]) -> Option<(Vec<[Table; 2]>, usize)> {
    let side = |at: usize| Some(usize::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
    let (height, width, n) = (side(1)?, side(3)?, usize::from(*frame.get(5)?));
    if usize::from(*scan.first()?) != n || n == 0 {
        return None;
    }
    let components = frame.get(6..6 + 3 * n)?.chunks_exact(3);
    // A component alone is stored block by block, whatever its sampling factors.
    let factors: Vec<[usize; 2]> = components
        .map(|component| match n {
            1 => [1, 1],
            _ => [usize::from(component[1] >> 4), usize::from(component[1] & 15)],
        })
        .collect();
    let [across, down] = [0, 1].map(|axis| 8 * factors.iter().map(|factor| factor[axis]).max().unwrap_or(0));
    if across == 0 || down == 0 {
        return None;
    }
    let mut blocks = Vec::new();
    for (factor, chosen) in factors.iter().zip(scan.get(1..1 + 2 * n)?.chunks_exact(2)) {
        let table = |class: usize, number: u8| tables[class].get(usize::from(number))?.clone();
        let pair = [table(0, chosen[1] >> 4)?, table(1, chosen[1] & 15)?];
        blocks.extend(std::iter::repeat_n(pair, factor[0] * factor[1]));
    }
    (!blocks.is_empty()).then(|| (blocks, width.div_ceil(across) * height.div_ceil(down)))
}

/// The bits of a scan.
#[derive(Clone)]
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte.
    at: usize,
    byte: u8,
    /// Bits of `byte` that are not yet taken.
    n_left: u8,
}

impl Bits<'_> {
    fn next(&mut self) -> Result<u16, Stop> {
        if self.n_left == 0 {
            self.byte = match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 1;
                    0xff
                }
                (Some(0xff), _) | (None, _) => return Err(Stop::End),
                (Some(&byte), _) => byte,
            };
            self.at += 1;
            self.n_left = 8;
        }
        self.n_left -= 1;
        Ok(u16::from(self.byte >> self.n_left & 1))
    }

    fn skip(&mut self, n: u8) -> Result<(), Stop> {
        for _ in 0..n {
            self.next()?;
        }
        Ok(())
    }

    fn symbol(&mut self, table: &Table) -> Result<u8, Stop> {
        let (mut code, mut first, mut index) = (0u32, 0u32, 0);
        for &count in &table.counts {
            code = code << 1 | u32::from(self.next()?);
            first <<= 1;
            if code < first + u32::from(count) {
                let value = table.values.get(index + code.wrapping_sub(first) as usize);
                return value.copied().ok_or(Stop::Invalid);
            }
            index += usize::from(count);
            first += u32::from(count);
        }
        Err(Stop::Invalid)
    }

    /// Whether the byte's other bits are ones, with which encoders fill up a scan.
    fn is_padded(&self) -> bool {
        let rest = (1u16 << self.n_left) - 1;
        u16::from(self.byte) & rest == rest
    }

    /// Passes over a restart marker.
    fn restart(&mut self) -> bool {
        self.n_left = 0;
        let is_there = matches!(self.bytes.get(self.at..self.at + 2), Some([0xff, 0xd0..=0xd7]));
        self.at += 2;
        is_there
    }
}
