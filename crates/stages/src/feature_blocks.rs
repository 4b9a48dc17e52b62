//! Features of many pictures, written block by block, so that a run that was killed goes on.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::{ControlFlow, Range};
use std::path::Path;

use anyhow::{bail, ensure};
use dcgan_eval::{FEATURES_FILE, FeatureSet};
use dcgan_files::npy::{HEAD_BYTES, head};
use fs_err::{File, OpenOptions};

/// Pictures of a block: whole batches of a generator's.
pub(crate) const BLOCK: usize = 1024;

/// The features of the pictures 0 to `n`, of `n_columns` numbers each, which `features` makes of each block of them; in the
/// folder `dir`, which is the stage's own. Blocks that a killed run has written are kept, and not made again.
pub(crate) fn in_blocks(
    dir: &Path,
    (n, n_columns): (usize, usize),
    features: &mut dyn FnMut(Range<usize>) -> anyhow::Result<Vec<f32>>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> anyhow::Result<FeatureSet> {
    fs_err::create_dir_all(dir)?;
    let path = dir.join(FEATURES_FILE);
    if !path.exists() {
        let partial = dir.join(format!("{FEATURES_FILE}.partial"));
        write(&partial, (n, n_columns), features, observe)?;
        fs_err::rename(&partial, &path)?;
    }
    let set = FeatureSet::open_labelled_or_not(dir)?;
    ensure!(
        (set.n_rows(), set.n_columns()) == (n, n_columns),
        "{}: expected features ({n}, {n_columns}), found ({}, {})",
        path.display(),
        set.n_rows(),
        set.n_columns()
    );
    Ok(set)
}

fn write(
    partial: &Path,
    (n, n_columns): (usize, usize),
    features: &mut dyn FnMut(Range<usize>) -> anyhow::Result<Vec<f32>>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial)?;
    let block_bytes = (BLOCK * n_columns * size_of::<f32>()) as u64;
    // A block that was cut off is made again.
    let n_blocks = file.metadata()?.len().saturating_sub(HEAD_BYTES as u64) / block_bytes;
    let mut done = ((n_blocks as usize) * BLOCK).min(n / BLOCK * BLOCK);
    if done == 0 {
        file.set_len(0)?;
        file.write_all(&head("<f4", &[0]))?;
    } else {
        file.set_len(end_of(done, n_columns))?;
        file.seek(SeekFrom::End(0))?;
    }
    while done < n {
        if observe(done as u64, n as u64).is_break() {
            bail!("interrupted");
        }
        let end = (done + BLOCK).min(n);
        let values = features(done..end)?;
        let n_expected = (end - done) * n_columns;
        ensure!(values.len() == n_expected, "expected {n_expected} features, found {}", values.len());
        append(&mut file, &values)?;
        done = end;
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&head("<f4", &[n as u64, n_columns as u64]))?;
    Ok(file.sync_all()?)
}

fn append(file: &mut File, values: &[f32]) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    file.write_all(&bytes)?;
    // What a later run takes as written must be on the disk.
    file.sync_data()
}

fn end_of(n_rows: usize, n_columns: usize) -> u64 {
    (HEAD_BYTES + n_rows * n_columns * size_of::<f32>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(range: Range<usize>) -> Vec<f32> {
        range.flat_map(|row| [row as f32, -(row as f32)]).collect()
    }

    #[test]
    fn a_killed_run_goes_on_at_its_last_whole_block() {
        let folder = tempfile::tempdir().unwrap();
        let (n, dir) = (3 * BLOCK + 5, folder.path().join("real"));
        let mut made = Vec::new();
        let stop = in_blocks(&dir, (n, 2), &mut |range| Ok(block(range)), &mut |done, _| {
            if done < 2 * BLOCK as u64 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stop.unwrap_err().to_string(), "interrupted");
        // Killed in the middle of a block.
        let partial = dir.join("features.npy.partial");
        let mut file = std::fs::OpenOptions::new().append(true).open(&partial).unwrap();
        file.write_all(&[7; 1001]).unwrap();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let mut features = |range: Range<usize>| {
            made.push(range.clone());
            Ok(block(range))
        };
        let set = in_blocks(&dir, (n, 2), &mut features, &mut go_on).unwrap();
        assert_eq!(set.values(), block(0..n));
        assert!(set.labels().is_empty() && !partial.exists());
        // What is complete is not made again.
        in_blocks(&dir, (n, 2), &mut features, &mut go_on).unwrap();
        assert_eq!(made, [2 * BLOCK..3 * BLOCK, 3 * BLOCK..n]);
        let other = in_blocks(&dir, (n + 1, 2), &mut |range| Ok(block(range)), &mut go_on).unwrap_err();
        assert!(other.to_string().contains("expected features (3078, 2), found (3077, 2)"), "{other}");
    }
}
