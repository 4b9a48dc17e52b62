//! The door to the data: downloads the public data sets, verifies them, and unpacks them into the layouts that readers
//! expect.
//!
//! A [`Set`] names its [`RemoteFile`]s: where they are, how large, with which published checksum, and what becomes of
//! them. [`fetch`] downloads them into a folder. It may be stopped or killed at any time: a download goes on where it was,
//! a file or an unpacked folder appears under its name only when it is whole and verified, and what is there already is
//! verified and left alone. `.fetched.json` in the folder keeps size and SHA-256 of every file, so that damage is found
//! even where nobody publishes a checksum.
//!
//! | module | holds |
//! | --- | --- |
//! | [`Set`] | the sets' addresses, sizes and checksums |
//! | `http`, `part`, `transfer`, `watch`, `download` | one response, what is kept of a file, one attempt and its limits, and all attempts at all mirrors |
//! | [`unpack_tar_gz`], [`unpack_zip`] | archives that may not leave their folder, nor fill the disk |
//! | `ledger`, `install` | what is known of the files that are there, and what becomes of those that are wanted |
//! | [`ShardSet`], `listing` | shards of a set at addresses, into a cache that every reader of them shares |
//! | [`Stores`], [`S3`], [`Gcs`], `google_token` | object stores: where objects lie, and what opens them |
//! | `place`, `work` | how a file gets to its place and loses nothing that is there |
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use dcgan_fetch::{Options, RemoteFile, Install, fetch};
//!
//! # fn main() -> dcgan_fetch::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let (mirror, data) = (folder.path().join("mirror"), folder.path().join("data"));
//! # std::fs::create_dir(&mirror)?;
//! # std::fs::write(mirror.join("hello.txt"), "hello")?;
//! let file = RemoteFile {
//!     name: "hello.txt".into(),
//!     urls: vec![],
//!     bytes: Some(5),
//!     likely_bytes: None,
//!     checksum: Some("md5:5d41402abc4b2a76b9719d911017c592".parse()?),
//!     install: Install::File { path: "greetings/hello.txt".into() },
//!     estimate: 0,
//! };
//! // A mirror is an address or a folder.
//! let options = Options { mirrors: vec![mirror.display().to_string()], ..Options::default() };
//! let summary = fetch(&[file], &options, &data, &mut |_event| ControlFlow::Continue(()))?;
//! assert_eq!(summary.n_downloaded, 1);
//! assert_eq!(std::fs::read(data.join("greetings/hello.txt"))?, b"hello");
//! # Ok(())
//! # }
//! ```

mod checksum;
mod download;
mod encoding;
mod error;
mod event;
mod gcs;
mod google_token;
mod http;
mod install;
mod ledger;
mod links;
mod listing;
mod object;
mod options;
mod part;
mod place;
mod range;
mod refusal;
mod s3;
mod sets;
mod shards;
mod space;
mod sparse;
mod stores;
mod transfer;
mod unpack;
mod watch;
mod work;

pub use checksum::{Algorithm, Checksum};
pub use error::{FetchError, Result};
pub use event::{Action, Event, Observe};
pub use gcs::Gcs;
pub use google_token::GoogleCredentials;
pub use install::{Summary, fetch};
pub use ledger::{LEDGER, check_ledger, known_files};
pub use options::Options;
pub use range::ContentRange;
pub use s3::{Credentials, S3};
pub use sets::{Install, RemoteFile, Set};
pub use shards::{ShardSet, Shards, is_address, is_fetched, shard_cache};
pub use stores::Stores;
pub use unpack::{Limits, unpack_tar_gz, unpack_zip};
