//! What dropping feature maps did, measured by what had no part in choosing them.

use dcgan_images::PixelBox;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{ObjectMaps, outgoing_norms};
use crate::{Result, Sampler, classifier::Classifier, sample::Observe};

/// Channels of the pictures that are looked at.
const COLOURS: usize = 3;

/// Mean and sample standard deviation over control draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation.
    pub sd: f64,
}

/// One figure, with the object's maps dropped and with others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What is measured.
    pub name: String,
    /// Of the pictures with all maps; none for a figure that compares with them.
    pub before: Option<f64>,
    /// Without the object's maps.
    pub after: f64,
    /// Without as many maps drawn at random.
    pub random: Spread,
    /// Without as many maps at random whose weights in the next layer have the same norm in all.
    pub matched: Spread,
}

/// All figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// New samples looked at.
    pub n_samples: usize,
    /// Draws of each kind of control.
    pub n_controls: usize,
    /// Share of the samples in which each judge sees its object, in the judges' order.
    pub shares: Vec<Figure>,
    /// Mean absolute change of the pixels, of 255.
    pub change: Figure,
    /// The same of pixels more than 2 away from every box where the object was located before; none without a way to locate it.
    pub change_beside: Option<Figure>,
    /// Mean change of red, green and blue, of 255, over whole pictures.
    pub colour: Vec<Figure>,
}

/// Where an object is in a picture (uint8, CHW).
pub type Locate<'a> = dyn Fn(&[u8]) -> Vec<PixelBox> + 'a;

/// Who looks, at what.
pub struct Measure<'a> {
    /// Classifiers by name.
    pub judges: &'a [(String, Classifier)],
    /// Where the object is in a picture (uint8, CHW), only to look elsewhere.
    pub locate: Option<&'a Locate<'a>>,
    /// Draws of each kind of control.
    pub n_controls: usize,
    /// Their seed.
    pub seed: u64,
}

/// The pictures of `z` with all maps, without the object's, and without `n_controls` draws of each kind of control; the first two
/// come back as uint8 NCHW pixels. `observe` gets the sets of pictures drawn.
///
/// # Errors
/// Where a judge takes other pictures than the sampler draws; [`GanError::Interrupted`](crate::GanError::Interrupted).
pub fn measure(
    sampler: &Sampler<'_>,
    z: &Array2<f32>,
    maps: &ObjectMaps,
    how: &Measure<'_>,
    observe: Observe<'_>,
) -> Result<(Measured, [Vec<u8>; 2])> {
    let n_sets = 2 + 2 * how.n_controls as u64;
    let mut set = 0;
    let mut draw = |sampler: &Sampler<'_>| {
        let pixels = sampler.draw(z, &mut |_, _| observe(set, n_sets))?;
        set += 1;
        Ok::<_, crate::GanError>(pixels)
    };
    let without = |dropped: &[usize]| sampler.clone().without(maps.layer, dropped);
    let before = draw(sampler)?;
    let look = Look::new(before, how, sampler.generator().config().image_size());
    let dropped = draw(&without(&maps.positive())?)?;
    let after = look.figures(&dropped)?;
    let norms = outgoing_norms(sampler.generator(), maps.layer)?;
    let (mut random, mut matched) = (Vec::new(), Vec::new());
    for control in 0..how.n_controls as u64 {
        random.push(look.figures(&draw(&without(&maps.random(how.seed, control))?)?)?);
        matched.push(look.figures(&draw(&without(&maps.matched(&norms, how.seed, control))?)?)?);
    }
    let shares_before = look.shares(&look.before)?;
    let figure = |idx: usize, name: &str| Figure {
        name: name.to_owned(),
        before: shares_before.get(idx).copied(),
        after: after[idx],
        random: spread(random.iter().map(|figures| figures[idx])),
        matched: spread(matched.iter().map(|figures| figures[idx])),
    };
    let n_judges = how.judges.len();
    let measured = Measured {
        n_samples: z.nrows(),
        n_controls: how.n_controls,
        shares: how.judges.iter().enumerate().map(|(idx, (name, _))| figure(idx, name)).collect(),
        change: figure(n_judges, "change"),
        change_beside: look.boxes.is_some().then(|| figure(n_judges + 4, "change beside boxes")),
        colour: ["red", "green", "blue"]
            .into_iter()
            .enumerate()
            .map(|(channel, name)| figure(n_judges + 1 + channel, name))
            .collect(),
    };
    Ok((measured, [look.before, dropped]))
}

