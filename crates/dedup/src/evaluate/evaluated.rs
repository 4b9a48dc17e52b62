//! What is evaluated, and the pictures that are hashed for it.

use std::path::Path;

use dcgan_images::Source;

use super::sheet::PairToJudge;
use crate::group::{GroupConfig, Member};
use crate::{Autoencoder, Code};

/// What is to be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Evaluated<'a> {
    /// The data set.
    pub source: &'a Source,
    /// The autoencoder.
    pub model: &'a Autoencoder,
    /// The folder that the set was hashed into.
    pub hashed: &'a Path,
    /// Its groups by the near rule, as far as they are known.
    pub groups: &'a [Vec<Member>],
    /// The pairs that the rule in use found; some are drawn for the contact sheet.
    pub found: &'a [PairToJudge],
    /// Radius and threshold of the near rule.
    pub grouping: &'a GroupConfig,
}

/// Copies and background pictures, hashed by every method.
#[derive(Default)]
pub(super) struct Hashed {
    pub(super) codes: Vec<Code>,
    pub(super) pixels: Vec<u8>,
    pub(super) sizes: Vec<[u32; 2]>,
    /// Of each probe the codes of the views.
    pub(super) views: Vec<Vec<Code>>,
    pub(super) baselines: [Vec<u64>; 2],
}
