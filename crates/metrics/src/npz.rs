//! Statistics files: `.npz` with `mu` and `sigma`, as pytorch-fid and clean-fid write and read them.
//!
//! An `.npz` is a zip archive of `.npy` files, stored (`numpy.savez`) or deflated (`numpy.savez_compressed`). Numbers of f64 or f32
//! are read, in C or Fortran order; f64 in C order, stored, is written.

use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use dcgan_files::npy::{check_head, head};
use dcgan_files::regular;
use faer::Mat;
use fs_err::File;
use ndarray::{ArrayD, Dimension as _};
use ndarray_npy::{ReadNpyError, ReadNpyExt as _};
use zip::read::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::error::{MetricsError, Result};
use crate::moments::Statistics;

/// Bytes of a `.npy` header, at most.
const HEAD_BYTES: u64 = 1 << 16;
/// How far a covariance may be from symmetric, as a share of its largest number: what f32 leaves.
const ASYMMETRY: f64 = 1e-5;

impl Statistics {
    /// Features of a file, at most: 8 GiB of covariance.
    pub const MAX_COLUMNS: usize = 1 << 15;

    /// Reads a statistics file. It does not tell how many pictures it is of.
    ///
    /// # Errors
    /// [`MetricsError::File`] for what is no such archive; [`MetricsError::Member`] for a member that is missing, of another type or
    /// shape, damaged, not finite, or no covariance.
    pub fn read(path: &Path) -> Result<Self> {
        let file = regular::open(path)?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| MetricsError::File {
            path: path.to_owned(),
            expected: "an .npz archive with `mu` and `sigma`".to_owned(),
            found: error.to_string(),
        })?;
        let mean = numbers(path, &mut archive, "mu.npy", (8 * Self::MAX_COLUMNS) as u64)?;
        let wrong = |member: &str, expected: String, found: String| {
            let (path, member) = (path.to_owned(), member.to_owned());
            MetricsError::Member { path, member, expected, found }
        };
        let d = mean.len();
        if mean.ndim() != 1 || d == 0 {
            let expected = "one dimension, of at least one number".to_owned();
            return Err(wrong("mu.npy", expected, format!("shape {:?}", mean.shape())));
        }
        let covariance = numbers(path, &mut archive, "sigma.npy", 8 * (d * d) as u64)?;
        if covariance.shape() != [d, d] {
            let expected = format!("shape [{d}, {d}], as mu.npy has {d} numbers");
            return Err(wrong("sigma.npy", expected, format!("{:?}", covariance.shape())));
        }
        for (member, values) in [("mu.npy", &mean), ("sigma.npy", &covariance)] {
            if let Some((place, value)) = values.indexed_iter().find(|(_, value)| !value.is_finite()) {
                let found = format!("{value} at {:?}", place.slice());
                return Err(wrong(member, "finite numbers".to_owned(), found));
            }
        }
        let at = |i: usize, j: usize| covariance[[i, j]];
        let largest = (0..d).map(|i| at(i, i)).fold(0.0, f64::max);
        for i in 0..d {
            let is_odd = |j: &usize| (at(i, *j) - at(*j, i)).abs() > ASYMMETRY * largest;
            if let Some(j) = (0..i).find(is_odd) {
                let found = format!("{} at [{i}, {j}] and {} at [{j}, {i}]", at(i, j), at(j, i));
                return Err(wrong("sigma.npy", "a symmetric matrix".to_owned(), found));
            }
            if at(i, i) < 0.0 {
                let found = format!("{} at [{i}, {i}]", at(i, i));
                return Err(wrong("sigma.npy", "variances of 0 or above".to_owned(), found));
            }
        }
        let covariance = Mat::from_fn(d, d, |i, j| 0.5 * (at(i, j) + at(j, i)));
        Ok(Self { mean: mean.into_iter().collect(), covariance, n_rows: None })
    }

    /// Writes a statistics file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let partial = path.with_extension("npz.partial");
        let mut archive = ZipWriter::new(BufWriter::new(File::create(&partial)?));
        let d = self.mean.len();
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(8 * (d as u64).pow(2) > 1 << 31);
        let mut write = || -> std::io::Result<()> {
            archive.start_file("mu.npy", options)?;
            archive.write_all(&head("<f8", &[d as u64]))?;
            archive.write_all(&bytes(self.mean.iter().copied()))?;
            archive.start_file("sigma.npy", options)?;
            archive.write_all(&head("<f8", &[d as u64, d as u64]))?;
            for row in 0..d {
                archive.write_all(&bytes((0..d).map(|column| self.covariance[(row, column)])))?;
            }
            Ok(())
        };
        write()?;
        let mut file = archive.finish().map_err(std::io::Error::from)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(fs_err::rename(&partial, path)?)
    }
}

fn bytes(values: impl Iterator<Item = f64>) -> Vec<u8> {
    values.flat_map(f64::to_le_bytes).collect()
}

