//! Labelled pictures whose values are compared.

use std::path::{Path, PathBuf};

use dcgan_eval::labels_of;
use dcgan_images::ImageStore;

/// Labelled pictures of a store.
pub(crate) struct Digits {
    folder: PathBuf,
    store: ImageStore,
    pub(crate) labels: Vec<u32>,
    /// Channels, height, width.
    pub(crate) picture: [usize; 3],
    /// Values of a picture.
    pub(crate) len: usize,
}

impl Digits {
    pub(crate) fn open(folder: &Path, key: &str) -> anyhow::Result<Self> {
        let store = ImageStore::open(folder)?;
        let labels = store.labels()?;
        let n_without = labels.iter().filter(|label| label.is_none()).count();
        anyhow::ensure!(
            n_without == 0,
            "`{key}`: expected a label for each of {} pictures of {}, found {n_without} without one",
            labels.len(),
            folder.display()
        );
        let picture = [store.channels(), store.height(), store.width()];
        let len = picture.iter().product();
        Ok(Self {
            folder: folder.to_owned(),
            labels: labels.into_iter().flatten().collect(),
            store,
            picture,
            len,
        })
    }

    /// Refuses test digits that are not of the size of what is learned from, or of other classes.
    pub(crate) fn check(&self, picture: [usize; 3], n_classes: usize) -> anyhow::Result<()> {
        let text = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
        anyhow::ensure!(
            self.picture == picture,
            "`test`: expected pictures of {}, as those that are learned from, found {}",
            text(picture),
            text(self.picture)
        );
        let beyond = self.labels.iter().find(|&&label| label as usize >= n_classes);
        if let Some(label) = beyond {
            anyhow::bail!("`test`: expected labels 0 to {}, the generator's, found {label}", n_classes - 1);
        }
        Ok(())
    }

    /// Pixels / 255 of some pictures, channels last.
    pub(crate) fn values(&self, rows: std::ops::Range<usize>) -> Vec<f32> {
        let ([channels, height, width], plane) = (self.picture, self.picture[1] * self.picture[2]);
        let mut values = Vec::with_capacity(rows.len() * self.len);
        for row in rows {
            let picture = self.store.image(row);
            let places = (0..height * width).flat_map(|place| (0..channels).map(move |c| c * plane + place));
            values.extend(places.map(|idx| f32::from(picture[idx]) / 255.0));
        }
        values
    }

    /// Pixels of a picture, channels first.
    pub(crate) fn pixels(&self, row: usize) -> &[u8] {
        self.store.image(row)
    }

    /// True if its classes have names.
    pub(crate) fn has_names(&self) -> bool {
        self.store.meta().class_names.is_some()
    }

    /// Numbers the labels as those of `train` are, by the classes' names where both sets have them.
    pub(crate) fn match_classes(&mut self, train: &Self) -> anyhow::Result<()> {
        let matched =
            labels_of(&self.store, &self.folder)?.in_classes_of(&labels_of(&train.store, &train.folder)?)?;
        self.labels = matched.labels().iter().map(|label| *label as u32).collect();
        Ok(())
    }
}
