//! The report's beginning where a network was trained on pictures of one's own: what one asks first.

use std::path::{Path, PathBuf};

use dcgan_engine::inputs::upstream;
use dcgan_engine::record::Record;
use dcgan_files::words::{counted, duration, grouped};
use dcgan_gan::train::files;
use dcgan_images::grid::write_grid;
use dcgan_images::{DecodeConfig, ImageStore, Picture as Pixels, batches, decode};
use dcgan_report::own::{Advice, Fact, Own};
use dcgan_report::picture::Picture;
use serde_json::Value;

use crate::lineage::FOLDER;
use crate::{dedup_eval, import_images, remove_duplicates, sample, train_gan};

/// Columns of the grids.
const N_COLUMNS: usize = 8;
/// Pictures in a grid.
const N_PICTURES: usize = 64;
/// Rows of the picture of the course, at most.
const N_MOMENTS: usize = 8;
/// Below so many pictures it is said that they are few.
const FEW: u64 = 1000;
/// The pictures that are made here. No stage's id has a dot behind "own".
const REAL: &str = "own.real.png";
const COURSE: &str = "own.course.png";

/// A training on pictures of one's own.
struct Training<'a> {
    record: &'a Record,
    folder: &'a Path,
    /// The pictures that it saw, with the stage that made them ready.
    store: ImageStore,
    images: PathBuf,
    pictures: Record,
    /// All stages behind the report.
    all: &'a [(PathBuf, Record)],
}

/// What one asks first; none where the network behind the first samples saw pictures of the paper's sets or made-up ones.
///
/// `samples` is the grid of these samples, in `folder`; `all` are the stages behind the report; pictures are written into `out`.
///
/// # Errors
/// If a record or the pictures cannot be read, or a picture not be written.
pub(crate) fn own_pictures(
    samples: &Picture,
    folder: &Path,
    all: &[(PathBuf, Record)],
    out: &Path,
) -> anyhow::Result<Option<Own>> {
    let behind = upstream(&[folder.to_owned()])?;
    let training = behind.iter().rfind(|(_, record)| record.kind == train_gan::KIND.name);
    let Some((train_folder, record)) = training else { return Ok(None) };
    if record.metrics["trained_on"].as_str().is_some_and(|set| set != FOLDER) {
        return Ok(None);
    }
    let Some(input) = record.inputs.iter().find(|input| input.key == "images") else { return Ok(None) };
    let images = fs_err::canonicalize(train_folder.join(&input.path))?;
    let Some(pictures) = Record::read(&images)? else { return Ok(None) };
    let training =
        Training { record, folder: train_folder, store: ImageStore::open(&images)?, images, pictures, all };
    let drawn = behind.last().and_then(|(_, record)| record.metrics["n_images"].as_u64());
    let real = training.real(drawn.map_or(N_PICTURES, |n| n as usize), out)?;
    Ok(Some(Own {
        facts: training.facts(),
        beside: vec![real, Picture { title: "Samples".to_owned(), ..samples.clone() }],
        course: training.course(out)?,
        next: training.next(),
    }))
}

