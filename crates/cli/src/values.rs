//! What several verbs' arguments have in common.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use dcgan_engine::manifest::with_home;

/// A path, of which a leading `~` is the home folder also where no shell has put it, as in `--out=~/x`.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(with_home)
}