/// The pictures before, and who looks.
struct Look<'a> {
    judges: &'a [(String, Classifier)],
    before: Vec<u8>,
    side: usize,
    /// Of each picture.
    boxes: Option<Vec<Vec<PixelBox>>>,
}

impl<'a> Look<'a> {
    fn new(before: Vec<u8>, how: &Measure<'a>, side: usize) -> Self {
        let pictures = before.chunks_exact(COLOURS * side * side);
        let boxes = how.locate.map(|locate| pictures.map(locate).collect());
        Self { judges: how.judges, before, side, boxes }
    }

    /// The share of pictures in which each judge sees its object.
    fn shares(&self, pixels: &[u8]) -> Result<Vec<f64>> {
        let share = |(_, judge): &(String, Classifier)| {
            let logits = judge.logits(pixels)?;
            Ok(logits.iter().filter(|&&x| x > 0.0).count() as f64 / logits.len().max(1) as f64)
        };
        self.judges.iter().map(share).collect()
    }

    /// The shares, then the change, then those of the three channels, then the change beside boxes (NaN without boxes).
    fn figures(&self, pixels: &[u8]) -> Result<Vec<f64>> {
        let plane = self.side * self.side;
        let mut figures = self.shares(pixels)?;
        let difference = |idx: usize| f64::from(pixels[idx]) - f64::from(self.before[idx]);
        let n = self.before.len().max(1) as f64;
        figures.push((0..self.before.len()).map(|idx| difference(idx).abs()).sum::<f64>() / n);
        for channel in 0..COLOURS {
            let of_channel = (0..self.before.len()).filter(|idx| idx / plane % COLOURS == channel);
            figures.push(of_channel.map(difference).sum::<f64>() / (n / COLOURS as f64));
        }
        let (mut sum, mut n) = (0.0, 0);
        for (picture, boxes) in self.boxes.iter().flatten().enumerate() {
            for place in (0..plane).filter(|place| !is_near(boxes, place % self.side, place / self.side)) {
                let first = picture * COLOURS * plane + place;
                sum += (0..COLOURS).map(|c| difference(first + c * plane).abs()).sum::<f64>();
                n += COLOURS;
            }
        }
        figures.push(sum / n as f64);
        Ok(figures)
    }
}

/// True for a pixel in a box or up to 2 pixels beside one.
fn is_near(boxes: &[PixelBox], x: usize, y: usize) -> bool {
    boxes.iter().any(|b| x + 2 >= b.x0 && x < b.x1 + 2 && y + 2 >= b.y0 && y < b.y1 + 2)
}

fn spread(values: impl ExactSizeIterator<Item = f64> + Clone) -> Spread {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    Spread { mean, sd: (squares / (n - 1.0)).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_known_by_hand() {
        // Two pictures of 4×4; of the second the place (3, 3) gets 30 brighter in red and 6 darker in blue.
        let side = 4;
        let before = vec![100; 2 * 3 * 16];
        let mut after = before.clone();
        after[3 * 16 + 15] = 130;
        after[3 * 16 + 2 * 16 + 15] = 94;
        let corner = |picture: &[u8]| {
            assert_eq!(picture.len(), 48);
            vec![PixelBox { x0: 0, y0: 0, x1: 1, y1: 1 }]
        };
        let how = Measure { judges: &[], locate: Some(&corner), n_controls: 2, seed: 0 };
        let look = Look::new(before, &how, side);
        let found = look.figures(&after).unwrap();
        // A box of one pixel and 2 around it cover 9 of 16 places: 7 are left.
        let expected = [36.0 / 96.0, 30.0 / 32.0, 0.0, -6.0 / 32.0, 36.0 / (2.0 * 3.0 * 7.0)];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let found = spread([1.0, 2.0, 6.0].into_iter());
        assert!((found.mean - 3.0).abs() < 1e-12 && (found.sd - 7f64.sqrt()).abs() < 1e-12);
    }
}
