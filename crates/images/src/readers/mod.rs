//! One file a format; each yields [`crate::Record`]s in an order that depends on the data set alone.

pub(crate) mod cifar10;
pub(crate) mod folder;
pub(crate) mod idx;
pub(crate) mod imagenet;
pub(crate) mod lmdb;
pub(crate) mod lsun;
pub(crate) mod mat5;
pub(crate) mod members;
pub(crate) mod mnist;
pub(crate) mod packed;
pub(crate) mod parquet;
pub(crate) mod passed_over;
pub(crate) mod shards;
pub(crate) mod store;
pub(crate) mod svhn;
mod tar_copy;
pub(crate) mod tar_labels;
pub(crate) mod tar_members;
pub(crate) mod tar_shards;

use std::io::Read;
use std::path::Path;

pub use self::tar_copy::{CopiedTar, archives, copy_tar};
pub use self::tar_labels::TarLabel;
pub(crate) use dcgan_files::regular::read_up_to;

use crate::{ImagesError, Record, Result, key};

/// A data set's records, one after the other.
pub type Records = Box<dyn Iterator<Item = Result<Record>> + Send>;

/// Fills `buffer`, which begins at byte `offset` of the file `path`.
pub(crate) fn read_exact(path: &Path, stream: &mut dyn Read, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let n_read = read_up_to(stream, buffer)?;
    if n_read < buffer.len() {
        return Err(ImagesError::malformed(
            path,
            offset,
            format!("{} bytes", buffer.len()),
            format!("{n_read} and the end of the file"),
        ));
    }
    Ok(())
}

/// The key of a path's last component.
pub(crate) fn name_of(path: &Path) -> String {
    key::of(path.file_name().unwrap_or(path.as_os_str()).as_encoded_bytes())
}
