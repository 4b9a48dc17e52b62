//! `images.npy`: NumPy's format, version 1.0 (`numpy/lib/format.py`), written before its length is known.

use std::path::{Path, PathBuf};

use dcgan_files::npy::{self, Mismatch, split_head};
use memmap2::Mmap;
use ndarray::ArrayView4;
use ndarray_npy::{ViewNpyError, ViewNpyExt};

use crate::{ImagesError, Result, regular};

/// Streams images into `images.npy`; the true number of them enters the header at the end.
#[derive(Debug)]
pub(crate) struct NpyWriter {
    path: PathBuf,
    file: npy::Writer,
    image_shape: [usize; 3],
    n_images: u64,
}

impl NpyWriter {
    pub(crate) fn create(path: &Path, image_shape: [usize; 3]) -> Result<Self> {
        let file = npy::Writer::create(path, "|u1")?;
        Ok(Self { path: path.to_path_buf(), file, image_shape, n_images: 0 })
    }

    /// Appends one image of `image_shape` (C, H, W).
    pub(crate) fn append(&mut self, pixels: &[u8]) -> Result<()> {
        let expected: usize = self.image_shape.iter().product();
        if pixels.len() != expected {
            return Err(ImagesError::layout(
                &self.path,
                format!("{expected} values an image"),
                pixels.len().to_string(),
            ));
        }
        self.file.append(pixels)?;
        self.n_images += 1;
        Ok(())
    }

    /// Writes the final header and returns the number of images.
    pub(crate) fn finish(self) -> Result<u64> {
        let [channels, height, width] = self.image_shape.map(|side| side as u64);
        self.file.finish(&[self.n_images, channels, height, width])?;
        Ok(self.n_images)
    }
}

/// Maps the file into memory, read-only.
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = regular::open(path)?;
    if file.metadata()?.len() == 0 {
        return Err(ImagesError::malformed(path, 0, "the magic string of a .npy file", "an empty file"));
    }
    // SAFETY: a map is sound as long as nobody changes or truncates the file under it. The writer never touches a
    // finished file in place but renames a new one over it, which leaves this map on the old one; for other programs
    // it is the documented contract of `ImageStore::open`.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(file.file()) }?;
    Ok(map)
}

/// Checks that the file is a C-ordered uint8 array of exactly `shape` and as long as that; returns where its data
/// begin.
pub(crate) fn check(path: &Path, map: &Mmap, shape: [u64; 4]) -> Result<usize> {
    let n_bytes = map.len() as u64;
    let malformed =
        |offset, expected: String, found: String| Err(ImagesError::malformed(path, offset, expected, found));
    let expected = format!("C-ordered uint8 images of shape {shape:?}");
    if let Err(Mismatch { expected: head, found }) = split_head(map) {
        return malformed(0, format!("{expected}: {head}"), found);
    }
    let view = match ArrayView4::<u8>::view_npy(map) {
        Ok(view) => view,
        Err(ViewNpyError::MissingBytes(n_missing)) => {
            return malformed(n_bytes, format!("{n_missing} more bytes"), "the end of the file".into());
        }
        Err(ViewNpyError::ExtraBytes(n_extra)) => {
            let end = n_bytes.saturating_sub(n_extra as u64);
            return malformed(end, "the end of the file".into(), format!("{n_extra} more bytes"));
        }
        Err(e) => return malformed(0, expected, e.to_string()),
    };
    match view.as_slice() {
        Some(values) if view.shape().iter().map(|&side| side as u64).eq(shape) => {
            Ok(map.len() - values.len())
        }
        Some(_) => malformed(0, expected, format!("shape {:?}", view.shape())),
        None => malformed(0, expected, "Fortran order".into()),
    }
}

#[cfg(test)]
mod tests {
    use dcgan_files::npy::HEAD_BYTES;

    use super::*;

    fn written(n: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.npy");
        let mut writer = NpyWriter::create(&path, [3, 2, 2]).unwrap();
        for i in 0..n {
            writer.append(&[i as u8; 12]).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), n as u64);
        (folder, path)
    }

    fn complaint(path: &Path, shape: [u64; 4]) -> String {
        check(path, &map(path).unwrap(), shape).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_found() {
        let (_folder, path) = written(5);
        let map = map(&path).unwrap();
        assert_eq!(check(&path, &map, [5, 3, 2, 2]).unwrap(), HEAD_BYTES);
        assert_eq!(map[HEAD_BYTES + 4 * 12], 4);
    }

    #[test]
    fn disagreements_are_named() {
        let (_folder, path) = written(2);
        assert!(complaint(&path, [3, 3, 2, 2]).ends_with("of shape [3, 3, 2, 2], found shape [2, 3, 2, 2]"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..140]).unwrap();
        assert!(
            complaint(&path, [2, 3, 2, 2])
                .ends_with("at byte 140: expected 12 more bytes, found the end of the file")
        );
        std::fs::write(&path, [whole.as_slice(), &[0; 5]].concat()).unwrap();
        assert!(
            complaint(&path, [2, 3, 2, 2])
                .ends_with("at byte 152: expected the end of the file, found 5 more bytes")
        );
        std::fs::write(&path, b"not an array").unwrap();
        assert!(complaint(&path, [2, 3, 2, 2]).contains("expected C-ordered uint8 images"));
        let fortran = String::from_utf8_lossy(&whole[10..128]).replace("False", "True ");
        std::fs::write(&path, [&whole[..10], fortran.as_bytes(), &whole[128..]].concat()).unwrap();
        assert!(complaint(&path, [2, 3, 2, 2]).ends_with("found Fortran order"));
        std::fs::write(&path, b"").unwrap();
        assert!(super::map(&path).is_err());
    }
}
