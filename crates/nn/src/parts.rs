//! One training on several devices, a process for each: every part has the same weights and takes its rows of each minibatch, and
//! gradients are averaged before each update.
//!
//! The first part leads: it tells the others what to do, and its sums go by the parts' order, so that they do not depend on who
//! is ready first. What is averaged goes through the processes' pipes, whatever the devices, or between GPUs by NCCL.

use std::{
    fmt,
    io::{Read, Write},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use candle_core::{Device, Tensor};

#[cfg(feature = "cuda")]
use crate::cuda::nccl;
use crate::{NnError, Result, batch_norm::Statistics, device, kernels::Sum};

/// The two ends of a pipe to another part.
pub struct Link {
    /// What it says.
    pub from: Box<dyn Read + Send>,
    /// What it is told.
    pub to: Box<dyn Write + Send>,
}

/// A part of a training.
pub struct Part {
    number: usize,
    count: usize,
    /// The first part's to all others, in their order; another part's to the first.
    links: Mutex<Vec<Link>>,
    /// Where the parts are on GPUs and all have NCCL.
    #[cfg(feature = "cuda")]
    gpus: std::sync::OnceLock<nccl::Gpus>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {}", self.number, self.count)
    }
}

impl Part {
    /// The first of a training, which leads the others.
    pub fn first(others: Vec<Link>) -> Self {
        Self::new(0, others.len() + 1, others)
    }

    /// Part `number`, from 1, of `count`.
    pub fn other(number: usize, count: usize, first: Link) -> Self {
        Self::new(number, count, vec![first])
    }

    fn new(number: usize, count: usize, links: Vec<Link>) -> Self {
        Self {
            number,
            count,
            links: Mutex::new(links),
            #[cfg(feature = "cuda")]
            gpus: std::sync::OnceLock::new(),
        }
    }

    /// Has tensors on GPUs averaged by NCCL from now on, where all parts are on GPUs and have it; all call this at the same time. What is missing
    /// here is returned.
    ///
    /// # Errors
    /// [`NnError::Part`] where a part has ended, and NCCL's.
    #[cfg(feature = "cuda")]
    pub fn join_gpus(&self, device: &Device) -> Result<Option<String>> {
        if !device.is_cuda() {
            return Ok(None);
        }
        let missing = nccl::load().err();
        let mut share_with_it = [if missing.is_none() { 1.0 } else { 0.0 }];
        self.mean_of(&mut share_with_it)?;
        if share_with_it != [1.0] {
            return Ok(Some(missing.unwrap_or_else(|| "not found for another part: NCCL".into())));
        }
        let id = match self.number {
            0 => {
                let id = nccl::Id::new()?;
                self.tell(&id.bytes())?;
                id
            }
            _ => nccl::Id::of_bytes(&self.hear()?)?,
        };
        // Set once: nobody calls this twice.
        let _ = self.gpus.set(nccl::Gpus::join(device, id, self.number, self.count)?);
        Ok(None)
    }

    /// There is nothing to join.
    ///
    /// # Errors
    /// None.
    #[cfg(not(feature = "cuda"))]
    pub fn join_gpus(&self, _: &Device) -> Result<Option<String>> {
        Ok(None)
    }

    /// Ends what waits for a part that has died, from another thread: it fails then. What waits for a pipe fails by itself.
    pub fn abort(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpus) = self.gpus.get() {
            gpus.abort();
        }
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// This part's rows of a minibatch of `n`, which is a multiple of the number of parts.
    pub fn rows(&self, n: usize) -> Range<usize> {
        let own = n / self.count;
        self.number * own..(self.number + 1) * own
    }

    /// Says something to all others.
    ///
    /// # Errors
    /// [`NnError::Part`] where one has ended.
    pub fn tell(&self, message: &[u8]) -> Result<()> {
        self.each(|link| send(link, message))
    }

