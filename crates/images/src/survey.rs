//! What is known of a data set before its pictures are read.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use crate::readers::parquet::{self, Opened, Table};
use crate::readers::{Records, lsun, packed, tar_shards};
use crate::reading::POLL;
use crate::walk::Stop;
use crate::{ImagesError, Record, Result, Shard, Source, threads};

/// A data set whose files have been looked at once: how many pictures there are, and, of Parquet, the files' footers, which are not read
/// again.
pub struct Survey<'a> {
    source: &'a Source,
    n_images: Option<u64>,
    class_names: Option<Vec<String>>,
    /// Until the records are asked for.
    opened: Option<Opened>,
}

impl Source {
    /// Looks at the set's files; `observe` is asked all the while whether to go on.
    ///
    /// # Errors
    /// As [`Source::records`]; [`ImagesError::Interrupted`] where `observe` breaks.
    pub fn survey(&self, observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) -> Result<Survey<'_>> {
        let stop = &Stop::default();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let look = move || {
                // Whoever does not wait for it any more was interrupted.
                let _ = sender.send(self.survey_until(stop));
            };
            threads::spawn(scope, "count", look)?;
            loop {
                match receiver.recv_timeout(POLL) {
                    Ok(survey) => return survey,
                    Err(RecvTimeoutError::Timeout) if observe(0, 0).is_break() => stop.set(),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Err(ImagesError::Interrupted),
                }
            }
        })
    }

    fn survey_until(&self, stop: &Stop) -> Result<Survey<'_>> {
        let Self::Parquet { path, split, image, label } = self else {
            let n_images = self.n_images_until(stop)?;
            return Ok(Survey { source: self, n_images, class_names: None, opened: None });
        };
        packed::refuse(self)?;
        let opened = parquet::open(Table { path, split, image, label: label.as_deref() })?;
        let (n_images, class_names) = (Some(opened.n_rows), opened.class_names.clone());
        Ok(Survey { source: self, n_images, class_names, opened: Some(opened) })
    }
}

impl Survey<'_> {
    /// The set.
    pub fn source(&self) -> &Source {
        self.source
    }

    /// The number of images, where it is known without reading them.
    pub fn n_images(&self) -> Option<u64> {
        self.n_images
    }

    /// [`Source::class_names`].
    ///
    /// # Errors
    /// As [`Source::class_names`].
    pub fn class_names(&self) -> Result<Option<Vec<String>>> {
        match self.source {
            Source::Parquet { .. } => Ok(self.class_names.clone()),
            source => source.class_names(),
        }
    }

    /// [`Source::records_until`].
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn records(&mut self, stop: &Stop) -> Result<Records> {
        match self.opened.take() {
            Some(opened) => parquet::records(opened),
            None => self.source.records_until(stop),
        }
    }

    /// The records of a part of the set, and how many they are where that is known: of tars whole archives, else a run of
    /// pictures; of a source that holds the part alone ([`Shard::alone`]) everything.
    ///
    /// # Errors
    /// As [`Source::records`]; [`ImagesError::Layout`] where there are fewer archives, or pictures, than parts.
    pub fn records_of(&mut self, shard: Option<Shard>, stop: &Stop) -> Result<(Records, Option<u64>)> {
        let Some(shard) = shard.filter(|shard| !shard.is_alone()) else {
            return Ok((self.records(stop)?, self.n_images));
        };
        packed::refuse(self.source)?;
        let path = self.source.path();
        let too_few = |what: &str, found: u64| {
            let expected = format!("at least {} {what}, of which each part has some", shard.count());
            ImagesError::layout(path, expected, found.to_string())
        };
        if let Source::Tar { path, label } = self.source {
            let archives = tar_shards::shards(path)?;
            let n = archives.len() as u64;
            if n < shard.count() {
                return Err(too_few("tar archives", n));
            }
            let range = shard.range(n);
            let records = tar_shards::records_of(archives, range.start as usize..range.end as usize, *label)?;
            return Ok((records, None));
        }
        let Some(n) = self.n_images else {
            let expected = "a set that can be divided: tars in a folder, or one whose pictures are counted";
            return Err(ImagesError::layout(path, expected, self.source.to_string()));
        };
        if n < shard.count() {
            return Err(too_few("pictures", n));
        }
        let range = shard.range(n);
        let records = match self.source {
            Source::Lsun { path } => lsun::records_from(path, range.start)?,
            _ => {
                let mut n_skipped = 0;
                // What is wrong with the set is wrong with every part behind it.
                let is_in = move |record: &Result<Record>| {
                    let is_before = record.is_ok() && n_skipped < range.start;
                    n_skipped += u64::from(is_before);
                    !is_before
                };
                Box::new(self.records(stop)?.filter(is_in))
            }
        };
        let n = range.end - range.start;
        // The last part goes on to the end, where some formats tell whether it is the end.
        let records = if shard.is_last() { records } else { Box::new(records.take(n as usize)) };
        Ok((records, Some(n)))
    }
}
