//! The parameters that a network of some sizes has, without making one.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Architecture, DiscriminatorConfig, GeneratorConfig};

/// Names and shapes of parameters, in their order.
pub type Shapes = Vec<(String, Vec<usize>)>;

fn with_norm(shapes: &mut Shapes, name: &str, channels: usize, gain_and_bias: bool) {
    let parts = ["gain", "bias"].into_iter().filter(|_| gain_and_bias);
    shapes.extend(parts.map(|part| (format!("{name}.{part}"), vec![channels])));
}

impl GeneratorConfig {
    /// Its parameters.
    pub fn shapes(&self) -> Shapes {
        let mut shapes = Vec::new();
        let first = self.base_channels * self.bottom * self.bottom;
        let hidden = (self.hidden > 0).then_some(("hidden", self.hidden));
        let mut inputs = self.nz;
        for (name, units) in hidden.into_iter().chain([("project", first)]) {
            shapes.push((format!("{name}.weight"), vec![inputs + self.classes, units]));
            with_norm(&mut shapes, name, units, self.gain_and_bias);
            inputs = units;
        }
        let mut channels = self.base_channels;
        for (i, layer) in self.layers.iter().enumerate() {
            let shape = vec![self.kernel, self.kernel, layer.channels, channels + self.classes];
            shapes.push((format!("deconv{i}.kernel"), shape));
            let has_norm = self.gain_and_bias && i + 1 < self.layers.len();
            with_norm(&mut shapes, &format!("deconv{i}"), layer.channels, has_norm);
            channels = layer.channels;
        }
        shapes
    }

    /// Numbers that its layers give for one picture.
    pub fn n_activations(&self) -> usize {
        let mut side = self.bottom;
        let maps = self.layers.iter().map(|layer| {
            side *= layer.stride;
            side * side * layer.channels
        });
        self.hidden + self.base_channels * self.bottom * self.bottom + maps.sum::<usize>()
    }
}

impl DiscriminatorConfig {
    /// Its parameters.
    pub fn shapes(&self) -> Shapes {
        let mut shapes = Vec::new();
        let mut channels = self.channels;
        for (i, layer) in self.layers.iter().enumerate() {
            let shape = vec![self.kernel, self.kernel, channels + self.classes, layer.channels];
            shapes.push((format!("conv{i}.kernel"), shape));
            with_norm(&mut shapes, &format!("conv{i}"), layer.channels, self.gain_and_bias && i > 0);
            channels = layer.channels;
        }
        let mut units = channels * self.last_size() * self.last_size();
        if self.head && self.hidden > 0 {
            shapes.push(("hidden.weight".to_owned(), vec![units + self.classes, self.hidden]));
            with_norm(&mut shapes, "hidden", self.hidden, self.gain_and_bias);
            units = self.hidden;
        }
        if self.head {
            shapes.push(("head.weight".to_owned(), vec![units + self.classes, 1]));
        }
        shapes
    }

    /// Numbers that its layers give for one picture.
    pub fn n_activations(&self) -> usize {
        let mut side = self.image_size;
        let maps = self.layers.iter().map(|layer| {
            side = side.div_ceil(layer.stride);
            side * side * layer.channels
        });
        maps.sum::<usize>() + self.hidden + 1
    }
}

impl Architecture {
    /// How the networks of another architecture differ, as a training that begins with them says it: G's or D's tensors, or
    /// keys that tensors do not tell. None where they are the same; `with_generator` says whether G counts.
    pub fn unlike(&self, found: &Self, with_generator: bool) -> Option<String> {
        let (ours, theirs) = (self.generator(), found.generator());
        let of_generator =
            || unlike_tensors(&ours.shapes(), &theirs.shapes()).or_else(|| unlike_keys(&ours, &theirs));
        let (ours, theirs) = (self.discriminator(), found.discriminator());
        let of_discriminator =
            || unlike_tensors(&ours.shapes(), &theirs.shapes()).or_else(|| unlike_keys(&ours, &theirs));
        with_generator.then(of_generator).flatten().or_else(of_discriminator)
    }
}

/// Tensors of other shapes, one by one.
pub(crate) fn unlike_tensors(expected: &Shapes, found: &Shapes) -> Option<String> {
    let shape_in = |all: &Shapes, name: &str| {
        all.iter().find(|(other, _)| other == name).map(|(_, shape)| format!("{shape:?}"))
    };
    let names = expected.iter().chain(found.iter().filter(|(name, _)| shape_in(expected, name).is_none()));
    listed(names.map(|(name, _)| (name.as_str(), shape_in(expected, name), shape_in(found, name))))
}

/// What the shapes of tensors do not tell, such as strides, key by key.
pub(crate) fn unlike_keys<C: Serialize>(expected: &C, found: &C) -> Option<String> {
    let keys = |config: &C| match serde_json::to_value(config) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let (expected, found) = (keys(expected), keys(found));
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let text = |keys: &Map<String, Value>, name: &str| keys.get(name).map(Value::to_string);
    listed(names.map(|name| (name.as_str(), text(&expected, name), text(&found, name))))
}

/// Those of (name, expected, found) that differ, as one text.
fn listed<'a>(all: impl Iterator<Item = (&'a str, Option<String>, Option<String>)>) -> Option<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let unlike: Vec<String> = all
        .filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| {
            format!("`{name}`: expected {}, found {}", text(expected), text(found))
        })
        .collect();
    (!unlike.is_empty()).then(|| unlike.join("; "))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::{ArchitectureName, Discriminator, Generator, Guidelines};

    fn of(parameters: &[(String, Var)]) -> Shapes {
        parameters.iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect()
    }

    #[test]
    fn shapes_are_those_of_the_networks() {
        let own = Guidelines { channels: 1, kernel: 3, hidden: 50, classes: 4, ..Guidelines::of_size(56) };
        let own = ArchitectureName::Own(own);
        for name in ArchitectureName::RELEASED.into_iter().chain([own]) {
            let architecture = Architecture { name, width: 0.05 };
            let (g, d) = (architecture.generator(), architecture.discriminator());
            let generator = Generator::random(g.clone(), 0, &Device::Cpu).unwrap();
            assert_eq!(g.shapes(), of(generator.parameters()), "{name}");
            let discriminator = Discriminator::random(d.clone(), 0, &Device::Cpu).unwrap();
            assert_eq!(d.shapes(), of(discriminator.parameters()), "{name}");
        }
        let faces = Architecture::paper(ArchitectureName::Faces64);
        let maps = [1024 * 16, 512 * 64, 256 * 256, 128 * 1024];
        assert_eq!(faces.generator().n_activations(), maps.iter().sum::<usize>() + 3 * 4096);
        assert_eq!(faces.discriminator().n_activations(), maps.iter().sum::<usize>() + 1);
    }

    #[test]
    fn networks_that_differ_are_told_apart_tensor_by_tensor() {
        let of = |kernel, width| Architecture {
            name: ArchitectureName::Own(Guidelines { kernel, ..Guidelines::of_size(16) }),
            width,
        };
        assert_eq!(of(5, 0.5).unlike(&of(5, 0.5), true), None);
        let told = of(5, 0.5).unlike(&of(3, 0.5), true).unwrap();
        assert!(
            told.starts_with("`deconv0.kernel`: expected [5, 5, 32, 64], found [3, 3, 32, 64]; "),
            "{told}"
        );
        let told = of(5, 0.5).unlike(&of(5, 0.25), false).unwrap();
        assert!(told.starts_with("`conv0.kernel`: expected [5, 5, 3, 32], found [5, 5, 3, 16]; "), "{told}");
    }
}
