//! Which networks: the paper's by name, or one's own after its guidelines.

mod guidelines;
mod networks;
mod operations;
mod shapes;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::guidelines::Guidelines;
pub use self::networks::{DiscriminatorConfig, GeneratorConfig, Layer, Output, ZDistribution};
pub use self::operations::Operations;
pub use self::shapes::Shapes;
pub(crate) use self::shapes::{unlike_keys, unlike_tensors};
use crate::{GanError, Result};

/// The networks of the released code, and those of one's own. In manifests the first are names, the last are tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchitectureName {
    /// 32×32 digits: the network of Table 2.
    Svhn32,
    /// 32×32 ImageNet: the network of Table 1, six conv layers, 28,672 features.
    Imagenet32,
    /// 64×64 faces and LSUN bedrooms.
    Faces64,
    /// 28×28 grey digits, conditional on their labels: the network of Table 3.
    Mnist28,
    /// After the paper's guidelines.
    Own(Guidelines),
}

/// A network with all its channel counts scaled by `width`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Which network.
    pub name: ArchitectureName,
    /// Scale of every channel count but the picture's; 1 is the paper's.
    pub width: f64,
}

/// What the released code trains a network with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingDefaults {
    /// Pictures in a minibatch.
    pub batch_size: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's beta1; unstated for SVHN, where the paper's general 0.5 is taken.
    pub beta1: f64,
    /// Coupled l2; unstated for ImageNet and SVHN, where the faces network's 1e-5 is taken.
    pub l2: f64,
    /// Passes over the training set.
    pub epochs: u64,
    /// Whether the learning rate falls to 0 over the second half of them.
    pub decays: bool,
}

fn layers(layers: &[(usize, usize)]) -> Vec<Layer> {
    layers.iter().map(|&(channels, stride)| Layer { channels, stride }).collect()
}

impl ArchitectureName {
    /// Those of the released code.
    pub const RELEASED: [Self; 4] = [Self::Svhn32, Self::Imagenet32, Self::Faces64, Self::Mnist28];
    const NAMES: [&'static str; 4] = ["svhn32", "imagenet32", "faces64", "mnist28"];

    /// The name as manifests and commands write it; none for a table.
    pub fn as_str(self) -> Option<&'static str> {
        let position = Self::RELEASED.iter().position(|&name| name == self)?;
        Self::NAMES.get(position).copied()
    }

    /// The network of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let position = Self::NAMES.iter().position(|&other| other == name)?;
        Self::RELEASED.get(position).copied()
    }

    /// What the released code trains this network with; for one's own, what the paper says in general.
    pub fn training_defaults(self) -> TrainingDefaults {
        let paper = TrainingDefaults {
            batch_size: 128,
            learning_rate: 2e-4,
            beta1: 0.5,
            l2: 1e-5,
            epochs: 25,
            decays: false,
        };
        match self {
            Self::Svhn32 => TrainingDefaults { batch_size: 64, learning_rate: 5e-4, epochs: 200, ..paper },
            Self::Imagenet32 => TrainingDefaults { epochs: 30, ..paper },
            Self::Mnist28 => TrainingDefaults { l2: 2.5e-5, epochs: 200, decays: true, ..paper },
            Self::Faces64 | Self::Own(_) => paper,
        }
    }

    fn paper_generator(self) -> GeneratorConfig {
        let (nz, z, base_channels, kernel, deconvolutions): (_, _, _, _, &[(usize, usize)]) = match self {
            Self::Svhn32 => (100, ZDistribution::Normal, 256, 5, &[(128, 2), (64, 2), (3, 2)]),
            Self::Imagenet32 => {
                let six = &[(512, 2), (256, 1), (256, 2), (128, 1), (128, 2), (3, 1)];
                (256, ZDistribution::Uniform, 512, 3, six)
            }
            Self::Faces64 => (100, ZDistribution::Uniform, 1024, 5, &[(512, 2), (256, 2), (128, 2), (3, 2)]),
            Self::Mnist28 => return Guidelines::mnist28().generator(),
            Self::Own(own) => return own.generator(),
        };
        GeneratorConfig {
            nz,
            z,
            base_channels,
            kernel,
            layers: layers(deconvolutions),
            ..Guidelines::of_size(64).generator()
        }
    }

    fn paper_discriminator(self) -> DiscriminatorConfig {
        let (image_size, kernel, convolutions): (_, _, &[(usize, usize)]) = match self {
            Self::Svhn32 => (32, 5, &[(64, 2), (128, 2), (256, 2)]),
            Self::Imagenet32 => (32, 3, &[(128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]),
            Self::Faces64 => (64, 5, &[(128, 2), (256, 2), (512, 2), (1024, 2)]),
            Self::Mnist28 => return Guidelines::mnist28().discriminator(),
            Self::Own(own) => return own.discriminator(),
        };
        DiscriminatorConfig {
            image_size,
            kernel,
            layers: layers(convolutions),
            ..Guidelines::of_size(64).discriminator()
        }
    }
}