impl Training<'_> {
    fn facts(&self) -> Vec<Fact> {
        let of = |key: &str| self.pictures.metrics[key].as_u64().unwrap_or(0);
        let bad = shown(&self.images.join("bad.csv"));
        let removes = self.pictures.kind == remove_duplicates::KIND.name;
        let n_read = if removes { of("n_kept") + of("n_removed") } else { of("n_images") };
        let n_bad = of("n_bad");
        let source = self.source().map(|path| format!(", in {path}")).unwrap_or_default();
        let mut facts = vec![("Picture files", format!("{}{source}", grouped(n_read + n_bad)))];
        facts.push((
            "Could not be read",
            match n_bad {
                0 => "none".to_owned(),
                n => format!("{}; {bad} says why", grouped(n)),
            },
        ));
        let others: u64 = self.pictures.metrics["not_read"]
            .as_object()
            .map_or(0, |kinds| kinds.values().filter_map(Value::as_u64).sum());
        if others > 0 {
            facts.push(("Other files, passed over", format!("{}; {bad} lists them", grouped(others))));
        }
        facts.push((
            "Left out as near-duplicates",
            match removes {
                true => grouped(of("n_removed")),
                false => "not looked for".to_owned(),
            },
        ));
        let (height, width) = (self.store.height(), self.store.width());
        let n = counted(self.store.len() as u64, "picture");
        facts.push(("Trained on", format!("{n} of {width}×{height} pixels")));
        facts.extend(self.time());
        let metrics = &self.record.metrics;
        if let (Some(score), Some(step)) = (metrics["best_score"].as_f64(), metrics["best_step"].as_u64()) {
            let at = format!("{score:.3}, after {} minibatches; the lower, the better", grouped(step));
            facts.push(("Best score", at));
        }
        let fact = |(question, answer): (&str, String)| Fact { question: question.to_owned(), answer };
        facts.into_iter().map(fact).collect()
    }

    /// The folder of pictures, as it was asked for.
    fn source(&self) -> Option<String> {
        let source = &self.pictures.config[&self.pictures.kind]["source"];
        let (_, settings) = source.as_object()?.iter().next()?;
        Some(settings["path"].as_str()?.to_owned())
    }

    /// How long it took.
    fn time(&self) -> Vec<(&'static str, String)> {
        let metrics = &self.record.metrics;
        let trained = metrics["training_seconds"].as_f64().unwrap_or(self.record.seconds);
        let (n_steps, of_epoch) = (metrics["n_steps"].as_u64(), metrics["steps_per_epoch"].as_u64());
        let mut facts = Vec::new();
        if let (Some(n_steps), Some(of_epoch)) = (n_steps, of_epoch.filter(|n| *n > 0)) {
            let passes = (n_steps as f64 / of_epoch as f64).round() as u64;
            let took = duration(trained);
            let passes = counted(passes.max(1), "pass");
            facts.push((
                "Training",
                format!("{took}: {} minibatches, {passes} over the pictures", grouped(n_steps)),
            ));
        }
        // Of a resumed training the record has the last part.
        let seconds = |(_, record): &(PathBuf, Record)| match record.id == self.record.id {
            true => trained.max(record.seconds),
            false => record.seconds,
        };
        facts.push(("All stages together", duration(self.all.iter().map(seconds).sum())));
        facts
    }

    /// Pictures that the network was trained on, in a grid like that of `n` samples.
    fn real(&self, n: usize, out: &Path) -> anyhow::Result<Picture> {
        let store = &self.store;
        let n = n.min(store.len()).min(N_PICTURES);
        let mut pixels = Vec::new();
        store.gather(&batches::shuffled(store.len(), 0, 0)[..n], &mut pixels);
        write_grid(
            &out.join(REAL),
            &pixels,
            [n, store.channels(), store.height(), store.width()],
            N_COLUMNS,
        )?;
        let caption =
            format!("{} that the network was trained on, drawn at random.", counted(n as u64, "picture"));
        Ok(Picture {
            stage: self.pictures.id.clone(),
            title: "Real pictures".to_owned(),
            alt: "A grid of small pictures that the network was trained on".to_owned(),
            caption,
            file: REAL.to_owned(),
            source: out.join(REAL),
        })
    }

    /// Samples of the same z after some of the minibatches, a row a moment; none where there are fewer than two grids.
    fn course(&self, out: &Path) -> anyhow::Result<Option<Picture>> {
        let folder = self.folder.join(files::SAMPLES);
        let mut grids: Vec<(u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let step = name.strip_prefix("step_").and_then(|rest| rest.strip_suffix(".png"));
            grids.extend(step.and_then(|step| step.parse().ok()).map(|step| (step, entry.path())));
        }
        grids.sort_unstable();
        let shape = [self.store.channels(), self.store.height(), self.store.width()];
        let (mut pixels, mut steps) = (Vec::new(), Vec::new());
        for (step, path) in spread(&grids, N_MOMENTS) {
            let grid = decode(&fs_err::read(path)?, DecodeConfig::default())?.with_channels(shape[0])?;
            if let Some(row) = first_row(&grid, shape) {
                pixels.extend(row);
                steps.push(grouped(*step));
            }
        }
        if steps.len() < 2 {
            return Ok(None);
        }
        write_grid(
            &out.join(COURSE),
            &pixels,
            [steps.len() * N_COLUMNS, shape[0], shape[1], shape[2]],
            N_COLUMNS,
        )?;
        Ok(Some(Picture {
            stage: self.record.id.clone(),
            title: "Samples over training".to_owned(),
            caption: format!("Each column is one z; from above after {} minibatches.", steps.join(", ")),
            alt: "Rows of small pictures, samples of the same z while the network was trained".to_owned(),
            file: COURSE.to_owned(),
            source: out.join(COURSE),
        }))
    }

    /// What to do about a training that saw few pictures, collapsed or ended.
    fn train_on(&self, say: &mut dyn FnMut(String, Option<String>)) {
        let metrics = &self.record.metrics;
        let n = self.store.len() as u64;
        if n < FEW {
            say(
                format!(
                    "Add pictures: {} are few, and a generator learns few by heart; some thousands serve better. The stage \
                     memorisation says how near samples are to the pictures trained on.",
                    grouped(n)
                ),
                None,
            );
        }
        if let Some(step) = metrics["collapsed_at"].as_u64() {
            say(
                format!(
                    "Train anew with another seed or a lower learning rate: from minibatch {} on the discriminator was \
                     always right, and the generator learnt no more.",
                    grouped(step)
                ),
                None,
            );
        } else if let Some(n_steps) = metrics["n_steps"].as_u64() {
            let training = &self.record.config[&self.record.kind]["training"];
            let end = if training["max_steps"].is_null() { "epochs" } else { "max_steps" };
            say(
                format!(
                    "Train for longer: raise {end} in the manifest and run it again; the training goes on from \
                     minibatch {}.",
                    grouped(n_steps)
                ),
                None,
            );
        }
    }

    fn next(&self) -> Vec<Advice> {
        let metrics = &self.record.metrics;
        let mut next = Vec::new();
        let mut say = |text: String, command: Option<String>| next.push(Advice { text, command });
        self.train_on(&mut say);
        let model = shown(self.folder);
        if let (Some(best), Some(last)) = (metrics["best_step"].as_u64(), metrics["n_steps"].as_u64())
            && best < last
        {
            let text =
                format!("Look at the generator of minibatch {}, whose score was the best:", grouped(best));
            say(
                text,
                Some(format!("dcgan stage {} --out out/best model={model} weights=best", sample::KIND.name)),
            );
        }
        let text = "Draw more samples, or others with another seed:".to_owned();
        say(
            text,
            Some(format!(
                "dcgan stage {} --out out/samples model={model} n_images=400 seed=1",
                sample::KIND.name
            )),
        );
        let judged = self.all.iter().find(|(_, record)| record.kind == dedup_eval::KIND.name);
        if let Some((folder, _)) = judged {
            let sheet = shown(&folder.join("contact_sheet.html"));
            say(format!("Look at {sheet}, whether what was left out was the same."), None);
        } else if self.pictures.kind == import_images::KIND.name {
            say(
                "Leave near-duplicates out before you train: dcgan init writes a manifest that does."
                    .to_owned(),
                None,
            );
        }
        next
    }
}