/// The numbers of a member, which may hold so many bytes behind its header.
fn numbers(
    path: &Path,
    archive: &mut ZipArchive<impl Read + std::io::Seek>,
    member: &str,
    most: u64,
) -> Result<ArrayD<f64>> {
    let wrong = |expected: &str, found: String| {
        let (path, member, expected) = (path.to_owned(), member.to_owned(), expected.to_owned());
        MetricsError::Member { path, member, expected, found }
    };
    let members: Vec<String> = archive.file_names().take(8).flatten().map(Into::into).collect();
    let mut bytes = Vec::new();
    match archive.by_name(member) {
        Ok(file) => {
            // Not as much as the archive announces, which may be wrong: as much as comes, up to one more than there may be.
            let read = file.take(HEAD_BYTES + most + 1).read_to_end(&mut bytes);
            read.map_err(|error| wrong("a member that can be read", error.to_string()))?;
        }
        Err(zip::result::ZipError::FileNotFound) => {
            return Err(wrong("it in the archive", format!("only {}", members.join(", "))));
        }
        Err(error) => return Err(wrong("a member that can be read", error.to_string())),
    }
    if bytes.len() as u64 > HEAD_BYTES + most {
        return Err(wrong("an array of its size", format!("more than {most} bytes")));
    }
    check_head(&bytes).map_err(|mismatch| wrong(&mismatch.expected, mismatch.found))?;
    match ArrayD::<f64>::read_npy(&bytes[..]) {
        Ok(values) => Ok(values),
        Err(ReadNpyError::WrongDescriptor(_)) => match ArrayD::<f32>::read_npy(&bytes[..]) {
            Ok(values) => Ok(values.mapv(f64::from)),
            Err(error) => Err(wrong("numbers of type '<f8' or '<f4'", error.to_string())),
        },
        Err(error) => Err(wrong("numbers of type '<f8' or '<f4'", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, ShapeBuilder as _};
    use ndarray_npy::WriteNpyExt as _;

    use super::*;

    /// Writes members as NumPy does; `is_deflated` as `savez_compressed`.
    fn archive(path: &Path, members: &[(&str, Vec<u8>)], is_deflated: bool) {
        let mut archive = ZipWriter::new(std::fs::File::create(path).unwrap());
        let method =
            if is_deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        for (name, bytes) in members {
            archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
    }

    fn npy<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(array: &ndarray::Array<T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn statistics() -> Statistics {
        let values = [1.0_f32, 2.0, 3.0, 1.5, 2.5, 2.0, 0.0, 1.0, 5.0, 4.0, 0.25, 1.0];
        Statistics::of(&crate::Features::new("real", &values, 3).unwrap()).unwrap()
    }

    fn arrays(statistics: &Statistics) -> (Array1<f64>, Array2<f64>) {
        let d = statistics.n_columns();
        let sigma = Array2::from_shape_fn((d, d), |(i, j)| statistics.covariance[(i, j)]);
        (Array1::from(statistics.mean.clone()), sigma)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let ours = statistics();
        ours.write(&path).unwrap();
        let read = Statistics::read(&path).unwrap();
        assert_eq!((&read.mean, &read.covariance), (&ours.mean, &ours.covariance));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // The same bytes each time.
        let once = std::fs::read(&path).unwrap();
        ours.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), once);
    }

    #[test]
    fn f32_fortran_order_and_deflated_ones_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let ours = statistics();
        let (mu, sigma) = arrays(&ours);
        let mut fortran = Array2::<f32>::zeros((3, 3).f());
        fortran.assign(&sigma.mapv(|value| value as f32));
        let bytes = npy(&fortran);
        assert!(String::from_utf8_lossy(&bytes).contains("'fortran_order': True"));
        archive(&path, &[("mu.npy", npy(&mu.mapv(|value| value as f32))), ("sigma.npy", bytes)], true);
        let read = Statistics::read(&path).unwrap();
        assert!((&read.covariance - &ours.covariance).norm_max() < 1e-6);
        assert_eq!(read.mean.len(), 3);
    }

    #[test]
    fn bad_files_are_refused_by_member() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let (mu, sigma) = arrays(&statistics());
        let message = |members: &[(&str, Vec<u8>)]| {
            archive(&path, members, false);
            let text = Statistics::read(&path).unwrap_err().to_string();
            text.rsplit_once("a.npz: ").unwrap().1.to_owned()
        };
        let mean = || ("mu.npy", npy(&mu));
        assert_eq!(
            message(&[mean(), ("s.npy", npy(&sigma))]),
            "member `sigma.npy`: expected it in the archive, found only mu.npy, s.npy"
        );
        let wide = Array2::<f64>::zeros((3, 2));
        assert_eq!(
            message(&[mean(), ("sigma.npy", npy(&wide))]),
            "member `sigma.npy`: expected shape [3, 3], as mu.npy has 3 numbers, found [3, 2]"
        );
        let mut odd = sigma.clone();
        odd[[2, 1]] += 1.0;
        assert!(message(&[mean(), ("sigma.npy", npy(&odd))]).contains("expected a symmetric matrix, found"));
        odd[[0, 1]] = f64::NAN;
        assert_eq!(
            message(&[mean(), ("sigma.npy", npy(&odd))]),
            "member `sigma.npy`: expected finite numbers, found NaN at [0, 1]"
        );
        let mut negative = sigma.clone();
        negative[[1, 1]] = -1.0;
        assert!(message(&[mean(), ("sigma.npy", npy(&negative))]).contains("variances of 0 or above"));
        let mut cut = npy(&sigma);
        cut.truncate(cut.len() - 8);
        assert!(message(&[mean(), ("sigma.npy", cut)]).contains("64 of 72 bytes: the file is truncated"));
        let whole = Array2::<i64>::zeros((3, 3));
        assert!(message(&[mean(), ("sigma.npy", npy(&whole))]).contains("type '<f8' or '<f4'"));
        // More than its shape may hold is not unpacked.
        assert!(message(&[mean(), ("sigma.npy", vec![0; 200_000])]).contains("more than 72 bytes"));
        std::fs::write(&path, b"PK no").unwrap();
        let text = Statistics::read(&path).unwrap_err().to_string();
        assert!(text.contains("a.npz: expected an .npz archive with `mu` and `sigma`, found"), "{text}");
    }
}
