//! The labels of the pictures that a conditional network is trained on.

use dcgan_images::ImageStore;

use crate::{Architecture, GanError, Result};

/// Every picture's label, for a conditional network; none for another.
///
/// # Errors
/// [`GanError::Labels`] where a picture has no label or one that is none of the network's classes, or a class has no picture.
pub(super) fn of(store: &ImageStore, architecture: Architecture) -> Result<Option<Vec<u32>>> {
    let n_classes = architecture.classes();
    if n_classes == 0 {
        return Ok(None);
    }
    let wrong = |found: String| {
        let network = format!("{} is conditional on the labels 0 to {}", architecture.name, n_classes - 1);
        Err(GanError::Labels { network, found })
    };
    let labels = store.labels()?;
    let n_without = labels.iter().filter(|label| label.is_none()).count();
    if n_without > 0 {
        return wrong(format!("{n_without} of {} pictures without a label", labels.len()));
    }
    let labels: Vec<u32> = labels.into_iter().flatten().collect();
    let mut n_of = vec![0_u64; n_classes];
    for (picture, &label) in labels.iter().enumerate() {
        match n_of.get_mut(label as usize) {
            Some(n) => *n += 1,
            None => return wrong(format!("label {label} of picture {picture}")),
        }
    }
    match n_of.iter().position(|&n| n == 0) {
        Some(class) => wrong(format!("no picture with label {class}")),
        None => Ok(Some(labels)),
    }
}
