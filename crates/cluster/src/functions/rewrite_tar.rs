//! `rewrite_tar(path, keys, settings)`: an archive written again without some of its pictures, where the function is called.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_images::copy_tar;
use serde::{Deserialize, Serialize};

use super::arrays::{columns, outer, settings};

/// Where archives are written to, on every machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TarSpec {
    pub(crate) folder: PathBuf,
}

impl TarSpec {
    /// Where an archive is written to.
    pub(crate) fn copy(&self, archive: &Path) -> PathBuf {
        self.folder.join(archive.file_name().unwrap_or_default())
    }

    /// Writes an archive; one that is there is whole.
    fn write(&self, archive: &Path, gone: &HashSet<&str>) -> dcgan_dedup::Result<u64> {
        let copy = self.copy(archive);
        fs_err::create_dir_all(&self.folder)?;
        // A task that is thought lost may still be at it elsewhere: each writes a file of its own, with the same bytes.
        let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(&self.folder)?;
        let written = partial.path().join("tar");
        let copied = copy_tar(archive, &written, &|key| gone.contains(key))?;
        fs_err::File::open(&written)?.sync_all()?;
        fs_err::rename(written, copy)?;
        Ok(copied.n_kept)
    }
}

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::Utf8; 3];
    create_udf("rewrite_tar", arguments, DataType::UInt64, Volatility::Volatile, Arc::new(rewrite_tars))
}

/// The keys of an archive's pictures that go are lines of one text.
fn rewrite_tars(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let spec: TarSpec = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let text = |k: usize| cast(&columns[k], &DataType::Utf8);
    let (paths, keys) = (text(0)?, text(1)?);
    let rows = paths.as_string::<i32>().iter().zip(keys.as_string::<i32>().iter());
    let counts = rows.map(|(path, keys)| {
        let gone: HashSet<&str> = keys.unwrap_or_default().lines().collect();
        spec.write(Path::new(path.unwrap_or_default()), &gone)
    });
    let counts: Vec<u64> = counts.collect::<dcgan_dedup::Result<_>>().map_err(outer)?;
    Ok(ColumnarValue::Array(Arc::new(UInt64Array::from(counts))))
}
