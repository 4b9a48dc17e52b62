//! OpenCV's cascade of Haar features.

use std::path::{Path, PathBuf};

use opencv::core::{Mat, Rect, Size, Vector};
use opencv::objdetect::CascadeClassifier;
use opencv::prelude::*;

use crate::cascade::Window;
use crate::{FacesError, Result};

/// OpenCV's own defaults.
const SCALE_STEP: f64 = 1.1;
const LEAST_NEIGHBOURS: i32 = 3;

/// A cascade that was seen to load. OpenCV's classifier is not made for several threads, so each has its own.
#[derive(Debug)]
pub(crate) struct HaarCascade {
    path: PathBuf,
}

/// A thread's classifier.
#[derive(Debug, Default)]
pub(crate) struct HaarScratch(Option<CascadeClassifier>);

impl HaarCascade {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        fs_err::metadata(path)?;
        load(path)?;
        // The photos are processed in parallel.
        opencv::core::set_num_threads(1).map_err(failed)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// The faces of a grey picture of at least `least` pixels; the score is the number of windows that found each.
    pub(crate) fn detect(
        &self,
        grey: &[u8],
        width: usize,
        least: usize,
        scratch: &mut HaarScratch,
    ) -> Result<Vec<Window>> {
        let classifier = match &mut scratch.0 {
            Some(classifier) => classifier,
            none => none.insert(load(&self.path)?),
        };
        let picture =
            Mat::new_rows_cols_with_data((grey.len() / width) as i32, width as i32, grey).map_err(failed)?;
        let (mut boxes, mut counts) = (Vector::<Rect>::new(), Vector::<i32>::new());
        let least = Size::new(least as i32, least as i32);
        classifier
            .detect_multi_scale2(
                &picture,
                &mut boxes,
                &mut counts,
                SCALE_STEP,
                LEAST_NEIGHBOURS,
                0,
                least,
                Size::default(),
            )
            .map_err(failed)?;
        let window = |(found, count): (Rect, i32)| Window {
            x: found.x,
            y: found.y,
            side: found.width,
            score: f64::from(count),
        };
        Ok(boxes.iter().zip(counts.iter()).map(window).collect())
    }
}

fn load(path: &Path) -> Result<CascadeClassifier> {
    let name = path.to_str().ok_or_else(|| FacesError::file(path, "a path in UTF-8", "other bytes"))?;
    let refused = |_| FacesError::file(path, "a cascade that OpenCV can load", "another file");
    let classifier = CascadeClassifier::new(name).map_err(refused)?;
    match classifier.empty().map_err(failed)? {
        false => Ok(classifier),
        true => Err(FacesError::file(path, "a cascade that OpenCV can load", "another file")),
    }
}

fn failed(error: opencv::Error) -> FacesError {
    FacesError::OpenCv(error.message)
}

#[cfg(test)]
mod tests {
    use crate::testing::photo;
    use crate::{DetectorConfig, DetectorScratch, Engine, FaceDetector};

    #[test]
    fn a_drawn_face_is_found_and_other_files_are_refused() {
        let Some(cascade) = std::env::var_os("DCGAN_HAAR_CASCADE") else {
            eprintln!("skipped: DCGAN_HAAR_CASCADE names no haarcascade_frontalface_alt2.xml");
            return;
        };
        let config = |cascade: &std::path::Path| DetectorConfig {
            engine: Engine::Opencv,
            cascade: Some(cascade.to_path_buf()),
            ..DetectorConfig::default()
        };
        let detector = FaceDetector::new(&config(cascade.as_ref())).unwrap();
        let found = detector
            .detect(&photo(250, 250, &[[120.0, 110.0, 60.0]]).into(), &mut DetectorScratch::default());
        let found = found.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let middle = [found[0].x + found[0].width / 2.0, found[0].y + found[0].height / 2.0];
        assert!((middle[0] - 120.0).abs() < 12.0 && (middle[1] - 120.0).abs() < 18.0, "{found:?}");

        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.xml");
        std::fs::write(&other, "<a/>").unwrap();
        let message = FaceDetector::new(&config(&other)).err().unwrap().to_string();
        assert!(message.contains("expected a cascade that OpenCV can load"), "{message}");
    }
}
