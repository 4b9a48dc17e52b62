//! What a reader yields: one image, still encoded.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::decode::decode;
use crate::reduced::{ReducedPicture, Thumbnail, decode_reduced, decode_thumbnail, thumbnail};
use crate::resize::Filter;
use crate::{ImagesError, Picture, Resize, Result};

/// One image of a data set, not yet decoded, so that decoding can run in parallel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Unique within the data set: a path relative to it, a database key, or file and index.
    pub key: String,
    /// The class, 0 to n_classes − 1, where the data set has classes.
    pub label: Option<u32>,
    /// The name of the file, archive or folder it came out of.
    pub source: String,
    /// The image itself.
    pub payload: Payload,
}

/// Where a record's pixels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Already pixels.
    Pixels(Picture),
    /// A JPEG, PNG or WebP file in memory.
    Encoded(Vec<u8>),
    /// A JPEG, PNG or WebP file on disk, read when decoded.
    File(PathBuf),
}

/// The longest image file that is read: 256 MiB.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 28;

impl Payload {
    /// How many bytes the payload keeps in memory.
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Pixels(picture) => picture.pixels.len(),
            Self::Encoded(bytes) => bytes.len(),
            Self::File(_) => 0,
        }
    }

    /// The picture, resized and with `channels` channels (1 or 3).
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] with the reason, where it cannot be read or decoded, has more than `max_pixels`
    /// pixels or is too small to be cropped.
    pub fn into_picture(
        self,
        resize: Resize,
        filter: Filter,
        channels: usize,
        max_pixels: u64,
    ) -> Result<Picture> {
        let picture = match self {
            Self::Pixels(picture) => picture,
            Self::Encoded(bytes) => decode(&bytes, max_pixels)?,
            Self::File(path) => decode(&read_file(&path)?, max_pixels)?,
        };
        resize.apply(picture, filter)?.with_channels(channels)
    }

    /// The central square scaled to n×n in colour, decoded at reduced size where that can be: see [`decode_thumbnail`].
    ///
    /// # Errors
    /// As [`Payload::into_picture`].
    pub fn into_thumbnail(self, n: usize, filter: Filter, max_pixels: u64) -> Result<Thumbnail> {
        let thumbnail = match self {
            Self::Pixels(picture) => thumbnail(picture, n, filter)?,
            Self::Encoded(bytes) => decode_thumbnail(&bytes, n, filter, max_pixels)?,
            Self::File(path) => decode_thumbnail(&read_file(&path)?, n, filter, max_pixels)?,
        };
        Ok(Thumbnail { picture: thumbnail.picture.with_channels(3)?, ..thumbnail })
    }

    /// The picture, decoded at reduced size where that can be and suffices: see [`decode_reduced`].
    ///
    /// # Errors
    /// As [`Payload::into_picture`].
    pub fn into_reduced(
        self,
        least_scale: &dyn Fn(usize, usize) -> f64,
        max_pixels: u64,
    ) -> Result<ReducedPicture> {
        match self {
            Self::Pixels(picture) => Ok(picture.into()),
            Self::Encoded(bytes) => decode_reduced(&bytes, least_scale, max_pixels),
            Self::File(path) => decode_reduced(&read_file(&path)?, least_scale, max_pixels),
        }
    }

    /// The encoded file's bytes; none where the record holds pixels.
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] where it cannot be read.
    pub fn into_bytes(self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Pixels(_) => Ok(None),
            Self::Encoded(bytes) => Ok(Some(bytes)),
            Self::File(path) => Ok(Some(read_file(&path)?)),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |e: std::io::Error| ImagesError::bad(format!("cannot be read: {e}"));
    let mut file = fs_err::File::open(path).map_err(unreadable)?;
    let n_bytes = file.metadata().map_err(unreadable)?.len();
    if n_bytes > MAX_FILE_BYTES {
        return Err(ImagesError::bad(format!("expected at most {MAX_FILE_BYTES} bytes, found {n_bytes}")));
    }
    // One more, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(n_bytes as usize + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
