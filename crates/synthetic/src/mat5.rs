//! The MAT v5 container, as much of it as SVHN's files use: compressed, real, byte-valued arrays.
//!
//! Layout: MathWorks, "MAT-File Format", R2023b, chapter 1.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

const MI_INT8: u32 = 1;
const MI_UINT8: u32 = 2;
const MI_INT32: u32 = 5;
const MI_UINT32: u32 = 6;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;
/// Class of an array of unsigned bytes (`mxUINT8_CLASS`).
const MX_UINT8: u32 = 9;

/// The 128-byte header of a little-endian file.
pub(super) fn header() -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file, synthetic digits".to_vec();
    bytes.resize(116, b' ');
    bytes.resize(124, 0);
    bytes.extend(0x0100_u16.to_le_bytes());
    bytes.extend(b"IM");
    bytes
}

/// One compressed array of bytes, `values` in column-major order (first dimension fastest).
///
/// # Errors
/// None in practice: compression writes to memory.
pub(super) fn byte_array(name: &str, dims: &[i32], values: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut parts = Vec::with_capacity(values.len() + 128);
    element(&mut parts, MI_UINT32, &[MX_UINT8.to_le_bytes(), [0; 4]].concat());
    element(&mut parts, MI_INT32, &dims.iter().flat_map(|dim| dim.to_le_bytes()).collect::<Vec<u8>>());
    element(&mut parts, MI_INT8, name.as_bytes());
    element(&mut parts, MI_UINT8, values);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(3));
    encoder.write_all(&tag(MI_MATRIX, parts.len()))?;
    encoder.write_all(&parts)?;
    let compressed = encoder.finish()?;
    // A compressed element, unlike every other, is not padded to a multiple of 8 bytes.
    Ok([&tag(MI_COMPRESSED, compressed.len())[..], &compressed].concat())
}

/// Appends an element, padded to a multiple of 8 bytes.
fn element(bytes: &mut Vec<u8>, kind: u32, data: &[u8]) {
    bytes.extend(tag(kind, data.len()));
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

/// Data type and length in bytes. Lengths fit: a set is kept under 2³¹ bytes by its config.
fn tag(kind: u32, n_bytes: usize) -> [u8; 8] {
    let mut tag = [0; 8];
    tag[..4].copy_from_slice(&kind.to_le_bytes());
    tag[4..].copy_from_slice(&(n_bytes as u32).to_le_bytes());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_independent_reader_finds_the_arrays() {
        let values: Vec<u8> = (0..24).collect();
        let bytes = [
            header(),
            byte_array("X", &[2, 3, 4], &values).unwrap(),
            byte_array("labels", &[3, 1], &[10, 1, 9]).unwrap(),
        ];
        let file = matfile::MatFile::parse(bytes.concat().as_slice()).unwrap();
        for (name, size, expected) in [("X", vec![2, 3, 4], &values[..]), ("labels", vec![3, 1], &[10, 1, 9])]
        {
            let array = file.find_by_name(name).unwrap();
            assert_eq!(array.size(), &size);
            match array.data() {
                matfile::NumericData::UInt8 { real, imag: None } => assert_eq!(real, expected),
                other => panic!("expected bytes, found {other:?}"),
            }
        }
    }
}
