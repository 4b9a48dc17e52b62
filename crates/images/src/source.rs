//! The data sets that can be read.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::readers::tar_labels::TarLabel;
use crate::readers::{name_of, parquet, tar_labels};

/// A data set on disk, in the layout it is distributed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// CIFAR-10, binary version: 32×32 colour pictures of ten classes.
    Cifar10 {
        /// CIFAR-10's binary version, cifar-10-batches-bin.
        #[schemars(extend("format" = "folder"))]
        path: PathBuf,
        /// Which of its pictures.
        split: Split,
    },
    /// SVHN, cropped digits: 32×32 colour pictures; label 10 of the file is the digit and the label 0.
    Svhn {
        /// One of SVHN's *_32x32.mat. Label 10 becomes digit 0.
        #[schemars(extend("format" = "file"))]
        path: PathBuf,
    },
    /// MNIST: grey pictures in IDX files, plain or gzip-compressed.
    Mnist {
        /// IDX file of pictures, plain or .gz.
        #[schemars(extend("format" = "file"))]
        images: PathBuf,
        /// IDX file of labels 0 to 9, plain or .gz.
        #[serde(default)]
        #[schemars(extend("format" = "file"))]
        labels: Option<PathBuf>,
    },
    /// JPEG, PNG, WebP, GIF, BMP and TIFF files (by their endings), at any depth. Hidden files and other endings are passed over.
    Folder {
        /// JPEG, PNG, WebP, GIF, BMP and TIFF pictures, also in folders below; hidden ones are counted and passed over.
        #[schemars(extend("format" = "folder"))]
        path: PathBuf,
        /// True: each folder in it is a class, by name in order; else there are no labels.
        #[serde(default)]
        classes: bool,
    },
    /// ImageNet-1k as it comes: a tar of one tar a synset. Sorted synsets are the order of the labels.
    #[serde(rename = "imagenet_tar")]
    ImageNetTar {
        /// ILSVRC2012_img_train.tar.
        #[schemars(extend("format" = "file"))]
        path: PathBuf,
    },
    /// ImageNet-1k unpacked: one folder a synset.
    #[serde(rename = "imagenet_folder")]
    ImageNetFolder {
        /// ImageNet-1k unpacked, a folder for each synset.
        #[schemars(extend("format" = "folder"))]
        path: PathBuf,
    },
    /// LSUN: an LMDB of WebP or JPEG files. Nobody may write to it while it is read.
    Lsun {
        /// An LSUN LMDB, such as bedroom_train_lmdb: the folder that holds data.mdb.
        #[schemars(extend("format" = "folder"))]
        path: PathBuf,
    },
    /// JPEG, PNG, WebP, GIF, BMP and TIFF files (by their endings) in tar archives, as WebDataset writes them; other files are passed over.
    Tar {
        /// A tar of pictures, or a folder of such (WebDataset), read in the order of their names; or where they lie: https://…,
        /// s3://…, gs://…, {000..099} for several, or a .txt with an address a line.
        #[schemars(extend("format" = "file or folder"))]
        path: PathBuf,
        /// Which members are labels; where it is left out, those that the first archive has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<TarLabel>,
    },
    /// Parquet files with encoded pictures in a column, as the Hugging Face hub stores data sets.
    Parquet {
        /// A Parquet file, or a folder of such (of the Hugging Face hub), read in the order of their names; or where they lie:
        /// https://…, s3://…, gs://…, {000..099} for several, or a .txt with an address a line.
        #[schemars(extend("format" = "file or folder"))]
        path: PathBuf,
        /// Of a folder of several splits, which one: "train" for train-00000-of-00005.parquet and its like.
        #[serde(default)]
        split: String,
        /// The column of pictures: bytes, or a group of `bytes` and `path`.
        #[serde(default = "image")]
        image: String,
        /// The column of labels, integers; where it is left out, `label`, if there is one; "" for none, as where a test set has -1 in it.
        #[serde(default)]
        label: Option<String>,
    },
    /// An image store.
    Store {
        /// An image store: the folder that holds images.npy.
        #[schemars(extend("format" = "folder"))]
        path: PathBuf,
    },
}

fn image() -> String {
    "image".to_owned()
}

/// A part of CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// `data_batch_1.bin` to `data_batch_5.bin`.
    Train,
    /// `test_batch.bin`.
    Test,
}