/// A path as it is written on a command line: from here where it lies below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// At most `n` of a list, the first and the last among them, about as far from one another.
fn spread<T>(all: &[T], n: usize) -> impl Iterator<Item = &T> {
    let n_taken = all.len().min(n);
    (0..n_taken).map(move |k| &all[k * (all.len() - 1) / (n_taken - 1).max(1)])
}

/// The pictures of a grid's first row, of `shape` = (channels, height, width); none where the grid has other ones.
fn first_row(grid: &Pixels, [channels, height, width]: [usize; 3]) -> Option<Vec<u8>> {
    const GUTTER: usize = dcgan_images::grid::GUTTER;
    let is_like = grid.channels == channels
        && grid.height >= height
        && grid.width == N_COLUMNS * (width + GUTTER) - GUTTER;
    is_like.then(|| {
        let mut pixels = Vec::with_capacity(N_COLUMNS * channels * height * width);
        for column in 0..N_COLUMNS {
            for row in (0..channels).flat_map(|channel| (0..height).map(move |y| channel * grid.height + y)) {
                let start = row * grid.width + column * (width + GUTTER);
                pixels.extend_from_slice(&grid.pixels[start..start + width]);
            }
        }
        pixels
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grids_first_row_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grid.png");
        let shape = [2, 3, 4];
        for channels in [1, 3] {
            let n_values = channels * 12;
            let pixels: Vec<u8> = (0..11 * n_values).map(|k| k as u8).collect();
            write_grid(&path, &pixels, [11, channels, 3, 4], N_COLUMNS).unwrap();
            let grid = decode(&fs_err::read(&path).unwrap(), DecodeConfig::default()).unwrap();
            let row = first_row(&grid, [channels, 3, 4]);
            assert!(row.as_deref() == Some(&pixels[..N_COLUMNS * n_values]), "{channels}");
            assert_eq!(first_row(&grid, shape), None);
        }
    }

    #[test]
    fn moments_are_spread_from_the_first_to_the_last() {
        let taken =
            |n: usize, most: usize| spread(&(0..n).collect::<Vec<_>>(), most).copied().collect::<Vec<_>>();
        assert_eq!(taken(0, 8), [0; 0]);
        assert_eq!(taken(1, 8), [0]);
        assert_eq!(taken(3, 8), [0, 1, 2]);
        assert_eq!(taken(20, 4), [0, 6, 12, 19]);
    }
}
