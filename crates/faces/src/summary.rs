//! What a run over photos comes to.

use serde::Serialize;

use crate::row::Counts;

/// What [`crop_faces`](crate::crop_faces) did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CollectSummary {
    /// Photos that were read, bad ones included.
    pub n_photos: u64,
    /// Pictures in the store.
    pub n_faces: u64,
    /// Photos with at least one of them.
    pub n_with_face: u64,
    /// Photos with too small faces only.
    pub n_too_small: u64,
    /// Photos without a face.
    pub n_no_face: u64,
    /// Photos that could not be decoded.
    pub n_bad: u64,
    /// Photos that an earlier, interrupted run had done.
    pub n_resumed: u64,
    /// Of the time the threads spent on photos: share of reading and decoding.
    pub decode_share: f64,
    /// Share of finding faces.
    pub detect_share: f64,
    /// Share of cutting them out and scaling them.
    pub crop_share: f64,
}

impl CollectSummary {
    /// Of counts alone.
    pub(crate) fn of(counts: &Counts) -> Self {
        let &Counts { n_photos, n_faces, n_with_face, n_too_small, n_no_face, n_bad } = counts;
        let (n_resumed, decode_share, detect_share, crop_share) = (0, 0.0, 0.0, 0.0);
        Self {
            n_photos,
            n_faces,
            n_with_face,
            n_too_small,
            n_no_face,
            n_bad,
            n_resumed,
            decode_share,
            detect_share,
            crop_share,
        }
    }
}
