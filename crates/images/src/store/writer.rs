//! Writing an image store, image by image.

use std::path::{Path, PathBuf};

use super::index::IndexWriter;
use super::meta::StoreMeta;
use super::npy::NpyWriter;
use super::{BAD, IMAGES, INDEX, META};
use crate::{BadWriter, Filter, ImagesError, Picture, Result};

/// What [`StoreMeta`] holds beside the counts and the shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreDescription {
    /// What the images come from, in words.
    pub source: String,
    /// How they were brought to their size.
    pub resize: String,
    /// The filter they were scaled with, where they were scaled.
    pub filter: Option<Filter>,
    /// The names of the classes, where they are known.
    pub class_names: Option<Vec<String>>,
}

/// Writes an image store, keeping no more than one group of index rows in memory.
///
/// The files grow in a hidden folder inside the store's and move to their places in [`StoreWriter::finish`], `meta.json`
/// last. A writer that is dropped before leaves nothing behind, and a store that was there stays as it was.
///
/// ```
/// use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
/// # fn main() -> dcgan_images::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// let mut writer = StoreWriter::create(folder.path())?;
/// let picture = Picture { channels: 1, height: 2, width: 2, pixels: vec![0, 85, 170, 255] };
/// writer.append("a", Some(3), "somewhere", &picture)?;
/// writer.append_bad("b", "the file is empty")?;
/// writer.finish(StoreDescription::default())?;
///
/// let store = ImageStore::open(folder.path())?;
/// assert_eq!((store.len(), store.image(0)), (1, &[0, 85, 170, 255][..]));
/// # Ok(())
/// # }
/// ```
pub struct StoreWriter {
    folder: PathBuf,
    images: Option<NpyWriter>,
    index: IndexWriter,
    bad: BadWriter,
    shape: Option<[usize; 3]>,
    partial: PartialFolder,
}

impl StoreWriter {
    /// Begins a store in `folder`, which is created where it does not exist.
    ///
    /// # Errors
    /// [`ImagesError::Io`].
    pub fn create(folder: &Path) -> Result<Self> {
        let partial = PartialFolder::create(folder)?;
        let index = IndexWriter::create(&partial.path.join(INDEX))?;
        let bad = BadWriter::create(&partial.path.join(BAD))?;
        Ok(Self { folder: folder.to_path_buf(), images: None, index, bad, shape: None, partial })
    }

    /// The shape (C, H, W) of the store's images, which is that of the first one.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        self.shape
    }

    /// Appends an image.
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] where its shape is not the first one's, with nothing written; [`ImagesError::Io`] and
    /// [`ImagesError::Files`] from writing.
    pub fn append(&mut self, key: &str, label: Option<u32>, source: &str, picture: &Picture) -> Result<()> {
        let shape = [picture.channels, picture.height, picture.width];
        match self.shape {
            Some(expected) if expected != shape => {
                return Err(ImagesError::bad(format!(
                    "expected the first picture's shape {expected:?} (channels, height, width), found {shape:?}"
                )));
            }
            _ => self.shape = Some(shape),
        }
        let images = match &mut self.images {
            Some(images) => images,
            none => none.insert(NpyWriter::create(&self.partial.path.join(IMAGES), shape)?),
        };
        images.append(&picture.pixels)?;
        self.index.append(key, label, source)
    }

    /// Records an image that cannot be used. In `bad.csv` its key and reason stand as [`dcgan_files::csv::field`] writes them.
    ///
    /// # Errors
    /// [`ImagesError::Csv`].
    pub fn append_bad(&mut self, key: &str, reason: &str) -> Result<()> {
        self.bad.append(key, reason)
    }

    /// Completes a store that may be without an image, as a part of a set is whose pictures are all bad: `shape` is then its images'.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish_part(mut self, description: StoreDescription, shape: [usize; 3]) -> Result<StoreMeta> {
        if self.images.is_none() {
            self.images = Some(NpyWriter::create(&self.partial.path.join(IMAGES), shape)?);
            self.shape = Some(shape);
        }
        self.finish(description)
    }

    /// Completes the store and puts it in its place.
    ///
    /// # Errors
    /// [`ImagesError::NoImages`] for a store without an image, and those of writing.
    pub fn finish(self, description: StoreDescription) -> Result<StoreMeta> {
        let Self { folder, images, index, bad, shape, mut partial } = self;
        let (Some(images), Some([channels, height, width])) = (images, shape) else {
            return Err(ImagesError::NoImages { path: folder, expected: "at least one image".into() });
        };
        let n_images = images.finish()?;
        index.finish()?;
        let n_bad = bad.n_bad();
        bad.finish()?;
        let StoreDescription { source, resize, filter, class_names } = description;
        let meta =
            StoreMeta { n_images, channels, height, width, class_names, source, resize, filter, n_bad };
        meta.write(&partial.path.join(META))?;
        // A store without meta.json is none: so the old one goes first and the new one comes last.
        if folder.join(META).exists() {
            fs_err::remove_file(folder.join(META))?;
        }
        for name in [IMAGES, INDEX, BAD, META] {
            fs_err::rename(partial.path.join(name), folder.join(name))?;
        }
        partial.keeps_parent = true;
        Ok(meta)
    }
}

/// The hidden folder in which a store grows. Dropped, it goes away with all that is in it, and the store's own folder
/// with it where that was made for it and is empty.
struct PartialFolder {
    path: PathBuf,
    keeps_parent: bool,
}

impl PartialFolder {
    fn create(parent: &Path) -> Result<Self> {
        let keeps_parent = parent.exists();
        fs_err::create_dir_all(parent)?;
        // What is left of a run that was killed is of no use.
        let path = parent.join(".partial-store");
        if path.exists() {
            fs_err::remove_dir_all(&path)?;
        }
        fs_err::create_dir(&path)?;
        Ok(Self { path, keeps_parent })
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        // Best effort: there is nobody left to tell.
        let _ = fs_err::remove_dir_all(&self.path);
        if let (false, Some(parent)) = (self.keeps_parent, self.path.parent()) {
            let _ = fs_err::remove_dir(parent);
        }
    }
}