/// As manifests write it.
impl std::fmt::Display for ArchitectureName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(own) => own.fmt(f),
            named => f.write_str(named.as_str().unwrap_or_default()),
        }
    }
}

impl Serialize for ArchitectureName {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Own(own) => own.serialize(serializer),
            named => serializer.serialize_str(named.as_str().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for ArchitectureName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> de::Visitor<'de> for NameOrTable {
    type Value = ArchitectureName;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the name of a network or a table such as {{ size = 64 }}")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<Self::Value, E> {
        let unknown = || E::unknown_variant(name, &ArchitectureName::NAMES);
        ArchitectureName::of_name(name).ok_or_else(unknown)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
        Guidelines::deserialize(MapAccessDeserializer::new(map)).map(ArchitectureName::Own)
    }
}

impl JsonSchema for ArchitectureName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ArchitectureName".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names = Self::NAMES.map(|name| format!("\"{name}\"")).join(", ");
        json_schema!({
            "anyOf": [{"type": "string", "enum": Self::NAMES}, generator.subschema_for::<Guidelines>()],
            "takes": format!("{names} or table"),
        })
    }
}

impl Architecture {
    /// The network of the paper at its full width.
    pub fn paper(name: ArchitectureName) -> Self {
        Self { name, width: 1.0 }
    }

    /// Checks that `width` is a positive number of sensible size, and the keys of a table.
    ///
    /// # Errors
    /// [`GanError::Setting`] outside (0, 8], or naming the key of the table.
    pub fn validate(&self) -> Result<()> {
        if let ArchitectureName::Own(own) = &self.name {
            own.validate()?;
        }
        if self.width > 0.0 && self.width <= 8.0 {
            return Ok(());
        }
        let expected = "a number above 0 and up to 8".to_string();
        Err(GanError::Setting { key: "width", expected, found: self.width.to_string() })
    }

    fn scaled(&self, channels: usize) -> usize {
        ((channels as f64 * self.width).round() as usize).max(1)
    }

    /// Of a layer that may not be there.
    fn scaled_units(&self, units: usize) -> usize {
        if units == 0 { 0 } else { self.scaled(units) }
    }

    /// Classes that the network is conditional on; 0 for none.
    pub fn classes(&self) -> usize {
        self.name.paper_discriminator().classes
    }

    /// The generator's sizes.
    pub fn generator(&self) -> GeneratorConfig {
        let mut config = self.name.paper_generator();
        config.base_channels = self.scaled(config.base_channels);
        config.hidden = self.scaled_units(config.hidden);
        let hidden = config.layers.len() - 1;
        for layer in &mut config.layers[..hidden] {
            layer.channels = self.scaled(layer.channels);
        }
        config
    }

