//! What a set is written as, and what was written.

use dcgan_images::{Damaged, Resize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a file gets into the new folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// Its bytes are copied.
    Copy,
    /// As a second name of the same file; both folders must lie on one file system.
    HardLink,
    /// As a symbolic link to the absolute path.
    SymbolicLink,
}

/// As what the set is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Only the two lists.
    #[default]
    Lists,
    /// An LMDB of the encoded pictures, as they are.
    Lmdb,
    /// A folder of the encoded pictures, as they are; the key's name is the path in it.
    Folder {
        /// How files get there; links need a set that is a folder itself.
        by: LinkMode,
    },
    /// The archives of a set of tars, each under its name, without the pictures that do not stay and what belongs to them alone.
    Tars,
    /// An image store.
    Store {
        /// How every picture is brought to its size.
        resize: Resize,
        /// What becomes of a JPEG of which a part is lost.
        damaged: Damaged,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegenerateSummary {
    /// Images that stay.
    pub n_kept: u64,
    /// Images that do not.
    pub n_removed: u64,
    /// Images that cannot be read; `bad.csv` lists them.
    pub n_bad: u64,
}
