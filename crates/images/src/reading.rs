//! Reading a [`Source`]: each kind by its reader.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::readers::parquet::Table;
use crate::readers::{
    Records, cifar10, folder, imagenet, lsun, mnist, packed, parquet, passed_over, store, svhn, tar_shards,
};
use crate::source::Source;
use crate::walk::{LeftOut, Stop};
use crate::{BadWriter, ImageStore, ImagesError, PassedOver, Record, Result, Shard, threads};

/// Records that are read before they are asked for, at most.
const N_AHEAD: usize = 64;
/// How long an observer waits, at most, to be asked whether to stop.
pub(crate) const POLL: Duration = Duration::from_millis(100);

impl Source {
    /// The data set's images, one after the other, still encoded, in an order that depends on the data set alone.
    ///
    /// # Errors
    /// Here or from the iterator: [`crate::ImagesError::Io`], and [`crate::ImagesError::Malformed`],
    /// [`crate::ImagesError::Layout`] or [`crate::ImagesError::Lmdb`] where files are not what the format promises: they break
    /// off, have another magic number, or hold a label out of range. After an error the iterator ends.
    pub fn records(&self) -> Result<Records> {
        self.records_until(&Stop::default())
    }

    /// [`Source::records`] that end with [`ImagesError::Interrupted`] soon after `stop` is set, also while a folder is searched.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn records_until(&self, stop: &Stop) -> Result<Records> {
        packed::refuse(self)?;
        match self {
            Self::Cifar10 { path, split } => cifar10::records(path, *split),
            Self::Svhn { path } => svhn::records(path),
            Self::Mnist { images, labels } => mnist::records(images, labels.as_deref()),
            Self::Folder { path, classes: false } => folder::records(path, stop),
            Self::Folder { path, classes: true } => {
                folder::records_of_classes(path, &folder::classes(path)?, stop)
            }
            Self::ImageNetTar { path } => imagenet::tar_records(path),
            Self::ImageNetFolder { path } => {
                folder::records_of_classes(path, &imagenet::folder_classes(path)?, stop)
            }
            Self::Lsun { path } => lsun::records(path),
            Self::Tar { path } => tar_shards::records(path),
            Self::Parquet { path, split, image, label } => {
                parquet::records(Table { path, split, image, label: label.as_deref() })
            }
            Self::Store { path } => store::records(path),
        }
    }

    /// The records of a part of the set, and how many they are where that is known: of tars whole archives, else a run of pictures.
    /// `n_images` is [`Source::n_images`].
    ///
    /// # Errors
    /// As [`Source::records`]; [`ImagesError::Layout`] where there are fewer archives, or pictures, than parts.
    pub fn records_of(
        &self,
        shard: Option<Shard>,
        n_images: Option<u64>,
        stop: &Stop,
    ) -> Result<(Records, Option<u64>)> {
        let Some(shard) = shard else { return Ok((self.records_until(stop)?, n_images)) };
        packed::refuse(self)?;
        let too_few = |what: &str, found: u64| {
            let expected = format!("at least {} {what}, of which each part has some", shard.count());
            ImagesError::layout(self.path(), expected, found.to_string())
        };
        if let Self::Tar { path } = self {
            let archives = tar_shards::shards(path)?;
            let n = archives.len() as u64;
            if n < shard.count() {
                return Err(too_few("tar archives", n));
            }
            let range = shard.range(n);
            return Ok((
                tar_shards::records_of(archives[range.start as usize..range.end as usize].to_vec())?,
                None,
            ));
        }
        let Some(n) = n_images else {
            let expected = "a set that can be divided: tars in a folder, or one whose pictures are counted";
            return Err(ImagesError::layout(self.path(), expected, self.to_string()));
        };
        if n < shard.count() {
            return Err(too_few("pictures", n));
        }
        let range = shard.range(n);
        let records = match self {
            Self::Lsun { path } => lsun::records_from(path, range.start)?,
            _ => {
                let mut n_skipped = 0;
                // What is wrong with the set is wrong with every part behind it.
                let is_in = move |record: &Result<Record>| {
                    let is_before = record.is_ok() && n_skipped < range.start;
                    n_skipped += u64::from(is_before);
                    !is_before
                };
                Box::new(self.records_until(stop)?.filter(is_in))
            }
        };
        let n = range.end - range.start;
        // The last part goes on to the end, where some formats tell whether it is the end.
        let records = if shard.is_last() { records } else { Box::new(records.take(n as usize)) };
        Ok((records, Some(n)))
    }

    /// The number of images, where it is known without reading them: not for tars.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn n_images(&self) -> Result<Option<u64>> {
        self.n_images_until(&Stop::default())
    }

    /// [`Source::n_images`], with `observe` asked all the while whether to go on.
    ///
    /// # Errors
    /// As [`Source::records`]; [`ImagesError::Interrupted`] where `observe` breaks.
    pub fn n_images_observed(
        &self,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<u64>> {
        let stop = &Stop::default();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            let count = move || {
                // Whoever does not wait for it any more was interrupted.
                let _ = sender.send(self.n_images_until(stop));
            };
            threads::spawn(scope, "count", count)?;
            loop {
                match receiver.recv_timeout(POLL) {
                    Ok(n_images) => return n_images,
                    Err(RecvTimeoutError::Timeout) if observe(0, 0).is_break() => stop.set(),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Err(ImagesError::Interrupted),
                }
            }
        })
    }

    /// Gives each record to `take`, which breaks where it has enough; `observe` receives how many were given and is asked all the while
    /// whether to go on. Reading is a little ahead, on a thread of its own.
    ///
    /// # Errors
    /// As [`Source::records`], and those of `take`; [`ImagesError::Interrupted`] where `observe` breaks.
    pub fn for_each_record<E: From<ImagesError>>(
        &self,
        observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
        take: &mut dyn FnMut(Record) -> std::result::Result<ControlFlow<()>, E>,
    ) -> std::result::Result<(), E> {
        let stop = Stop::default();
        let mut records = self.records_until(&stop)?;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(N_AHEAD);
            // What it cannot send, nobody wants.
            let read = move || {
                let _ = records.try_for_each(|record| sender.send(record));
            };
            threads::spawn(scope, "read", read).map_err(ImagesError::from)?;
            let mut n_given = 0;
            let done = loop {
                match receiver.recv_timeout(POLL) {
                    Ok(Ok(record)) => match take(record) {
                        Ok(ControlFlow::Continue(())) => n_given += 1,
                        Ok(ControlFlow::Break(())) => break Ok(()),
                        Err(error) => break Err(error),
                    },
                    Ok(Err(error)) => break Err(error.into()),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break Ok(()),
                }
                if observe(n_given).is_break() {
                    break Err(ImagesError::Interrupted.into());
                }
            };
            stop.set();
            drop(receiver);
            done
        })
    }

    /// [`Source::n_images`], which ends with [`ImagesError::Interrupted`] soon after `stop` is set.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn n_images_until(&self, stop: &Stop) -> Result<Option<u64>> {
        packed::refuse(self)?;
        Ok(match self {
            Self::Cifar10 { path, split } => Some(cifar10::n_images(path, *split)?),
            Self::Svhn { path } => Some(svhn::n_images(path)?),
            Self::Mnist { images, .. } => Some(mnist::n_images(images)?),
            Self::Folder { path, .. } | Self::ImageNetFolder { path } => Some(folder::n_images(path, stop)?),
            Self::ImageNetTar { .. } | Self::Tar { .. } => None,
            Self::Lsun { path } => Some(lsun::n_images(path)?),
            Self::Parquet { path, split, image, label } => {
                Some(parquet::n_images(Table { path, split, image, label: label.as_deref() })?)
            }
            Self::Store { path } => Some(store::n_images(path)?),
        })
    }

    /// Refuses an archive that lies where the data set's own files are wanted.
    ///
    /// # Errors
    /// [`ImagesError::Layout`] with the command that unpacks it.
    pub fn refuse_archive(&self) -> Result<()> {
        packed::refuse(self)
    }

    /// How many files of each ending are not read, because they are not named as pictures.
    ///
    /// # Errors
    /// Where a folder or a tar cannot be read.
    pub fn passed_over(&self) -> Result<PassedOver> {
        passed_over::visit(self, &mut |_, _| Ok(()))
    }

    /// As [`Source::passed_over`]; each of them becomes a line of `bad_csv`, a file that has columns `key` and `reason`.
    ///
    /// # Errors
    /// As [`Source::passed_over`], and where the file cannot be written.
    pub fn list_passed_over(&self, bad_csv: &Path) -> Result<PassedOver> {
        let mut writer = BadWriter::append_to(bad_csv)?;
        let counts = passed_over::visit(self, &mut |key, why| writer.append(key, why))?;
        writer.finish()?;
        Ok(counts)
    }

    /// The names of the classes in the order of their labels, where the data set has classes and names them.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn class_names(&self) -> Result<Option<Vec<String>>> {
        Ok(match self {
            Self::Cifar10 { path, .. } => cifar10::class_names(path)?,
            Self::Svhn { .. } => Some(svhn::class_names()),
            Self::Mnist { labels, .. } => labels.is_some().then(mnist::class_names),
            Self::Folder { path, classes: true } => Some(folder::names(folder::classes(path)?)),
            Self::Folder { classes: false, .. } | Self::Lsun { .. } | Self::Tar { .. } => None,
            Self::Parquet { path, split, image, label } => {
                parquet::class_names(Table { path, split, image, label: label.as_deref() })?
            }
            Self::Store { path } => ImageStore::open(path)?.meta().class_names.clone(),
            Self::ImageNetTar { path } => Some(imagenet::tar_classes(path)?),
            Self::ImageNetFolder { path } => Some(folder::names(imagenet::folder_classes(path)?)),
        })
    }

    /// A sign that the data set is not whole where its format has no sign of it, in words: of CIFAR-10, files that have
    /// fewer pictures than their like.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn sign_of_loss(&self) -> Result<Option<String>> {
        match self {
            Self::Cifar10 { path, split } => cifar10::sign_of_loss(path, *split),
            _ => Ok(None),
        }
    }

    /// Of a folder of pictures: the folders in it that are not read and that somebody may have expected to be.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn left_out(&self, stop: &Stop) -> Result<Vec<LeftOut>> {
        match self {
            Self::Folder { path, .. } | Self::ImageNetFolder { path } => folder::left_out(path, stop),
            _ => Ok(Vec::new()),
        }
    }
}