    /// The discriminator's sizes.
    pub fn discriminator(&self) -> DiscriminatorConfig {
        let mut config = self.name.paper_discriminator();
        config.hidden = self.scaled_units(config.hidden);
        for layer in &mut config.layers {
            layer.channels = self.scaled(layer.channels);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_feature_lengths() {
        let n = |name| Architecture::paper(name).discriminator().n_features();
        assert_eq!(n(ArchitectureName::Imagenet32), 28_672);
        assert_eq!(n(ArchitectureName::Svhn32), 7168);
    }

    #[test]
    fn generators_and_discriminators_fit_each_other() {
        let own =
            |size, channels| ArchitectureName::Own(Guidelines { channels, ..Guidelines::of_size(size) });
        let own = [own(16, 1), own(256, 3), own(56, 1), own(224, 3)];
        for name in ArchitectureName::RELEASED.into_iter().chain(own) {
            for width in [1.0, 0.25, 0.01] {
                let architecture = Architecture { name, width };
                let (g, d) = (architecture.generator(), architecture.discriminator());
                assert_eq!(g.image_size(), d.image_size);
                assert_eq!((d.last_size(), d.grid()), (g.bottom, g.bottom));
                assert_eq!(g.picture(), d.picture());
                assert!(g.is_sound() && d.is_sound());
            }
        }
        assert!(Architecture { name: ArchitectureName::Svhn32, width: f64::NAN }.validate().is_err());
    }

    #[test]
    fn tables_give_the_papers_networks_and_the_mnist_code_its_own() {
        let same = |own: Guidelines, name: ArchitectureName| {
            let (own, named) = (ArchitectureName::Own(own), Architecture::paper(name));
            assert_eq!(Architecture::paper(own).generator(), named.generator());
            assert_eq!(Architecture::paper(own).discriminator(), named.discriminator());
        };
        same(Guidelines { base: 128, ..Guidelines::of_size(64) }, ArchitectureName::Faces64);
        let normal = ZDistribution::Normal;
        same(Guidelines { z_distribution: normal, ..Guidelines::of_size(32) }, ArchitectureName::Svhn32);
        let (g, d) = {
            let mnist = Architecture::paper(ArchitectureName::Mnist28);
            (mnist.generator(), mnist.discriminator())
        };
        assert_eq!((g.nz, g.hidden, g.base_channels, g.bottom, g.classes), (100, 1024, 128, 7, 10));
        assert_eq!(g.layers.iter().map(|layer| layer.channels).collect::<Vec<_>>(), [64, 1]);
        assert_eq!(d.layers.iter().map(|layer| layer.channels).collect::<Vec<_>>(), [64, 128]);
        assert_eq!((d.hidden, d.classes, d.output, d.gain_and_bias), (1024, 10, Output::Sigmoid, false));
    }

    #[test]
    fn names_and_tables_are_read_and_written() {
        let read = |json: &str| serde_json::from_str::<ArchitectureName>(json);
        let own = Guidelines { channels: 1, classes: 3, ..Guidelines::of_size(128) };
        assert_eq!(
            read(r#"{"size": 128, "channels": 1, "classes": 3}"#).unwrap(),
            ArchitectureName::Own(own)
        );
        assert_eq!(own.to_string(), "{ size = 128, channels = 1, classes = 3 }");
        for name in ArchitectureName::RELEASED.into_iter().chain([ArchitectureName::Own(own)]) {
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(read(&json).unwrap(), name);
        }
        // As checkpoints of before have it.
        let paper = serde_json::to_string(&Architecture::paper(ArchitectureName::Svhn32)).unwrap();
        assert_eq!(paper, r#"{"name":"svhn32","width":1.0}"#);

        let wrong = |json: &str| read(json).unwrap_err().to_string();
        assert!(wrong(r#""svhn31""#).starts_with("unknown variant `svhn31`, expected one of `svhn32`"));
        assert!(wrong(r#"{"sise": 64}"#).starts_with("unknown field `sise`, expected one of `size`"));
        assert!(wrong(r#"{"base": 64}"#).starts_with("missing field `size`"));
        assert!(wrong("3").contains("expected the name of a network or a table"));
        let refused = |own: Guidelines| {
            Architecture::paper(ArchitectureName::Own(own)).validate().unwrap_err().to_string()
        };
        assert_eq!(
            refused(Guidelines::of_size(48)),
            "`architecture`: expected `size` to be one of 16, 28, 32, 56, 64, 112, 128, 224, 256, found 48"
        );
        assert!(refused(Guidelines { kernel: 4, ..Guidelines::of_size(32) }).contains("`kernel`"));
        assert!(refused(Guidelines { classes: 1, ..Guidelines::of_size(32) }).contains("0, or 2 to 1000"));
    }
}
