//! The released weights, with batch norm folded into the convolutions.

use std::collections::BTreeSet;
use std::path::Path;

use dcgan_nn::inference::Filters;
use dcgan_nn::state_dict::StateDict;

use super::graph::{CLASSES, Conv, FEATURES, Finish, Graph, graph};
use crate::error::{MetricsError, Result};

/// Batch norm's, in the graph of 2015 and in every port of it.
const EPSILON: f64 = 0.001;
/// What files of weights hold besides and nobody reads: the auxiliary classifier, and counters of training steps.
const IGNORED: [&str; 2] = ["AuxLogits.", ".num_batches_tracked"];
/// As many names are given in an error.
const NAMED: usize = 5;

/// A convolution that can be run.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) filters: Filters,
    /// Of those whose bias and ReLU follow later.
    pub(crate) bias: Vec<f32>,
}

/// The classifier behind the features.
#[derive(Debug)]
pub(crate) struct Classifier {
    pub(crate) filters: Filters,
    pub(crate) bias: Vec<f32>,
}

/// Reads a file of weights.
pub(crate) fn read(path: &Path) -> Result<(Graph<Ready>, Classifier)> {
    let mut file = StateDict::open(path)?;
    check(path, &file)?;
    let graph = graph().try_map(&mut |conv, finish| ready(path, &mut file, &conv, finish))?;
    let weight = file.read("fc.weight", &[CLASSES, FEATURES])?;
    let bias = file.read("fc.bias", &[CLASSES])?;
    let filters = Filters::new(&weight, [CLASSES, FEATURES, 1, 1], None, 1, [0, 0])?;
    Ok((graph, Classifier { filters, bias }))
}

/// Every tensor of the network, and its shape.
pub(crate) fn expected() -> Result<Vec<(String, Vec<usize>)>> {
    let mut all =
        vec![("fc.weight".to_owned(), vec![CLASSES, FEATURES]), ("fc.bias".to_owned(), vec![CLASSES])];
    graph().try_map::<(), MetricsError>(&mut |conv, _| {
        all.push((format!("{}.conv.weight", conv.name), conv.shape.to_vec()));
        let norm = NORM.map(|part| (format!("{}.bn.{part}", conv.name), vec![conv.shape[0]]));
        all.extend(norm);
        Ok(())
    })?;
    Ok(all)
}

const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// Fails unless the file has the network's tensors and no others.
fn check(path: &Path, file: &StateDict) -> Result<()> {
    let expected = expected()?;
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let found: BTreeSet<&str> =
        file.names().filter(|name| !IGNORED.iter().any(|part| name.contains(part))).collect();
    let n = known.len();
    let missing: Vec<&str> = known.difference(&found).copied().collect();
    if !missing.is_empty() {
        return Err(wrong(
            path,
            format!("the {n} tensors of Inception-v3 for FID, among them {}", named(&missing)),
            format!("{} of them", n - missing.len()),
        ));
    }
    let surplus: Vec<&str> = found.difference(&known).copied().collect();
    if !surplus.is_empty() {
        return Err(wrong(
            path,
            format!("the {n} tensors of Inception-v3 for FID alone"),
            format!("also {}", named(&surplus)),
        ));
    }
    Ok(expected.iter().try_for_each(|(name, shape)| file.check(name, shape))?)
}

fn wrong(path: &Path, expected: String, found: String) -> MetricsError {
    MetricsError::File { path: path.to_owned(), expected, found }
}

fn named(names: &[&str]) -> String {
    let first: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let rest = names.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}

fn ready(path: &Path, file: &mut StateDict, conv: &Conv, finish: Finish) -> Result<Ready> {
    let o = conv.shape[0];
    let kernel = file.read(&format!("{}.conv.weight", conv.name), &conv.shape)?;
    let mut norm = NORM.map(|_| Vec::new());
    for (values, part) in norm.iter_mut().zip(NORM) {
        *values = file.read(&format!("{}.bn.{part}", conv.name), &[o])?;
    }
    if let Some((i, value)) = norm[3].iter().enumerate().find(|(_, value)| **value < 0.0) {
        let name = format!("{}.bn.running_var", conv.name);
        return Err(wrong(
            path,
            format!("variances of at least 0 in `{name}`"),
            format!("{value} at place {i}"),
        ));
    }
    made(conv, finish, kernel, [&norm[0], &norm[1], &norm[2], &norm[3]])
}

/// A convolution's kernel and its batch norm's gain, shift, mean and variance, ready to be run.
pub(crate) fn made(conv: &Conv, finish: Finish, mut kernel: Vec<f32>, norm: [&[f32]; 4]) -> Result<Ready> {
    let bias = fold(&mut kernel, norm);
    let given = (finish == Finish::AtOnce).then_some(bias.as_slice());
    let filters = Filters::new(&kernel, conv.shape, given, conv.stride, conv.padding)?;
    Ok(Ready { filters, bias })
}

/// Batch norm y = (x − mean) / √(variance + ε) · gain + shift of a convolution's x is the convolution with each filter times
/// gain / √(variance + ε), and a bias, which is returned.
pub(crate) fn fold(kernel: &mut [f32], [gain, shift, mean, variance]: [&[f32]; 4]) -> Vec<f32> {
    let len = kernel.len() / gain.len().max(1);
    let scales: Vec<f64> = gain
        .iter()
        .zip(variance)
        .map(|(&gain, &variance)| f64::from(gain) / (f64::from(variance) + EPSILON).sqrt())
        .collect();
    for (filter, scale) in kernel.chunks_exact_mut(len.max(1)).zip(&scales) {
        filter.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
    }
    let bias = scales.iter().zip(shift).zip(mean);
    bias.map(|((scale, &shift), &mean)| (f64::from(shift) - f64::from(mean) * scale) as f32).collect()
}
