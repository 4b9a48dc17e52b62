//! Pictures whose class can be learned.

use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
use tempfile::TempDir;

use super::Examples;

/// 32×32 pictures of four classes: the corner that a bright square is near. Half of them, the later ones, validate.
pub(super) struct Corners {
    _dir: TempDir,
    pub(super) store: ImageStore,
    pub(super) classes: Vec<u32>,
    pub(super) rows: Vec<u32>,
    pub(super) validation: Vec<u32>,
}

impl Corners {
    pub(super) fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(dir.path()).unwrap();
        for i in 0..n {
            let corner = i % 4;
            let (x0, y0) = (16 * (corner % 2) + i * 5 % 9, 16 * (corner / 2) + i * 7 % 9);
            let value = |place: usize| {
                let (x, y) = (place % 32, place / 32 % 32);
                let inside = (x0..x0 + 8).contains(&x) && (y0..y0 + 8).contains(&y);
                if inside { 220 } else { (60 + (place * 13 + i * 29) % 90) as u8 }
            };
            let pixels = (0..3072).map(value).collect();
            let picture = Picture { channels: 3, height: 32, width: 32, pixels };
            writer.append(&i.to_string(), Some(corner as u32), "made up", &picture).unwrap();
        }
        writer.finish(StoreDescription::default()).unwrap();
        let classes = (0..n).map(|i| (i % 4) as u32).collect();
        let half = n as u32 / 2;
        let (rows, validation) = ((0..half).collect(), (half..n as u32).collect());
        Self { store: ImageStore::open(dir.path()).unwrap(), _dir: dir, classes, rows, validation }
    }

    pub(super) fn examples(&self) -> Examples<'_> {
        Examples {
            store: &self.store,
            classes: &self.classes,
            n_classes: 4,
            rows: &self.rows,
            validation: &self.validation,
        }
    }
}
