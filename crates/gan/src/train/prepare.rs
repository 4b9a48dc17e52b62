//! Minibatches of real pictures, prepared on another thread.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use candle_core::Tensor;
use dcgan_files::threads;
use dcgan_images::{ImageStore, batches};
use dcgan_nn::device::Device;
use dcgan_nn::labels::one_hot;
use dcgan_nn::pixels::to_activations_of;

use super::config::TrainSettings;
use crate::Result;

/// Minibatches that wait for the training.
const READY: usize = 2;
/// Minibatches whose pages the system is asked for before they are read.
const ASKED_FOR: usize = 4;
/// Bytes of pictures read before their pages are given back: the system keeps them as long as it has room, the process does
/// not hold them.
const HELD: usize = 256 << 20;

/// What a thread has to prepare.
#[derive(Debug, Clone)]
pub(super) struct Work<'a> {
    pub(super) store: &'a ImageStore,
    /// Of every picture, for a conditional network.
    pub(super) labels: Option<&'a [u32]>,
    pub(super) settings: &'a TrainSettings,
    /// Which of each minibatch.
    pub(super) rows: Range<usize>,
    pub(super) steps_per_epoch: u64,
    /// Where the pictures go.
    pub(super) device: &'a Device,
    /// The minibatches of the training.
    pub(super) steps: Range<u64>,
}

/// What a minibatch takes of the data.
#[derive(Debug, Clone, Default)]
pub struct Minibatch {
    /// Real pictures (n, h, w, c) in the generator's range, where D is updated.
    pub pictures: Option<Tensor>,
    /// Their labels (n, classes), one-hot, for a conditional network. Generated pictures have the same ones.
    pub labels: Option<Tensor>,
}

/// Starts the thread. What it sends are the minibatches that update D, or all those of a conditional network, in their order. It
/// ends with the last one, or when the receiver is dropped.
///
/// # Errors
/// Those of [`threads::spawn`].
pub(super) fn start<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: Work<'scope>,
) -> Result<Receiver<Result<Minibatch>>> {
    let (sender, receiver) = sync_channel(READY);
    threads::spawn(scope, "minibatches", move || prepare(&work, &sender))?;
    Ok(receiver)
}

/// What gives the minibatches that the thread sends.
pub(super) fn next_of(batches: &Receiver<Result<Minibatch>>) -> impl FnMut() -> Result<Minibatch> {
    || match batches.recv() {
        Ok(batch) => batch,
        Err(_) => Err(candle_core::Error::Msg("the thread that prepares pictures ended".into()).into()),
    }
}

fn prepare(work: &Work<'_>, sender: &SyncSender<Result<Minibatch>>) {
    let Work { store, labels, settings, rows, steps_per_epoch, device, steps } = work;
    store.expect_any_order();
    let batch_size = settings.batch_size;
    let shape = [rows.len(), store.channels(), store.height(), store.width()];
    let config = settings.architecture.discriminator();
    let mut epoch = (u64::MAX, Vec::new());
    let mut ahead = VecDeque::new();
    let (mut pixels, mut n_bytes) = (Vec::new(), 0);
    let takes_pictures = |step: u64| settings.schedule.updates_discriminator(step);
    let mut steps = steps.clone().filter(|&step| labels.is_some() || takes_pictures(step));
    loop {
        while ahead.len() < ASKED_FOR
            && let Some(step) = steps.next()
        {
            if epoch.0 != step / steps_per_epoch {
                epoch.0 = step / steps_per_epoch;
                epoch.1 = batches::shuffled(store.len(), settings.seed, epoch.0);
            }
            let first = (step % steps_per_epoch) as usize * batch_size;
            let indices = epoch.1[first..first + batch_size][rows.clone()].to_vec();
            if takes_pictures(step) {
                store.will_need(&indices);
            }
            ahead.push_back((step, indices));
        }
        let Some((step, indices)) = ahead.pop_front() else { return };
        let mut batch = || {
            let labels = labels.map(|labels| {
                let labels: Vec<u32> = indices.iter().map(|&idx| labels[idx as usize]).collect();
                one_hot(&labels, config.classes, device)
            });
            let mut batch = Minibatch { pictures: None, labels: labels.transpose()? };
            if takes_pictures(step) {
                store.gather(&indices, &mut pixels);
                let pictures = to_activations_of(config.output.activation(), &pixels, shape, device)?;
                batch.pictures = Some(pictures);
                n_bytes += pixels.len();
            }
            Ok(batch)
        };
        let batch = batch();
        if n_bytes > HELD {
            store.give_pages_back();
            n_bytes = 0;
        }
        if sender.send(batch).is_err() {
            return;
        }
    }
}
