//! The image store: a folder of plain files that stands for a prepared picture set.
//!
//! | file | holds |
//! | --- | --- |
//! | `images.npy` | the pixels, uint8, (N, C, H, W) |
//! | `index.parquet` | one row an image, in the same order: `key`, `label` (may be null), `source` |
//! | `meta.json` | [`StoreMeta`] |
//! | `bad.csv` | `key`, `reason` of what could not be used |
//!
//! `meta.json` is written last: a folder without it is no store.

mod index;
mod merge;
mod meta;
mod npy;
mod writer;

use std::path::{Path, PathBuf};

use dcgan_files::words::what_is_in;
use memmap2::Mmap;

pub use self::merge::merge_stores;
pub use self::meta::StoreMeta;
pub use self::writer::{StoreDescription, StoreWriter};
use crate::{ImagesError, Result};

pub(crate) const IMAGES: &str = "images.npy";
pub(crate) const INDEX: &str = "index.parquet";
pub(crate) const META: &str = "meta.json";
pub(crate) const BAD: &str = "bad.csv";

/// An image store opened for reading. The pixels are mapped, not read: a store may be larger than memory.
#[derive(Debug)]
pub struct ImageStore {
    folder: PathBuf,
    meta: StoreMeta,
    map: Mmap,
    /// Where in `map` the pixels begin.
    data_start: usize,
    image_len: usize,
}

impl ImageStore {
    /// Opens the store in `folder` and checks that its files agree on the number and shape of the images.
    ///
    /// The files must not be changed while the store is open; [`StoreWriter`] never does that, it only replaces them.
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Json`] where a file is missing or unreadable, [`ImagesError::Malformed`] where
    /// `images.npy` is not a C-ordered uint8 array of the promised shape or breaks off, [`ImagesError::Layout`] where
    /// `index.parquet` has another number of rows.
    pub fn open(folder: &Path) -> Result<Self> {
        let lacks = |files: &[&str]| match files.iter().find(|file| !folder.join(file).exists()) {
            Some(missing) => {
                let found = if folder.exists() { what_is_in(folder) } else { "no such folder".to_owned() };
                Err(ImagesError::layout(folder, format!("an image store, with {missing}"), found))
            }
            None => Ok(()),
        };
        lacks(&[META])?;
        let meta = StoreMeta::read(&folder.join(META))?;
        lacks(&[IMAGES, INDEX])?;
        let shape = [meta.n_images, meta.channels as u64, meta.height as u64, meta.width as u64];
        let path = folder.join(IMAGES);
        let map = npy::map(&path)?;
        let data_start = npy::check(&path, &map, shape)?;
        let index_path = folder.join(INDEX);
        let n_rows = index::n_rows(&index_path)?;
        if n_rows != meta.n_images {
            return Err(ImagesError::layout(
                &index_path,
                format!("{} rows, one an image", meta.n_images),
                n_rows.to_string(),
            ));
        }
        let image_len = meta.channels * meta.height * meta.width;
        Ok(Self { folder: folder.to_path_buf(), meta, map, data_start, image_len })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of images, N.
    pub fn len(&self) -> usize {
        self.meta.n_images as usize
    }

    /// Never true: a store holds at least one image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of channels, C: 1 or 3.
    pub fn channels(&self) -> usize {
        self.meta.channels
    }

    /// The number of rows of every image, H.
    pub fn height(&self) -> usize {
        self.meta.height
    }

    /// The number of columns of every image, W.
    pub fn width(&self) -> usize {
        self.meta.width
    }

    /// What `meta.json` says.
    pub fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    /// One image's C·H·W values. Like slice indexing, it panics where `image_idx` is not below [`ImageStore::len`].
    pub fn image(&self, image_idx: usize) -> &[u8] {
        let start = image_idx * self.image_len;
        &self.pixels()[start..start + self.image_len]
    }

    /// All pixels, (N, C, H, W).
    pub fn pixels(&self) -> &[u8] {
        &self.map[self.data_start..]
    }

    /// Replaces the contents of `out` by the images of `indices`, one after the other: a batch (n, C, H, W). Like slice
    /// indexing, it panics where an index is not below [`ImageStore::len`].
    pub fn gather(&self, indices: &[u32], out: &mut Vec<u8>) {
        out.clear();
        out.reserve(indices.len() * self.image_len);
        for &image_idx in indices {
            out.extend_from_slice(self.image(image_idx as usize));
        }
    }

    /// Advises the system that images will be read in no order: what lies behind one is then not read with it.
    pub fn expect_any_order(&self) {
        // Advice that is not taken costs nothing but time, here and below.
        #[cfg(unix)]
        let _ = self.map.advise(memmap2::Advice::Random);
    }

    /// Asks the system to read the images of `indices` soon, without waiting for them. Indices that are not below
    /// [`ImageStore::len`] are passed over.
    pub fn will_need(&self, indices: &[u32]) {
        #[cfg(unix)]
        for &image_idx in indices {
            let start = self.data_start + image_idx as usize * self.image_len;
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, start, self.image_len);
        }
        #[cfg(not(unix))]
        let _ = indices;
    }

    /// Lets go of the pages read so far: they no longer count as this process's memory. The system keeps them while it has
    /// room, and reads them again when they are wanted.
    pub fn give_pages_back(&self) {
        // SAFETY: the map is read-only and of a file that does not change, so that a page that is dropped comes back as it was;
        // `MADV_DONTNEED` loses data only in private or anonymous maps.
        #[cfg(unix)]
        #[allow(unsafe_code)]
        let _ = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }

    /// Every image's label, read from `index.parquet`.
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Files`]; [`ImagesError::Layout`] for a label of which `meta.json` names no class,
    /// where it names classes.
    pub fn labels(&self) -> Result<Vec<Option<u32>>> {
        let path = self.folder.join(INDEX);
        let labels = index::read_labels(&path)?;
        if let Some(names) = &self.meta.class_names {
            let is_beyond = |label: &Option<u32>| label.is_some_and(|label| label as usize >= names.len());
            if let Some(row) = labels.iter().position(is_beyond) {
                let expected = format!("labels below {}, the number of class names in {META}", names.len());
                let found = format!("{} in row {row}", labels[row].unwrap_or_default());
                return Err(ImagesError::layout(&path, expected, found));
            }
        }
        Ok(labels)
    }

    /// Every image's key, read from `index.parquet`.
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Files`].
    pub fn keys(&self) -> Result<Vec<String>> {
        index::read_strings(&self.folder.join(INDEX), index::KEY)
    }

    /// The name of the file, archive or folder that every image came out of, read from `index.parquet`.
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Files`].
    pub fn sources(&self) -> Result<Vec<String>> {
        index::read_strings(&self.folder.join(INDEX), index::SOURCE)
    }
}

#[cfg(test)]
mod tests;