    /// Waits for what the first part says.
    ///
    /// # Errors
    /// [`NnError::Part`] where it has ended.
    pub fn hear(&self) -> Result<Vec<u8>> {
        let mut heard = Vec::new();
        self.each(|link| {
            heard = receive(link)?;
            Ok(())
        })?;
        Ok(heard)
    }

    /// Waits until all parts are here.
    ///
    /// # Errors
    /// As [`Self::mean`].
    pub fn meet(&self) -> Result<()> {
        self.mean_of(&mut [])
    }

    /// Replaces f32 tensors, which are contiguous, by their means over the parts: the sum in the parts' order, divided by their number. Waits for a
    /// GPU, unless [`Self::join_gpus`] found NCCL, whose order is its own.
    ///
    /// # Errors
    /// [`NnError::Part`] where a part has ended, or has other tensors.
    pub fn mean(&self, tensors: &[&Tensor]) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let Some(gpus) = self.gpus.get() {
            return Ok(gpus.mean(tensors)?);
        }
        let mut values = Vec::new();
        for tensor in tensors {
            values.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
        }
        self.reduce(&mut values)?;
        let mut rest = &values[..];
        for tensor in tensors {
            let (own, behind) = rest.split_at(tensor.elem_count());
            rest = behind;
            let mean = device::tensor(own.to_vec(), tensor.dims(), tensor.device())?;
            device::kernels(tensor.device())?.accumulate(Sum { tensor, adds: false }, &mean)?;
        }
        Ok(())
    }

    /// The same of numbers.
    ///
    /// # Errors
    /// As [`Self::mean`].
    pub fn mean_of(&self, numbers: &mut [f64]) -> Result<()> {
        self.reduce(numbers)
    }

    /// The statistics of all parts' rows, from those of each one's.
    pub(crate) fn statistics(&self, own: &Statistics) -> Result<Statistics> {
        let squares = own.mean.iter().zip(&own.variance).map(|(mean, variance)| variance + mean * mean);
        let mut mean: Vec<f64> = own.mean.iter().copied().chain(squares).collect();
        self.mean_of(&mut mean)?;
        let squares = mean.split_off(own.mean.len());
        let variance =
            mean.iter().zip(squares).map(|(mean, square)| (square - mean * mean).max(0.0)).collect();
        Ok(Statistics { mean, variance })
    }

    fn reduce<N: Number>(&self, values: &mut [N]) -> Result<()> {
        let bytes = |values: &[N]| {
            let mut bytes = Vec::with_capacity(size_of_val(values));
            values.iter().for_each(|value| value.write(&mut bytes));
            bytes
        };
        let read = |link: &mut Link, values: &mut [N], take: fn(&mut N, N)| -> std::io::Result<()> {
            let theirs = receive(link)?;
            if theirs.len() != size_of_val(values) {
                let found = format!("expected {} bytes of it, found {}", size_of_val(values), theirs.len());
                return Err(std::io::Error::other(found));
            }
            values
                .iter_mut()
                .zip(theirs.chunks_exact(size_of::<N>()))
                .for_each(|(own, at)| take(own, N::read(at)));
            Ok(())
        };
        if self.number > 0 {
            return self.each(|link| {
                send(link, &bytes(values))?;
                read(link, values, |own, mean| *own = mean)
            });
        }
        self.each(|link| read(link, values, |own, theirs| *own = own.plus(theirs)))?;
        values.iter_mut().for_each(|value| *value = value.over(self.count));
        self.tell(&bytes(values))
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with every link; what fails is an error of the part at its other end.
    fn each(&self, mut f: impl FnMut(&mut Link) -> std::io::Result<()>) -> Result<()> {
        for (i, link) in self.links().iter_mut().enumerate() {
            let part = if self.number == 0 { i + 1 } else { 0 };
            f(link).map_err(|e| {
                let has_ended =
                    matches!(e.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe);
                NnError::Part { part, reason: if has_ended { "it has ended".into() } else { e.to_string() } }
            })?;
        }
        Ok(())
    }
}

