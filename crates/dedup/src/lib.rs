//! Semantic hashing: near-duplicates of a picture set, found and left out (section 4.1.1 of the paper).
//!
//! An autoencoder 3072-128-3072 is [trained](train::train) on 32×32 pictures; its 128 ReLU units, thresholded, are a picture's
//! [`Code`]. [`hash`](hash::hash) streams a data set to codes, [`group`] finds equal codes (the paper's rule) or near ones that
//! a second look at the pictures confirms, [`regenerate`](regenerate::regenerate) writes the set again without what is double, and
//! [`evaluate`](evaluate::evaluate) measures on planted near-duplicates what is found.
//!
//! | module | holds |
//! | --- | --- |
//! | [`train`] | corrupted copies, the loss, checkpoint and resume |
//! | [`hash`] | decoding at reduced size on all cores, the journal, `codes.parquet` |
//! | [`group`] | equal codes, codes within a radius by multi-index hashing, the second look, union-find, `groups.parquet` |
//! | [`regenerate`] | LMDB, folder, image store, lists of keys |
//! | [`evaluate`] | planted changes, confidence intervals, pHash and dHash, the contact sheet |
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use dcgan_dedup::group::{GROUPS, GroupConfig, group_images, read_groups, removed_keys};
//! use dcgan_dedup::hash::{HashConfig, hash};
//! use dcgan_dedup::{Autoencoder, Preprocessing};
//! use dcgan_images::{Source, grid};
//!
//! # fn main() -> dcgan_dedup::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
//! # std::fs::create_dir_all(&photos)?;
//! # std::fs::create_dir_all(&out)?;
//! # for (name, step) in [("a.png", 3), ("b.png", 7), ("c.png", 3)] {
//! #     let pixels: Vec<u8> = (0..3 * 40 * 40).map(|i| (i * step / 5 % 256) as u8).collect();
//! #     grid::write_grid(&photos.join(name), &pixels, [1, 3, 40, 40], 1)?;
//! # }
//! // photos/ holds a.png, b.png, and c.png, which is a.png again
//! let source = Source::Folder { path: photos, classes: false };
//! let model = Autoencoder::random(Preprocessing { standardise: true }, 0)?; // untrained: equal pictures only
//! hash(&source, &model, &HashConfig::default(), &out, &mut |_, _| ControlFlow::Continue(()))?;
//! let found = group_images(&out, &GroupConfig::default(), &out, &mut |_, _| ControlFlow::Continue(()))?;
//! assert_eq!((found.exact.n_groups, found.exact.n_removed), (1, 1));
//! let removed = removed_keys(&read_groups(&out.join(GROUPS))?);
//! assert_eq!(removed.into_iter().collect::<Vec<_>>(), ["c.png"]);
//! # Ok(())
//! # }
//! ```

mod code;
mod content;
mod error;
pub mod evaluate;
pub mod group;
pub mod hash;
mod model;
mod preprocess;
pub mod regenerate;
#[cfg(test)]
mod testing;
pub mod train;
mod window;

pub use code::{CODE_BITS, Code};
pub use error::{DedupError, Result};
pub use model::Autoencoder;
pub use preprocess::{FILTER as HASHED_FILTER, N_INPUTS, PICTURE_BYTES, Preprocessing, SIDE};
