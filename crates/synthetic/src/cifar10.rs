//! A set of 32×32 pictures in the layout of CIFAR-10's binary version.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Result;
use super::random::{Purpose, balanced_labels, stream};
use super::staging::Staging;

/// Writes the folder `dir`: `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` (records of 1 label byte and 3,072
/// pixel bytes, 3×32×32) and `batches.meta.txt` with the ten `names`. `draw` makes of a class from 0 to 9, of which every head
/// of the set has equal shares, and of the picture's own random stream its label and its pixels.
///
/// # Errors
/// A target that is neither absent nor an empty folder, or a failed write.
pub(super) fn write_cifar10(
    dir: &Path,
    [n_train, n_test]: [usize; 2],
    seed: u64,
    names: [&str; 10],
    draw: impl Fn(u8, &mut ChaCha8Rng) -> (u8, Vec<u8>) + Sync,
) -> Result<()> {
    // Consecutive pictures, the first of them number `start` of its split.
    let records = |split: Purpose, start: usize, classes: &[u8]| {
        let record = |(offset, &class): (usize, &u8)| {
            let (label, pixels) = draw(class, &mut stream(seed, split, start + offset));
            [vec![label], pixels].concat()
        };
        let records: Vec<Vec<u8>> = classes.par_iter().enumerate().map(record).collect();
        records.concat()
    };
    let staging = Staging::start(dir)?;
    let classes = balanced_labels(n_train, seed, Purpose::TrainLabels);
    for file_idx in 0..5 {
        let range = n_train * file_idx / 5..n_train * (file_idx + 1) / 5;
        let bytes = records(Purpose::Train, range.start, &classes[range]);
        fs_err::write(staging.path().join(format!("data_batch_{}.bin", file_idx + 1)), bytes)?;
    }
    let classes = balanced_labels(n_test, seed, Purpose::TestLabels);
    fs_err::write(staging.path().join("test_batch.bin"), records(Purpose::Test, 0, &classes))?;
    fs_err::write(staging.path().join("batches.meta.txt"), names.join("\n") + "\n")?;
    staging.finish()
}
