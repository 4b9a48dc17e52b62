//! Minibatches of real pictures, prepared on another thread.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use candle_core::{Device, Tensor};
use dcgan_files::threads;
use dcgan_images::{ImageStore, batches};
use dcgan_nn::pixels::to_activations;

use super::config::TrainSettings;
use crate::{IMAGE_CHANNELS, Result};

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
    pub(super) settings: &'a TrainSettings,
    pub(super) steps_per_epoch: u64,
    /// Where the pictures go.
    pub(super) device: &'a Device,
    /// The minibatches of the training.
    pub(super) steps: std::ops::Range<u64>,
}

/// Starts the thread. What it sends are the pictures (n, h, w, 3) in [-1, 1], of the minibatches that update D,
/// in their order. It ends with the last one, or when the receiver is dropped.
///
/// # Errors
/// Those of [`threads::spawn`].
pub(super) fn start<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: Work<'scope>,
) -> Result<Receiver<Result<Tensor>>> {
    let (sender, receiver) = sync_channel(READY);
    threads::spawn(scope, "minibatches", move || prepare(&work, &sender))?;
    Ok(receiver)
}

fn prepare(work: &Work<'_>, sender: &SyncSender<Result<Tensor>>) {
    let Work { store, settings, steps_per_epoch, device, steps } = work;
    store.expect_any_order();
    let batch_size = settings.batch_size;
    let shape = [batch_size, IMAGE_CHANNELS, store.height(), store.width()];
    let mut epoch = (u64::MAX, Vec::new());
    let mut ahead = VecDeque::new();
    let (mut pixels, mut n_bytes) = (Vec::new(), 0);
    let mut steps = steps.clone().filter(|step| settings.schedule.updates_discriminator(*step));
    loop {
        while ahead.len() < ASKED_FOR
            && let Some(step) = steps.next()
        {
            if epoch.0 != step / steps_per_epoch {
                epoch.0 = step / steps_per_epoch;
                epoch.1 = batches::shuffled(store.len(), settings.seed, epoch.0);
            }
            let first = (step % steps_per_epoch) as usize * batch_size;
            let indices = epoch.1[first..first + batch_size].to_vec();
            store.will_need(&indices);
            ahead.push_back(indices);
        }
        let Some(indices) = ahead.pop_front() else { return };
        store.gather(&indices, &mut pixels);
        n_bytes += pixels.len();
        if n_bytes > HELD {
            store.give_pages_back();
            n_bytes = 0;
        }
        let batch = to_activations(&pixels, shape, device).map_err(Into::into);
        if sender.send(batch).is_err() {
            return;
        }
    }
}
