//! Files of z.

use std::path::Path;

use dcgan_files::{npy::Mismatch, npy::check_head, regular};
use ndarray::{Array2, ArrayD};
use ndarray_npy::{ReadNpyError, ReadNpyExt, WriteNpyExt};

use crate::{GanError, Result};

/// The longest file that is read: 2.6 million z of 100 numbers.
const MAX_BYTES: u64 = 1 << 30;

/// Reads z from a `.npy` file: numbers of 4 or 8 bytes in either order of rows and columns, of shape (n, `nz`), (`nz`), or
/// with dimensions of length 1 behind, as some programs keep z as (n, `nz`, 1, 1).
///
/// # Errors
/// [`GanError::File`] where it is no such file, or a number is not finite.
pub fn read_z(path: &Path, nz: usize) -> Result<Array2<f32>> {
    let wrong = |expected: &str, found: String| GanError::File {
        path: path.into(),
        expected: expected.into(),
        found,
    };
    let bytes = regular::read(path, MAX_BYTES)?;
    check_head(&bytes)
        .map_err(|Mismatch { expected, found }| wrong(&format!("a NumPy file of z: {expected}"), found))?;
    let array: ArrayD<f32> = match ArrayD::<f32>::read_npy(bytes.as_slice()) {
        Ok(array) => array,
        Err(ReadNpyError::WrongDescriptor(_)) => {
            let doubles = ArrayD::<f64>::read_npy(bytes.as_slice());
            doubles.map_err(|e| wrong("numbers of type '<f4' or '<f8'", e.to_string()))?.mapv(|v| v as f32)
        }
        Err(error) => return Err(wrong("a NumPy file of z", error.to_string())),
    };
    let n = match array.shape() {
        &[found] if found == nz => 1,
        &[n, found, ref rest @ ..] if found == nz && n > 0 && rest.iter().all(|&length| length == 1) => n,
        shape => return Err(wrong(&format!("z of shape (n, {nz})"), format!("shape {shape:?}"))),
    };
    if let Some(position) = array.iter().position(|value| !value.is_finite()) {
        return Err(wrong("finite numbers", format!("another in row {}", position / nz)));
    }
    Array2::from_shape_vec((n, nz), array.iter().copied().collect()).map_err(crate::sample::shape_error)
}

/// Writes z (n, nz) as `.npy`, `<f4`.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_z(path: &Path, z: &Array2<f32>) -> Result<()> {
    let file = fs_err::File::create(path)?;
    Ok(z.write_npy(file).map_err(std::io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, array};

    use super::*;

    #[test]
    fn files_of_other_programs_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("z.npy");
        let z = array![[1.0_f32, -2.0, 0.5], [4.0, 5.0, 6.0]];
        let write = |array: &ArrayD<f64>| array.write_npy(std::fs::File::create(&path).unwrap()).unwrap();
        write_z(&path, &z).unwrap();
        assert_eq!(read_z(&path, 3).unwrap(), z);
        write(&z.mapv(f64::from).into_dyn());
        assert_eq!(read_z(&path, 3).unwrap(), z);
        write(&z.mapv(f64::from).into_shape_with_order(vec![2, 3, 1, 1]).unwrap());
        assert_eq!(read_z(&path, 3).unwrap(), z);
        write(&z.row(1).mapv(f64::from).to_owned().into_dyn());
        assert_eq!(read_z(&path, 3).unwrap(), array![[4.0_f32, 5.0, 6.0]]);
        // Fortran order.
        write(&z.t().mapv(f64::from).as_standard_layout().to_owned().reversed_axes().into_dyn());
        assert_eq!(read_z(&path, 3).unwrap(), z);

        let message = read_z(&path, 4).unwrap_err().to_string();
        assert!(message.contains("z.npy: expected z of shape (n, 4), found shape [2, 3]"), "{message}");
        write(&Array::from_elem(3, f64::NAN).into_dyn());
        assert!(read_z(&path, 3).unwrap_err().to_string().contains("finite"));
        array![1_i64, 2, 3].write_npy(std::fs::File::create(&path).unwrap()).unwrap();
        assert!(read_z(&path, 3).unwrap_err().to_string().contains("'<f4' or '<f8'"));
        std::fs::write(&path, "z").unwrap();
        assert!(read_z(&path, 3).unwrap_err().to_string().contains("a NumPy file of z"));
    }
}
