//! The model file of SeetaFace's detector.
//!
//! Little-endian, without header. The number of hierarchies; for each the number of classifiers; for each of those the number of
//! stages, the stages and the list of classifiers of the hierarchy before whose windows it judges. A stage is a boosted one (kind
//! 0) or a network (kind 1).

use super::boosted::Boosted;
use super::network::{Layer, Network};
use super::surf::patches;
use crate::{FacesError, Result};

/// The file as it comes with SeetaFace, BSD-2-Clause: <https://github.com/seetaface/SeetaFaceEngine>.
const EMBEDDED: &[u8] = include_bytes!("../../model/seeta_fd_frontal_v1.0.bin");

/// The classifiers in the order in which windows pass through them.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Side by side: one for each range of poses.
    pub(super) boosted: Vec<Boosted>,
    /// One after the other, in groups; what remains of all of `boosted` goes through all.
    pub(super) networks: Vec<Vec<Network>>,
}

impl Model {
    /// The embedded one.
    pub(super) fn embedded() -> Result<Self> {
        Self::parse(EMBEDDED)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let n_hierarchies = reader.count("hierarchies", 16)?;
        let (mut boosted, mut networks) = (Vec::new(), Vec::new());
        for hierarchy in 0..n_hierarchies {
            let n_classifiers = reader.count("classifiers", 16)?;
            if hierarchy > 0 && n_classifiers != 1 {
                return Err(reader.wrong("one classifier in each later hierarchy", n_classifiers));
            }
            for _ in 0..n_classifiers {
                let mut stages = Vec::new();
                for _ in 0..reader.count("stages", 16)? {
                    match (reader.integer()?, hierarchy) {
                        (0, 0) => boosted.push(boosted_stage(&mut reader)?),
                        (1, 1..) => stages.push(network_stage(&mut reader)?),
                        (kind, _) => {
                            return Err(reader.wrong("boosted stages (0) first, then networks (1)", kind));
                        }
                    }
                }
                if hierarchy > 0 {
                    networks.push(stages);
                }
                // Which classifiers before it this one judges after: all. The first ones have −1.
                let n_sources = reader.integer()?;
                for _ in 0..n_sources {
                    reader.integer()?;
                }
            }
        }
        match reader.bytes.len() - reader.at {
            0 => Ok(Self { boosted, networks }),
            n => Err(reader.wrong("the end of the file", format!("{n} more bytes"))),
        }
    }
}

fn boosted_stage(reader: &mut Reader<'_>) -> Result<Boosted> {
    let n_features = reader.count("features", 1 << 12)?;
    let n_bins = reader.integer()?;
    if n_bins != 255 || !n_features.is_multiple_of(Boosted::GROUP) {
        return Err(reader.wrong("255 bins and groups of 10 features", format!("{n_bins} and {n_features}")));
    }
    let mut offsets = Vec::new();
    for _ in 0..n_features {
        let (x, y) = (reader.integer()?, reader.integer()?);
        match (u8::try_from(x), u8::try_from(y)) {
            (Ok(x @ 0..=31), Ok(y @ 0..=31)) => offsets.push([x, y]),
            _ => return Err(reader.wrong("a place from 0 to 31", format!("({x}, {y})"))),
        }
    }
    let thresholds = reader.floats(n_features)?;
    let weights = reader.floats(n_features * 256)?;
    Ok(Boosted::new(offsets, thresholds, weights))
}

fn network_stage(reader: &mut Reader<'_>) -> Result<Network> {
    let n_layers = reader.count("layers", 16)?;
    let all = patches();
    let mut chosen = Vec::new();
    for _ in 0..reader.count("patches", 64)? {
        // They are counted from 1.
        let number = reader.integer()?;
        let patch = usize::try_from(number - 1).ok().and_then(|idx| all.get(idx));
        chosen.push(*patch.ok_or_else(|| reader.wrong("the number of a patch", number))?);
    }
    let threshold = reader.float()?;
    let mut n_in = reader.count("inputs", 1 << 14)?;
    if n_in != chosen.len() * Network::PER_PATCH {
        return Err(reader.wrong("32 inputs a patch", n_in));
    }
    let mut layers = Vec::new();
    for _ in 1..n_layers {
        let n_out = reader.count("outputs", 1 << 12)?;
        let weights = reader.floats(n_in * n_out)?;
        layers.push(Layer::new(n_in, &weights, &reader.floats(n_out)?));
        n_in = n_out;
    }
    match n_in {
        4 => Ok(Network { patches: chosen, threshold, layers }),
        _ => Err(reader.wrong("four outputs", n_in)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, expected: &str, found: impl ToString) -> FacesError {
        FacesError::Model { offset: self.at, expected: expected.to_owned(), found: found.to_string() }
    }

    fn word(&mut self) -> Result<[u8; 4]> {
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let word = *word.ok_or_else(|| self.wrong("four more bytes", "the end of the file"))?;
        self.at += 4;
        Ok(word)
    }

    fn integer(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.word()?))
    }

    fn float(&mut self) -> Result<f32> {
        Ok(f32::from_le_bytes(self.word()?))
    }

    fn floats(&mut self, n: usize) -> Result<Vec<f32>> {
        (0..n).map(|_| self.float()).collect()
    }

    fn count(&mut self, what: &str, most: usize) -> Result<usize> {
        let found = self.integer()?;
        match usize::try_from(found) {
            Ok(n) if n <= most => Ok(n),
            _ => Err(self.wrong(&format!("at most {most} {what}"), found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_model_is_whole() {
        let model = Model::embedded().unwrap();
        assert_eq!(model.boosted.len(), 3);
        assert_eq!(model.networks.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_file_that_breaks_off_or_is_another_names_the_place() {
        let message = |bytes: &[u8]| Model::parse(bytes).unwrap_err().to_string();
        assert!(message(&EMBEDDED[..1000]).contains("expected four more bytes, found the end of the file"));
        assert!(message(b"<?xml version='1.0'").starts_with("SeetaFace model, byte 4: expected at most 16"));
        assert!(
            message(&[EMBEDDED, &[0; 8]].concat())
                .ends_with("expected the end of the file, found 8 more bytes")
        );
        // A network before the boosted classifiers.
        assert!(
            message(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]).contains("boosted stages (0) first")
        );
    }
}