impl Source {
    /// The files and folders it is made of.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Cifar10 { path, .. }
            | Self::Svhn { path }
            | Self::Folder { path, .. }
            | Self::ImageNetTar { path }
            | Self::ImageNetFolder { path }
            | Self::Lsun { path }
            | Self::Tar { path, .. }
            | Self::Parquet { path, .. }
            | Self::Store { path } => vec![path],
            Self::Mnist { images, labels } => {
                std::iter::once(images).chain(labels).map(PathBuf::as_path).collect()
            }
        }
    }

    /// The same with its relative paths put under a folder.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        let join = |path: &PathBuf| folder.join(path);
        match self {
            Self::Cifar10 { path, split } => Self::Cifar10 { path: join(path), split: *split },
            Self::Svhn { path } => Self::Svhn { path: join(path) },
            Self::Mnist { images, labels } => {
                Self::Mnist { images: join(images), labels: labels.as_ref().map(join) }
            }
            Self::Folder { path, classes } => Self::Folder { path: join(path), classes: *classes },
            Self::ImageNetTar { path } => Self::ImageNetTar { path: join(path) },
            Self::ImageNetFolder { path } => Self::ImageNetFolder { path: join(path) },
            Self::Lsun { path } => Self::Lsun { path: join(path) },
            Self::Tar { path, label } => Self::Tar { path: join(path), label: *label },
            Self::Parquet { path, split, image, label } => Self::Parquet {
                path: join(path),
                split: split.clone(),
                image: image.clone(),
                label: label.clone(),
            },
            Self::Store { path } => Self::Store { path: join(path) },
        }
    }

    /// The path of tars or Parquet files, and the ending of these; none for other sets.
    pub fn shards(&self) -> Option<(&Path, &'static str)> {
        match self {
            Self::Tar { path, .. } => Some((path, "tar")),
            Self::Parquet { path, .. } => Some((path, "parquet")),
            _ => None,
        }
    }

    /// The same of tars or Parquet files that lie elsewhere.
    #[must_use]
    pub fn at(&self, elsewhere: PathBuf) -> Self {
        let mut source = self.clone();
        if let Self::Tar { path, .. } | Self::Parquet { path, .. } = &mut source {
            *path = elsewhere;
        }
        source
    }

    /// Which of the files of tars or Parquet, of these names in their order, are read: of Parquet those of the split.
    ///
    /// # Errors
    /// [`ImagesError::Layout`](crate::ImagesError::Layout) where there are none of the split, or several splits of which none is chosen.
    pub fn files_among(&self, names: Vec<String>) -> Result<Vec<String>> {
        match self {
            Self::Parquet { path, split, .. } => parquet::of_split(path, split, names),
            _ => Ok(names),
        }
    }

    /// Whether its first file tells how the others are read: what of a tar's members are labels, where that is left out.
    pub fn needs_first_file(&self) -> bool {
        matches!(self, Self::Tar { label: None, .. })
    }

    /// The same, as its first file tells ([`Source::needs_first_file`]).
    #[must_use]
    pub fn with_label_of(&self, first: &Path) -> Self {
        let mut source = self.clone();
        if let Self::Tar { label, .. } = &mut source
            && label.is_none()
        {
            *label = Some(tar_labels::of_set(&[first.to_path_buf()], None));
        }
        source
    }

    /// The first of [`Source::paths`].
    pub(crate) fn path(&self) -> &Path {
        self.paths().first().copied().unwrap_or(Path::new(""))
    }
}

/// The kind and the last component of the path, which is the same on every machine: `svhn train_32x32.mat`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, detail) = match self {
            Self::Cifar10 { split: Split::Train, .. } => ("cifar10", ", train"),
            Self::Cifar10 { split: Split::Test, .. } => ("cifar10", ", test"),
            Self::Svhn { .. } => ("svhn", ""),
            Self::Mnist { .. } => ("mnist", ""),
            Self::Folder { classes: false, .. } => ("folder", ""),
            Self::Folder { classes: true, .. } => ("folder", ", a folder a class"),
            Self::ImageNetTar { .. } => ("imagenet_tar", ""),
            Self::ImageNetFolder { .. } => ("imagenet_folder", ""),
            Self::Lsun { .. } => ("lsun", ""),
            Self::Tar { .. } => ("tar", ""),
            Self::Parquet { .. } => ("parquet", ""),
            Self::Store { .. } => ("store", ""),
        };
        write!(f, "{kind} {}{detail}", name_of(self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_one_table_named_after_its_kind() {
        let source: Source =
            serde_json::from_str(r#"{"cifar10": {"path": "/data/c", "split": "train"}}"#).unwrap();
        assert_eq!(source, Source::Cifar10 { path: "/data/c".into(), split: Split::Train });
        assert_eq!(source.to_string(), "cifar10 c, train");
        for text in [
            r#"{"folder": {"path": "a"}}"#,
            r#"{"mnist": {"images": "a"}}"#,
            r#"{"imagenet_tar": {"path": "a"}}"#,
            r#"{"imagenet_folder": {"path": "a"}}"#,
            r#"{"lsun": {"path": "a"}}"#,
            r#"{"tar": {"path": "a"}}"#,
            r#"{"parquet": {"path": "a"}}"#,
            r#"{"store": {"path": "a"}}"#,
        ] {
            assert_eq!(serde_json::from_str::<Source>(text).unwrap().paths(), [Path::new("a")]);
        }
        for text in [r#"{"svhn": {"path": "a", "split": "train"}}"#, r#"{"svnh": {"path": "a"}}"#] {
            assert!(serde_json::from_str::<Source>(text).is_err(), "{text}");
        }
    }
}
