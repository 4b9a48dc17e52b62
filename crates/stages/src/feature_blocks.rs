//! Features of many pictures, written block by block, so that a run that was killed goes on.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use anyhow::{bail, ensure};
use dcgan_eval::{FEATURES_FILE, FeatureSet};
use dcgan_files::npy::{HEAD_BYTES, head};
use fs_err::{File, OpenOptions};

/// Pictures of a block: whole batches of a generator's.
pub(crate) const BLOCK: usize = 1024;

/// Features of one kind: the folder that they are written into, which is the stage's own, and how many of a picture.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) dir: PathBuf,
    pub(crate) n_columns: usize,
}

/// The features of the pictures 0 to `n` that `features` makes of each block of `block` pictures, of each output's kind. Blocks that a
/// killed run has written are kept, and not made again.
pub(crate) fn in_blocks(
    (n, block): (usize, usize),
    outputs: &[Output],
    features: &mut dyn FnMut(Range<usize>) -> anyhow::Result<Vec<Vec<f32>>>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> anyhow::Result<Vec<FeatureSet>> {
    if outputs.iter().any(|output| !output.path().exists()) {
        write((n, block), outputs, features, observe)?;
    }
    let opened = |output: &Output| {
        let set = FeatureSet::open_labelled_or_not(&output.dir)?;
        ensure!(
            (set.n_rows(), set.n_columns()) == (n, output.n_columns),
            "{}: expected features ({n}, {}), found ({}, {})",
            set.path().display(),
            output.n_columns,
            set.n_rows(),
            set.n_columns()
        );
        Ok(set)
    };
    outputs.iter().map(opened).collect()
}

fn write(
    (n, block): (usize, usize),
    outputs: &[Output],
    features: &mut dyn FnMut(Range<usize>) -> anyhow::Result<Vec<Vec<f32>>>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let mut files = outputs.iter().map(Output::open).collect::<anyhow::Result<Vec<_>>>()?;
    // A block that was cut off, or that is not in all files, is made again.
    let mut done = n / block * block;
    for (file, output) in files.iter().zip(outputs) {
        let block_bytes = (block * output.n_columns * size_of::<f32>()) as u64;
        let n_blocks = file.metadata()?.len().saturating_sub(HEAD_BYTES as u64) / block_bytes;
        done = done.min(n_blocks as usize * block);
    }
    for (file, output) in files.iter_mut().zip(outputs) {
        file.set_len((HEAD_BYTES + done * output.n_columns * size_of::<f32>()) as u64)?;
        file.seek(SeekFrom::End(0))?;
    }
    while done < n {
        if observe(done as u64, n as u64).is_break() {
            bail!("interrupted");
        }
        let end = (done + block).min(n);
        let values = features(done..end)?;
        ensure!(
            values.len() == outputs.len(),
            "expected {} kinds of features, found {}",
            outputs.len(),
            values.len()
        );
        for ((file, output), values) in files.iter_mut().zip(outputs).zip(&values) {
            let n_expected = (end - done) * output.n_columns;
            ensure!(values.len() == n_expected, "expected {n_expected} features, found {}", values.len());
            append(file, values)?;
        }
        done = end;
    }
    for (mut file, output) in files.into_iter().zip(outputs) {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head("<f4", &[n as u64, output.n_columns as u64]))?;
        file.sync_all()?;
        fs_err::rename(output.partial(), output.path())?;
    }
    Ok(())
}

impl Output {
    fn path(&self) -> PathBuf {
        self.dir.join(FEATURES_FILE)
    }

    fn partial(&self) -> PathBuf {
        self.dir.join(format!("{FEATURES_FILE}.partial"))
    }

    /// The file that blocks are appended to: that of a killed run, also one that was complete where another was not.
    fn open(&self) -> anyhow::Result<File> {
        fs_err::create_dir_all(&self.dir)?;
        if self.path().exists() {
            fs_err::rename(self.path(), self.partial())?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.partial())?;
        if file.metadata()?.len() < HEAD_BYTES as u64 {
            file.set_len(0)?;
            file.write_all(&head("<f4", &[0]))?;
        }
        Ok(file)
    }

    /// Removes what [`in_blocks`] wrote.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        fs_err::remove_file(self.path())?;
        Ok(fs_err::remove_dir(&self.dir)?)
    }
}

fn append(file: &mut File, values: &[f32]) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    file.write_all(&bytes)?;
    // What a later run takes as written must be on the disk.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two kinds of features.
    fn blocks(range: Range<usize>) -> Vec<Vec<f32>> {
        let first = range.clone().flat_map(|row| [row as f32, -(row as f32)]).collect();
        vec![first, range.map(|row| 0.5 * row as f32).collect()]
    }

    #[test]
    fn a_killed_run_goes_on_at_its_last_whole_block() {
        let folder = tempfile::tempdir().unwrap();
        let n = 3 * BLOCK + 5;
        let outputs = [("real", 2), ("logits", 1)]
            .map(|(name, n_columns)| Output { dir: folder.path().join(name), n_columns });
        let mut made = Vec::new();
        let stop = in_blocks((n, BLOCK), &outputs, &mut |range| Ok(blocks(range)), &mut |done, _| {
            if done < 2 * BLOCK as u64 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(stop.unwrap_err().to_string(), "interrupted");
        // Killed in the middle of a block, of which one file has all and the other a part.
        for (output, n_bytes) in outputs.iter().zip([8 * BLOCK, 1001]) {
            let mut file = std::fs::OpenOptions::new().append(true).open(output.partial()).unwrap();
            file.write_all(&vec![7; n_bytes]).unwrap();
        }
        let mut go_on = |_, _| ControlFlow::Continue(());
        let mut features = |range: Range<usize>| {
            made.push(range.clone());
            Ok(blocks(range))
        };
        let sets = in_blocks((n, BLOCK), &outputs, &mut features, &mut go_on).unwrap();
        for (set, expected) in sets.iter().zip(blocks(0..n)) {
            assert_eq!(set.values(), expected);
            assert!(set.labels().is_empty());
        }
        // What is complete is not made again; nor are blocks, where one file took its name and the other did not.
        in_blocks((n, BLOCK), &outputs, &mut features, &mut go_on).unwrap();
        std::fs::rename(outputs[1].path(), outputs[1].partial()).unwrap();
        let again = in_blocks((n, BLOCK), &outputs, &mut features, &mut go_on).unwrap();
        assert_eq!(again[1].values(), sets[1].values());
        assert_eq!(made, [2 * BLOCK..3 * BLOCK, 3 * BLOCK..n, 3 * BLOCK..n]);
        let other =
            in_blocks((n + 1, BLOCK), &outputs, &mut |range| Ok(blocks(range)), &mut go_on).unwrap_err();
        assert!(other.to_string().contains("expected features (3078, 2), found (3077, 2)"), "{other}");
        outputs.iter().for_each(|output| output.remove().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