fn send(link: &mut Link, message: &[u8]) -> std::io::Result<()> {
    link.to.write_all(&(message.len() as u64).to_le_bytes())?;
    link.to.write_all(message)?;
    link.to.flush()
}

fn receive(link: &mut Link) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 8];
    link.from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    // As much as there is: a length that is wrong takes no memory.
    let mut message = Vec::new();
    (&mut link.from).take(length).read_to_end(&mut message)?;
    match message.len() as u64 == length {
        true => Ok(message),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// f32 or f64.
trait Number: Copy {
    fn write(self, to: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Self;
    fn plus(self, other: Self) -> Self;
    fn over(self, n: usize) -> Self;
}

impl Number for f32 {
    fn write(self, to: &mut Vec<u8>) {
        to.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap_or_default())
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn over(self, n: usize) -> Self {
        self / n as Self
    }
}

impl Number for f64 {
    fn write(self, to: &mut Vec<u8>) {
        to.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap_or_default())
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn over(self, n: usize) -> Self {
        self / n as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::flat;

    fn parts(n: usize) -> Vec<Part> {
        let (mut firsts, mut others) = (Vec::new(), Vec::new());
        for number in 1..n {
            let ((a, b), (c, d)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
            firsts.push(Link { from: Box::new(a), to: Box::new(d) });
            others.push(Part::other(number, n, Link { from: Box::new(c), to: Box::new(b) }));
        }
        others.insert(0, Part::first(firsts));
        others
    }

    #[test]
    fn sums_go_by_the_parts_order_and_all_get_the_mean() {
        // (1 + 1) + 2^24 is 2^24 + 2 in f32, (2^24 + 1) + 1 is 2^24.
        let values = [[1.0f32, -3.0, 0.0], [1.0, 2.0, 0.5], [16_777_216.0, 2.0, 0.25]];
        let expected = [16_777_218.0f32 / 3.0, 1.0 / 3.0, 0.25];
        let done: Vec<_> = std::thread::scope(|scope| {
            let run = |(part, values): (Part, [f32; 3])| {
                scope.spawn(move || {
                    let tensors = [&values[..1], &values[1..]].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
                    part.mean(&[&tensors[0], &tensors[1]]).unwrap();
                    let mut numbers = [f64::from(values[0])];
                    part.mean_of(&mut numbers).unwrap();
                    part.meet().unwrap();
                    (tensors.iter().flat_map(flat).collect::<Vec<f32>>(), numbers, part.rows(12))
                })
            };
            let threads: Vec<_> = parts(3).into_iter().zip(values).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (number, (means, numbers, rows)) in done.into_iter().enumerate() {
            assert_eq!((means, numbers), (expected.to_vec(), [16_777_218.0 / 3.0]));
            assert_eq!(rows, 4 * number..4 * number + 4);
        }
    }

    #[test]
    fn a_part_that_ended_or_has_other_tensors_is_named() {
        let mut all = parts(3);
        let last = all.pop().unwrap();
        drop(all.pop());
        assert_eq!(all[0].meet().unwrap_err().to_string(), "part 1 of the training: it has ended");
        drop(all);
        assert_eq!(last.hear().unwrap_err().to_string(), "part 0 of the training: it has ended");

        let mut all = parts(2);
        let other = all.pop().unwrap();
        let thread = std::thread::spawn(move || other.mean_of(&mut [1.0, 2.0]).is_err());
        let told = all[0].mean_of(&mut [1.0]).unwrap_err().to_string();
        assert_eq!(told, "part 1 of the training: expected 8 bytes of it, found 16");
        drop(all);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn what_the_first_says_all_hear() {
        let all = parts(3);
        all[0].tell(b"go").unwrap();
        all[0].tell(b"").unwrap();
        for part in &all[1..] {
            assert_eq!((part.hear().unwrap(), part.hear().unwrap()), (b"go".to_vec(), vec![]));
        }
    }
}
