//! An image store in the forms in which data sets are shared: Parquet as on the Hugging Face hub, and WebDataset's tars.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_files::columns::{Column, Writer};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::grid::encode_png;
use crate::readers::parquet::METADATA;
use crate::{ImageStore, ImagesError, Picture, Result};

/// Pictures that are encoded before they are written; in Parquet, rows in a row group.
const N_AT_ONCE: usize = 256;

/// A form in which a data set is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedForm {
    /// Parquet files with a column `image` of `bytes` and `path`, as on the Hugging Face hub, and a README.md that names the split.
    #[default]
    Parquet,
    /// Tars of 00000017.png, 00000017.cls (the label) and 00000017.json (the key).
    Webdataset,
}

/// How a store is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSet {
    /// In which form.
    pub form: SharedForm,
    /// What the files' names begin with, such as `train`.
    pub split: String,
    /// Pictures in a file, at most; at least 1.
    pub per_file: usize,
}

impl SharedSet {
    /// Writes all pictures of a store as PNG, which loses nothing, into files in `out`, which is there and empty. Returns the files' names.
    /// `observe` receives how many pictures are done, and how many there are.
    ///
    /// # Errors
    /// Those of reading the store, [`ImagesError::Io`], [`ImagesError::Files`], [`ImagesError::Encode`]; [`ImagesError::Interrupted`] where
    /// `observe` breaks.
    pub fn write(
        &self,
        store: &ImageStore,
        out: &Path,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<String>> {
        let (keys, labels) = (store.keys()?, store.labels()?);
        let n_files = store.len().div_ceil(self.per_file);
        let mut names = Vec::with_capacity(n_files);
        let set =
            Set { store, keys: &keys, labels: &labels, is_labelled: labels.iter().any(Option::is_some) };
        for file_idx in 0..n_files {
            let first = file_idx * self.per_file;
            let rows = first..(first + self.per_file).min(store.len());
            let mut file = match self.form {
                SharedForm::Parquet => {
                    names.push(format!("{}-{file_idx:05}-of-{n_files:05}.parquet", self.split));
                    File::parquet(out.join(&names[file_idx]), &set)?
                }
                SharedForm::Webdataset => {
                    names.push(format!("{}-{file_idx:05}.tar", self.split));
                    File::tar(out.join(&names[file_idx]))?
                }
            };
            for start in rows.clone().step_by(N_AT_ONCE) {
                if observe(start as u64, store.len() as u64).is_break() {
                    return Err(ImagesError::Interrupted);
                }
                file.write(&set, start..(start + N_AT_ONCE).min(rows.end))?;
            }
            file.finish()?;
        }
        if self.form == SharedForm::Parquet {
            fs_err::write(out.join("README.md"), self.card(store))?;
        }
        Ok(names)
    }

    /// What tells the hub which files are which split.
    fn card(&self, store: &ImageStore) -> String {
        let (split, meta) = (&self.split, store.meta());
        format!(
            "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: {split}\n    path: {split}-*.parquet\n---\n\n\
             {} pictures of {} × {} pixels, {}, from {}.\n\n```python\nfrom datasets import load_dataset\n\n\
             pictures = load_dataset(\"parquet\", data_files=\"{split}-*.parquet\")[\"train\"]\n```\n",
            meta.n_images,
            meta.height,
            meta.width,
            if meta.channels == 1 { "grey" } else { "colour" },
            meta.source
        )
    }
}

/// What is written.
struct Set<'a> {
    store: &'a ImageStore,
    keys: &'a [String],
    labels: &'a [Option<u32>],
    is_labelled: bool,
}

impl Set<'_> {
    /// Encodes some pictures on all threads; `path` is what they are for.
    fn encoded(&self, path: &Path, rows: std::ops::Range<usize>) -> Result<Vec<Vec<u8>>> {
        let [channels, height, width] = [self.store.channels(), self.store.height(), self.store.width()];
        let picture = |row| Picture { channels, height, width, pixels: self.store.image(row).to_vec() };
        rows.into_par_iter().map(|row| encode_png(path, &picture(row))).collect()
    }

    /// The types of the columns, as the hub's library notes them.
    fn types(&self) -> String {
        let mut features = json!({"image": {"_type": "Image"}});
        if self.is_labelled {
            features["label"] = match &self.store.meta().class_names {
                Some(names) => json!({"names": names, "_type": "ClassLabel"}),
                None => json!({"dtype": "int64", "_type": "Value"}),
            };
        }
        json!({"info": {"features": features}}).to_string()
    }
}

/// A file that is being written.
enum File {
    Parquet(PathBuf, Writer),
    Tar(PathBuf, tar::Builder<std::io::BufWriter<fs_err::File>>),
}

impl File {
    fn parquet(path: PathBuf, set: &Set<'_>) -> Result<Self> {
        let label = if set.is_labelled { "OPTIONAL INT64 label;" } else { "" };
        // The hub's library takes a column for pictures only where its parts may be missing.
        let schema = format!(
            "message pictures {{
                OPTIONAL group image {{ OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (STRING); }}
                {label}
            }}"
        );
        let writer = Writer::create_with(&path, &schema, &[(METADATA, set.types())])?;
        Ok(Self::Parquet(path, writer))
    }

    fn tar(path: PathBuf) -> Result<Self> {
        let file = std::io::BufWriter::new(fs_err::File::create_new(&path)?);
        Ok(Self::Tar(path, tar::Builder::new(file)))
    }

    fn write(&mut self, set: &Set<'_>, rows: std::ops::Range<usize>) -> Result<()> {
        match self {
            Self::Parquet(path, writer) => {
                let pictures = set.encoded(path, rows.clone())?.into_iter().map(Some);
                let keys = set.keys[rows.clone()].iter().cloned().map(Some);
                let mut columns =
                    vec![Column::MaybeBytes(pictures.collect()), Column::MaybeStrings(keys.collect())];
                if set.is_labelled {
                    let labels = set.labels[rows].iter().map(|label| label.map(u64::from));
                    columns.push(Column::MaybeU64(labels.collect()));
                }
                Ok(writer.write(&columns)?)
            }
            Self::Tar(path, archive) => {
                let pictures = set.encoded(path, rows.clone())?;
                for (row, png) in rows.zip(pictures) {
                    append(archive, &format!("{row:08}.png"), &png)?;
                    if let Some(label) = set.labels[row] {
                        append(archive, &format!("{row:08}.cls"), label.to_string().as_bytes())?;
                    }
                    let key = json!({"key": set.keys[row]}).to_string();
                    append(archive, &format!("{row:08}.json"), key.as_bytes())?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(_, writer) => Ok(writer.finish()?),
            Self::Tar(_, archive) => {
                let mut file = archive.into_inner()?;
                Ok(std::io::Write::flush(&mut file)?)
            }
        }
    }
}

fn append(
    archive: &mut tar::Builder<std::io::BufWriter<fs_err::File>>,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(archive.append_data(&mut header, name, bytes)?)
}

#[cfg(test)]
mod tests;
