//! Perceptual hashes of the `image_hasher` crate, to compare with.

use image::RgbImage;
use image_hasher::{HashAlg, Hasher, HasherConfig};
use serde::{Deserialize, Serialize};

/// A 64-bit perceptual hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// pHash: the low frequencies of the cosine transform, against their median.
    PHash,
    /// dHash: each pixel of a small grey picture against its neighbour.
    DHash,
}

impl Baseline {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PHash, Self::DHash];

    pub(crate) fn hasher(self) -> Hasher {
        let config = HasherConfig::new().hash_size(8, 8);
        match self {
            Self::PHash => config.preproc_dct().hash_alg(HashAlg::Median).to_hasher(),
            Self::DHash => config.hash_alg(HashAlg::Gradient).to_hasher(),
        }
    }

    /// The hash of a whole picture.
    pub(crate) fn hash(hasher: &Hasher, picture: &RgbImage) -> u64 {
        let hash = hasher.hash_image(picture);
        let bytes = hash.as_bytes().iter().take(8).enumerate();
        bytes.fold(0, |word, (i, &byte)| word | u64::from(byte) << (8 * i))
    }
}
