//! The network's forward pass on a batch of resized pictures.

use dcgan_nn::inference::{Maps, average_pool, max_pool, mean};

use super::graph::{Branch, Graph, Module};
use super::weights::Ready;
use crate::error::Result;

/// Maps that are made and overwritten again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    maps: [Maps; 2],
    inner: [Maps; 2],
}

impl Graph<Ready> {
    /// Pictures (n, 299, 299, 3) → n rows of 2048 features.
    pub(crate) fn features(&self, pictures: &Maps, scratch: &mut Scratch) -> Result<Vec<f32>> {
        let Scratch { maps: [current, next], inner } = scratch;
        for (i, group) in self.stem.iter().enumerate() {
            let source = if i == 0 { pictures } else { &*current };
            let last = chain(group, source, inner)?;
            pooled(last, next, last.channels(), 0)?;
            std::mem::swap(current, next);
        }
        for module in &self.modules {
            module.run(current, inner, next)?;
            std::mem::swap(current, next);
        }
        Ok(mean(current))
    }
}

/// Convolutions one after another; the last one's maps are one of `inner`.
fn chain<'a>(convs: &[Ready], source: &Maps, inner: &'a mut [Maps; 2]) -> Result<&'a Maps> {
    for (i, conv) in convs.iter().enumerate() {
        let [target, before] = inner;
        let source = if i == 0 { source } else { &*before };
        let [_, o] = conv.filters.channels();
        target.reshape(source.n(), conv.filters.target_size(source.size())?, o);
        conv.filters.run(source, target, 0)?;
        inner.swap(0, 1);
    }
    Ok(&inner[1])
}

/// A max pool of stride 2, to maps of `channels`, from `first` on.
fn pooled(source: &Maps, target: &mut Maps, channels: usize, first: usize) -> Result<()> {
    target.reshape(source.n(), source.size().map(halved), channels);
    Ok(max_pool(source, 2, 0, target, first)?)
}

fn halved(size: usize) -> usize {
    (size.max(3) - 3) / 2 + 1
}

impl Module<Ready> {
    /// Channels of its maps, made of `from` channels.
    fn channels(&self, from: usize) -> usize {
        let of = |conv: &Ready| conv.filters.channels()[1];
        let branch = |branch: &Branch<Ready>| match branch {
            Branch::Chain { last, .. } => last.iter().map(of).sum(),
            Branch::Average(conv) | Branch::Max(conv) => of(conv),
            Branch::Halving => from,
        };
        self.branches.iter().map(branch).sum()
    }

    pub(crate) fn run(&self, source: &Maps, inner: &mut [Maps; 2], target: &mut Maps) -> Result<()> {
        let is_halving = self.branches.iter().any(|branch| matches!(branch, Branch::Halving));
        let size = if is_halving { source.size().map(halved) } else { source.size() };
        target.reshape(source.n(), size, self.channels(source.channels()));
        let mut first = 0;
        for branch in &self.branches {
            first += branch.run(source, inner, target, first)?;
        }
        Ok(())
    }
}

impl Branch<Ready> {
    /// Writes its channels from `at` on, and says how many.
    fn run(&self, source: &Maps, inner: &mut [Maps; 2], target: &mut Maps, at: usize) -> Result<usize> {
        match self {
            Self::Chain { first, last } => {
                let source = if first.is_empty() { source } else { chain(first, source, inner)? };
                let mut n = 0;
                for conv in last {
                    conv.filters.run(source, target, at + n)?;
                    n += conv.filters.channels()[1];
                }
                Ok(n)
            }
            // The mean of a linear map is the map of the mean, and has fewer channels here.
            Self::Average(conv) => {
                let maps = chain(std::slice::from_ref(conv), source, inner)?;
                average_pool(maps, &conv.bias, target, at)?;
                Ok(maps.channels())
            }
            Self::Max(conv) => {
                let [maps, _] = inner;
                maps.reshape(source.n(), source.size(), source.channels());
                max_pool(source, 1, 1, maps, 0)?;
                conv.filters.run(maps, target, at)?;
                Ok(conv.filters.channels()[1])
            }
            Self::Halving => {
                max_pool(source, 2, 0, target, at)?;
                Ok(source.channels())
            }
        }
    }
}
