//! The public data sets: where they are and what they are known by.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Checksum;

/// A data set, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// CIFAR-10, binary version: `cifar-10-batches-bin/`, 170 MB.
    Cifar10,
    /// SVHN's training and test digits: `svhn/{train,test}_32x32.mat`, 246 MB.
    Svhn,
    /// SVHN's extra digits: `svhn/extra_32x32.mat`, 1.3 GB.
    SvhnExtra,
    /// MNIST: `mnist/*-ubyte.gz`, 12 MB.
    Mnist,
    /// LSUN's bedrooms: `lsun/bedroom_train_lmdb/`, 43 GB.
    Lsun,
    /// The weights of Inception-v3 that FID is measured with: `inception/pt_inception-2015-12-05-6726825d.pth`, 96 MB.
    Inception,
    /// ImageNet-1k, which may only be had by those who agreed to its terms.
    Imagenet,
    /// The weights released by the paper's authors, which lie in their repository.
    Authors,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name at the mirrors.
    pub name: String,
    /// Its own addresses, tried in turn.
    pub urls: Vec<String>,
    /// Its size, where it is published.
    pub bytes: Option<u64>,
    /// Its size, about, where `bytes` does not say; see [`RemoteFile::most_bytes`].
    pub likely_bytes: Option<u64>,
    /// Its checksum, where it is published.
    pub checksum: Option<Checksum>,
    /// What becomes of it.
    pub install: Install,
    /// Bytes it takes, about, where `bytes` does not say; for an archive also what it unpacks to.
    pub estimate: u64,
}

impl RemoteFile {
    /// The most bytes that are taken of a file whose size is not published, unless the caller says otherwise: one and a half
    /// times its likely size and 1 GiB, or 16 GiB.
    pub fn most_bytes(&self) -> u64 {
        self.likely_bytes.map_or(16 << 30, |bytes| bytes.saturating_add(bytes / 2).saturating_add(1 << 30))
    }
}

/// What becomes of a file that has arrived. Paths are within the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// It is put there as it is.
    File {
        /// Where.
        path: PathBuf,
    },
    /// It is unpacked; the archive holds the one folder of this name.
    TarGz {
        /// Where the folder goes.
        folder: PathBuf,
        /// Files that must be in it, with their sizes where they are known.
        holds: Vec<(PathBuf, Option<u64>)>,
    },
    /// As [`Install::TarGz`], for a zip.
    Zip {
        /// Where the folder goes.
        folder: PathBuf,
        /// Files that must be in it, with their sizes where they are known.
        holds: Vec<(PathBuf, Option<u64>)>,
    },
}

impl Install {
    /// The file or folder that appears.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::File { path } => path,
            Self::TarGz { folder, .. } | Self::Zip { folder, .. } => folder,
        }
    }
}

impl Set {
    /// All sets.
    pub const ALL: [Self; 8] = [
        Self::Cifar10,
        Self::Svhn,
        Self::SvhnExtra,
        Self::Mnist,
        Self::Lsun,
        Self::Inception,
        Self::Imagenet,
        Self::Authors,
    ];

