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
use crate::{BadWriter, ImageStore, ImagesError, PassedOver, Record, Result, threads};

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
            Self::Tar { path, label } => tar_shards::records(path, *label),
            Self::Parquet { path, split, image, label } => {
                parquet::records(parquet::open(Table { path, split, image, label: label.as_deref() })?)
            }
            Self::Store { path } => store::records(path),
        }
    }

    /// The number of images, where it is known without reading them: not for tars.
    ///
    /// # Errors
    /// As [`Source::records`].
    pub fn n_images(&self) -> Result<Option<u64>> {
        self.n_images_until(&Stop::default())
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
                parquet::open(Table { path, split, image, label: label.as_deref() })?.class_names
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
