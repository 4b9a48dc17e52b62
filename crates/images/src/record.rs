//! What a reader yields: one image, still encoded.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::decode::decode_interleaved;
use crate::decode_config::DecodeConfig;
use crate::reduced::{ReducedPicture, Thumbnail, decode_reduced, decode_thumbnail, thumbnail};
use crate::resize::Filter;
use crate::{ImagesError, Picture, Resize, Result, regular};

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
    /// An encoded picture file in memory.
    Encoded(Vec<u8>),
    /// An encoded picture file on disk, read when decoded.
    File(PathBuf),
    /// Nowhere: it is known that it cannot be used, and why.
    Bad(String),
}

/// The longest image file that is read: 256 MiB.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 28;

impl Payload {
    /// How many bytes the payload keeps in memory.
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Pixels(picture) => picture.pixels.len(),
            Self::Encoded(bytes) => bytes.len(),
            Self::File(_) | Self::Bad(_) => 0,
        }
    }

    /// The picture, resized and with `channels` channels (1 or 3).
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] with the reason, where it cannot be read or decoded, is of more pixels than
    /// `config` allows or is too small to be cropped.
    pub fn into_picture(
        self,
        resize: Resize,
        filter: Filter,
        channels: usize,
        config: DecodeConfig,
    ) -> Result<Picture> {
        let picture = match self {
            Self::Pixels(picture) => resize.apply(picture, filter)?,
            Self::Encoded(bytes) => resize.apply_to(decode_interleaved(&bytes, config)?, filter)?,
            Self::File(path) => resize.apply_to(decode_interleaved(&read_file(&path)?, config)?, filter)?,
            Self::Bad(reason) => return Err(ImagesError::bad(reason)),
        };
        picture.with_channels(channels)
    }

    /// The central square scaled to n×n in colour, decoded at reduced size where that can be: see [`decode_thumbnail`].
    ///
    /// # Errors
    /// As [`Payload::into_picture`].
    pub fn into_thumbnail(self, n: usize, filter: Filter, config: DecodeConfig) -> Result<Thumbnail> {
        let thumbnail = match self {
            Self::Pixels(picture) => thumbnail(picture, n, filter)?,
            Self::Encoded(bytes) => decode_thumbnail(&bytes, n, filter, config)?,
            Self::File(path) => decode_thumbnail(&read_file(&path)?, n, filter, config)?,
            Self::Bad(reason) => return Err(ImagesError::bad(reason)),
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
        config: DecodeConfig,
    ) -> Result<ReducedPicture> {
        match self {
            Self::Pixels(picture) => Ok(picture.into()),
            Self::Encoded(bytes) => decode_reduced(&bytes, least_scale, config),
            Self::File(path) => decode_reduced(&read_file(&path)?, least_scale, config),
            Self::Bad(reason) => Err(ImagesError::bad(reason)),
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
            Self::Bad(reason) => Err(ImagesError::bad(reason)),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |e: std::io::Error| ImagesError::bad(format!("cannot be read: {e}"));
    let mut file = regular::open(path).map_err(unreadable)?;
    let n_bytes = file.metadata().map_err(unreadable)?.len();
    if n_bytes > MAX_FILE_BYTES {
        return Err(ImagesError::bad(format!("expected at most {MAX_FILE_BYTES} bytes, found {n_bytes}")));
    }
    // One more, so that the end is seen without growing.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(n_bytes as usize + 1).map_err(|_| ImagesError::no_memory(path, n_bytes))?;
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