    /// For a set that cannot be fetched, what to put where.
    pub fn own_copy(self) -> Option<&'static str> {
        match self {
            Self::Imagenet => Some(
                "ImageNet-1k is given only to those who agree to its terms, at https://image-net.org/download; \
                 put your own copy, unpacked (a folder for each synset, n01440764 and so on), at imagenet/train in the \
                 data folder, or name it with `--set imagenet=…`; ILSVRC2012_img_train.tar is read as it is by \
                 `source.imagenet_tar.path`",
            ),
            Self::Authors => Some(
                "the authors' weights lie in their repository; copy the folders in `models` of \
                 https://github.com/Newmu/dcgan_code to authors in the data folder",
            ),
            _ => None,
        }
    }

    /// What is to be fetched for it; nothing for a set of which one needs an own copy.
    pub fn files(self) -> Vec<RemoteFile> {
        match self {
            Self::Cifar10 => vec![cifar10()],
            Self::Svhn => vec![
                svhn("train_32x32.mat", 182_040_794, "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
                svhn("test_32x32.mat", 64_275_384, "md5:eb5a983be6a315427106f1b164d9cef3"),
            ],
            Self::SvhnExtra => {
                vec![svhn("extra_32x32.mat", 1_329_278_602, "md5:a93ce644f1a588dc4d68dda5feec44a7")]
            }
            Self::Mnist => vec![
                mnist("train-images-idx3-ubyte.gz", 9_912_422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                mnist("train-labels-idx1-ubyte.gz", 28_881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
                mnist("t10k-images-idx3-ubyte.gz", 1_648_877, "md5:9fb629c4189551a2d022fa330f9573f3"),
                mnist("t10k-labels-idx1-ubyte.gz", 4_542, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
            ],
            Self::Lsun => vec![lsun()],
            Self::Inception => vec![inception()],
            Self::Imagenet | Self::Authors => Vec::new(),
        }
    }
}

/// The size and MD5 are those on the data set's page and in the tutorials that load it.
fn cifar10() -> RemoteFile {
    let batches = (1..=5).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
    RemoteFile {
        name: "cifar-10-binary.tar.gz".into(),
        urls: vec!["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".into()],
        bytes: Some(170_052_171),
        likely_bytes: None,
        checksum: known("md5:c32a1d4ab5d03f1284b67883e8d87530"),
        install: Install::TarGz {
            folder: "cifar-10-batches-bin".into(),
            // 10,000 records of one label and 3 × 32 × 32 pixels.
            holds: batches.map(|name| (name.into(), Some(10_000 * 3073))).collect(),
        },
        estimate: 6 * 10_000 * 3073,
    }
}

/// Sizes and MD5s as torchvision and TensorFlow's data sets list them.
fn svhn(name: &str, n_bytes: u64, checksum: &str) -> RemoteFile {
    RemoteFile {
        name: name.into(),
        urls: vec![format!("http://ufldl.stanford.edu/housenumbers/{name}")],
        bytes: Some(n_bytes),
        likely_bytes: None,
        checksum: known(checksum),
        install: Install::File { path: PathBuf::from("svhn").join(name) },
        estimate: 0,
    }
}

/// MD5s and mirrors as torchvision lists them; the first site answers no longer for everybody.
fn mnist(name: &str, n_bytes: u64, checksum: &str) -> RemoteFile {
    let sites = [
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "http://yann.lecun.com/exdb/mnist",
    ];
    RemoteFile {
        name: name.into(),
        urls: sites.iter().map(|site| format!("{site}/{name}")).collect(),
        bytes: Some(n_bytes),
        likely_bytes: None,
        checksum: known(checksum),
        install: Install::File { path: PathBuf::from("mnist").join(name) },
        estimate: 0,
    }
}

/// The zip's size, about.
const LSUN_BYTES: u64 = 46_000_000_000;

/// Its makers publish no checksum: what arrives is recorded, and the zip's own CRC-32 is compared.
fn lsun() -> RemoteFile {
    RemoteFile {
        name: "bedroom_train_lmdb.zip".into(),
        urls: ["https", "http"]
            .map(|scheme| format!("{scheme}://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip"))
            .into(),
        bytes: None,
        likely_bytes: Some(LSUN_BYTES),
        checksum: None,
        install: Install::Zip {
            folder: "lsun/bedroom_train_lmdb".into(),
            holds: vec![("data.mdb".into(), None)],
        },
        estimate: 2 * LSUN_BYTES,
    }
}

/// pytorch-fid's release, and torch-fidelity's of the same bytes. Both publish the first eight digits of the SHA-256 in the file's
/// name; the size and the other digits are as projects that use the file list them.
fn inception() -> RemoteFile {
    let name = "pt_inception-2015-12-05-6726825d.pth";
    RemoteFile {
        name: name.into(),
        urls: vec![
            format!("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{name}"),
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/\
             weights-inception-2015-12-05-6726825d.pth"
                .into(),
        ],
        bytes: Some(95_628_359),
        likely_bytes: None,
        checksum: known("sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"),
        install: Install::File { path: PathBuf::from("inception").join(name) },
        estimate: 0,
    }
}

/// The checksums above are well-formed, which a test proves.
fn known(text: &str) -> Option<Checksum> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_files_or_says_what_to_do() {
        for set in Set::ALL {
            assert_eq!(set.files().is_empty(), set.own_copy().is_some(), "{set:?}");
        }
    }

    #[test]
    fn every_published_checksum_is_well_formed_and_every_name_is_used_once() {
        let files: Vec<RemoteFile> = Set::ALL.into_iter().flat_map(Set::files).collect();
        for file in files.iter().filter(|file| file.name != "bedroom_train_lmdb.zip") {
            assert!(file.checksum.is_some() && file.bytes.is_some(), "{}", file.name);
        }
        let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), files.len());
    }
}
