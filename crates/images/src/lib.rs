//! What a picture set is: readers, the image store, seeded batches and grids.
//!
//! A [`Source`] names a data set in the layout it is distributed in, and yields [`Record`]s: images still encoded, with
//! their keys and labels. [`import`] decodes them on all threads, resizes them to one size and streams them into an image
//! store. An [`ImageStore`] maps those pixels into memory, and [`batches::shuffled`] says in which order to look at
//! them. Nothing on the way holds a whole data set.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use dcgan_images::{ImageStore, ImportConfig, Source, batches, grid};
//!
//! # fn main() -> dcgan_images::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let (photos, out) = (folder.path().join("photos"), folder.path().join("store"));
//! # std::fs::create_dir(&photos)?;
//! # for i in 0..3 {
//! #     let pixels = vec![i * 50; 3 * 48 * 64];
//! #     grid::write_grid(&photos.join(format!("{i}.png")), &pixels, [1, 3, 48, 64], 1)?;
//! # }
//! // photos/ holds JPEG, PNG, WebP, GIF, BMP and TIFF files
//! let source = Source::Folder { path: photos, classes: false };
//! let config = ImportConfig { resize: "min_resize_centre_crop(32)".parse()?, ..Default::default() };
//! let summary = dcgan_images::import(&source, &config, &out, &mut |_done, _total| ControlFlow::Continue(()))?;
//! assert_eq!((summary.n_images, summary.n_bad), (3, 0));
//!
//! let store = ImageStore::open(&out)?;
//! let mut batch = Vec::new();
//! store.gather(&batches::shuffled(store.len(), 1, 0)[..2], &mut batch);
//! assert_eq!(batch.len(), 2 * 3 * 32 * 32);
//! # Ok(())
//! # }
//! ```

mod bad;
pub mod batches;
mod behind;
mod decode;
mod decode_config;
mod error;
pub mod grid;
mod import;
mod interleaved;
mod jpeg;
mod lmdb_writer;
pub mod page;
mod picture;
mod pixel_box;
mod readers;
mod reading;
mod record;
mod reduced;
mod resize;
mod shard;
mod shared_sets;
mod sheet;
mod source;
mod store;
mod survey;
mod webp;

use dcgan_files::{key, regular, threads, walk};

pub use bad::{BadWriter, read_bad};
pub use behind::behind;
pub use decode::decode;
pub use decode_config::{Damaged, DecodeConfig};
pub use error::{ImagesError, Result};
pub use import::{ImportConfig, ImportSummary, import, import_records, without_image};
pub use lmdb_writer::LmdbWriter;
pub use picture::Picture;
pub use pixel_box::{PixelBox, SampleBox, read_boxes, write_boxes};
pub use readers::passed_over::{HIDDEN, PassedOver, in_words};
pub use readers::{CopiedTar, Records, TarLabel, archives, copy_tar};
pub use record::{Payload, Record};
pub use reduced::{ReducedPicture, Thumbnail, decode_reduced, decode_thumbnail};
pub use resize::{Filter, Resize, Window};
pub use shard::Shard;
pub use shared_sets::{SharedForm, SharedSet};
pub use sheet::{Sheet, Sign};
pub use source::{Source, Split};
pub use store::{ImageStore, StoreDescription, StoreMeta, StoreWriter, merge_stores};
pub use survey::Survey;
