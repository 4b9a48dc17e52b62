//! From PyTorch.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::conv::from_pytorch;
use dcgan_nn::state_dict;
use serde::de::DeserializeOwned;

use super::{CONFIG, NETWORK, channels_last};
use crate::{
    Discriminator, DiscriminatorConfig, GanError, Generator, GeneratorConfig, Layer, Output, Result,
    ZDistribution,
};

/// A map with the batch norm behind it.
struct Module {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
    norm: Option<[Tensor; 2]>,
}

impl Module {
    /// A bias that no batch norm takes out again must be 0: our networks have none.
    fn check_bias(&self, path: &Path) -> Result<()> {
        let Some(bias) = self.bias.as_ref().filter(|_| self.norm.is_none()) else { return Ok(()) };
        match bias.abs()?.max_all()?.to_scalar::<f32>()? {
            0.0 => Ok(()),
            found => {
                let expected = format!(
                    "no bias, or zeros, in `{}.bias`, behind which there is no batch norm",
                    self.name
                );
                Err(wrong(path, expected, format!("{found} as the largest")))
            }
        }
    }
}

fn wrong(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> GanError {
    GanError::File { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
}

/// Which dimensions of a convolution's weights are the channels that it takes and that it gives.
#[derive(Clone, Copy)]
struct Layout {
    takes: usize,
    gives: usize,
}

/// (o, c, k, k).
const CONVOLUTION: Layout = Layout { takes: 1, gives: 0 };
/// (c, o, k, k).
const TRANSPOSED: Layout = Layout { takes: 0, gives: 1 };

impl Layout {
    /// Channels, or units of a linear layer (o, c), that a module takes and gives.
    fn of(self, module: &Module) -> [usize; 2] {
        let dims = module.weight.dims();
        let Self { takes, gives } = if dims.len() == 4 { self } else { CONVOLUTION };
        [takes, gives].map(|dim| dims.get(dim).copied().unwrap_or(0))
    }

    /// Refuses layers of which one does not take what the one before gives, and norms of another size; pictures have 1 or 3 channels.
    fn check(self, path: &Path, modules: &[Module]) -> Result<()> {
        for (i, module) in modules.iter().enumerate() {
            let ([takes, gives], name) = (self.of(module), &module.name);
            let before = i.checked_sub(1).map(|i| &modules[i]);
            let is_alike = |before: &&Module| before.weight.rank() == module.weight.rank();
            if let Some(before) = before.filter(is_alike)
                && self.of(before)[1] != takes
            {
                let expected = format!(
                    "`{name}.weight` that takes {}, as `{}.weight` gives",
                    self.of(before)[1],
                    before.name
                );
                return Err(wrong(path, expected, format!("{takes}, shape {:?}", module.weight.dims())));
            }
            for (part, tensor) in ["weight", "bias"].iter().zip(module.norm.iter().flatten()) {
                if tensor.dims() != [gives] {
                    let expected = format!(
                        "the {part} of the batch norm behind `{name}` of shape [{gives}], as `{name}.weight` gives"
                    );
                    return Err(wrong(path, expected, format!("shape {:?}", tensor.dims())));
                }
            }
        }
        Ok(())
    }
}

/// Refuses pictures that are neither grey nor of colours.
fn check_channels(path: &Path, module: &Module, channels: usize) -> Result<()> {
    match channels {
        1 | 3 => Ok(()),
        _ => {
            let expected = format!("`{}.weight` of pictures of 1 or 3 channels", module.name);
            Err(wrong(path, expected, format!("{channels}, shape {:?}", module.weight.dims())))
        }
    }
}

/// The maps of an `nn.Sequential`'s state dict, in their order.
fn modules(path: &Path, within: Option<&str>, layout: Layout) -> Result<Vec<Module>> {
    let mut parts: BTreeMap<usize, BTreeMap<String, Tensor>> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (name, tensor) in state_dict::read(path, within)? {
        let numbered = name.rsplit_once('.').and_then(|(module, part)| {
            let number: usize = module.rsplit('.').next()?.parse().ok()?;
            Some((module.to_owned(), number, part.to_owned()))
        });
        let Some((module, number, part)) = numbered else {
            let expected = "the state dict of an `nn.Sequential`, with names such as `main.0.weight`";
            return Err(wrong(path, expected, format!("`{name}`")));
        };
        if let Some(other) = names.insert(number, module.clone()).filter(|other| *other != module) {
            return Err(wrong(path, "one `nn.Sequential`", format!("`{other}` and `{module}`")));
        }
        parts.entry(number).or_default().insert(part, tensor);
    }
    let mut modules: Vec<Module> = Vec::new();
    for ((_, mut parts), (_, name)) in parts.into_iter().zip(names) {
        let Some(weight) = parts.remove("weight") else {
            return Err(wrong(path, format!("`{name}.weight`"), "no tensor of that name"));
        };
        let bias = parts.remove("bias");
        let is_known = |part: &&String| !matches!(part.as_str(), "running_mean" | "running_var");
        if let Some(part) = parts.keys().find(is_known) {
            let expected = format!("nothing but `weight`, `bias` and running statistics of `{name}`");
            return Err(wrong(path, expected, format!("`{name}.{part}`")));
        }
        // A group norm has no running statistics; it would be taken for a batch norm.
        if weight.rank() == 1 && !parts.contains_key("running_mean") {
            return Err(wrong(
                path,
                format!("`{name}.running_mean` of a batch norm"),
                "no tensor of that name",
            ));
        }
        match (weight.rank(), bias, modules.last_mut()) {
            (2 | 4, bias, _) => modules.push(Module { name, weight, bias, norm: None }),
            (1, Some(bias), Some(before)) if before.norm.is_none() => before.norm = Some([weight, bias]),
            (rank, _, _) => {
                let expected =
                    format!("`{name}.weight` of a linear layer, a convolution or of a batch norm behind one");
                return Err(wrong(path, expected, format!("{rank} dimensions")));
            }
        }
    }
    modules.iter().try_for_each(|module| module.check_bias(path))?;
    layout.check(path, &modules)?;
    Ok(modules)
}

/// The sizes that a file of our own making states.
fn stated<C: DeserializeOwned>(path: &Path, network: &str) -> Result<Option<C>> {
    if path.extension().is_none_or(|ending| ending != "safetensors") {
        return Ok(None);
    }
    let checkpoint = Checkpoint::load(path, &Device::Cpu)?;
    let Some(config) = checkpoint.metadata(CONFIG) else { return Ok(None) };
    match checkpoint.metadata(NETWORK) {
        Some(found) if found == network => {}
        found => return Err(wrong(path, format!("a {network}"), format!("{found:?}"))),
    }
    serde_json::from_str(config)
        .map(Some)
        .map_err(|e| wrong(path, format!("a {network}'s sizes"), e.to_string()))
}

/// Whether a generator's file states its sizes and what z is drawn from: only those of our own making do.
pub fn states_generator(path: &Path) -> bool {
    stated::<GeneratorConfig>(path, "generator").is_ok_and(|config| config.is_some())
}

fn square(module: &Module, path: &Path) -> Result<[usize; 3]> {
    match *module.weight.dims() {
        [a, b, height, width] if height == width => Ok([a, b, height]),
        _ => {
            let expected = format!("`{}.weight` of a convolution with a square kernel", module.name);
            Err(wrong(path, expected, format!("shape {:?}", module.weight.dims())))
        }
    }
}

/// The one kernel of all `modules`.
fn common_kernel(modules: &[Module], path: &Path) -> Result<usize> {
    let mut common = None;
    for module in modules {
        let [.., kernel] = square(module, path)?;
        if *common.get_or_insert(kernel) != kernel {
            let expected = format!("`{}.weight` with a kernel as before it", module.name);
            return Err(wrong(path, expected, format!("shape {:?}", module.weight.dims())));
        }
    }
    common.ok_or_else(|| wrong(path, "at least one convolution between the first and the last layer", "none"))
}

fn put_norm(to: &mut Checkpoint, name: &str, norm: Option<&[Tensor; 2]>, channels: usize) -> Result<()> {
    for (part, tensor) in ["gain", "bias"].iter().zip(norm.into_iter().flatten()) {
        to.insert(format!("{name}.{part}"), &channels_last(tensor, channels)?);
    }
    Ok(())
}

/// Every layer but the last of a generator and but the first of a discriminator has a batch norm.
fn check_norm(module: &Module, is_expected: bool, path: &Path) -> Result<()> {
    if module.norm.is_some() == is_expected {
        return Ok(());
    }
    let (with, without) =
        (format!("a batch norm behind `{}`", module.name), format!("none behind `{}`", module.name));
    match is_expected {
        true => Err(wrong(path, with, "none")),
        false => Err(wrong(path, without, "a batch norm")),
    }
}

/// Reads a generator: z (n, nz, 1, 1) → a transposed convolution, or z (n, nz) → a linear layer → transposed convolutions, all but
/// the last with batch norm and ReLU → tanh. Strides are 2 and z is as given where the
/// file does not state them. Of a checkpoint with several state dicts `within` names the generator's.
///
/// # Errors
/// Where the file holds another network, naming the tensor.
pub fn import_generator(path: &Path, within: Option<&str>, z: ZDistribution) -> Result<Generator> {
    let modules = modules(path, within, TRANSPOSED)?;
    let stated: Option<GeneratorConfig> = stated(path, "generator")?;
    let is_linear = |module: &&Module| module.weight.rank() == 2;
    let n_linear = modules.iter().take_while(is_linear).count().max(1);
    let (first, deconvolutions) = modules.split_at(n_linear.min(modules.len()));
    let Some(project) = first.last() else { return Err(wrong(path, "a generator", "no layers")) };
    let kernel = common_kernel(deconvolutions, path)?;
    let [base_channels, ..] = square(&deconvolutions[0], path)?;
    let (nz, units) = match *project.weight.dims() {
        [units, nz] => (nz, units),
        [nz, channels, side, _] => (nz, channels * side * side),
        _ => (0, 0),
    };
    let bottom = (units / base_channels.max(1)).isqrt();
    if units != base_channels * bottom * bottom {
        let expected = format!(
            "`{}.weight` of a square raster of {base_channels} channels, as `{}.weight` takes",
            project.name, deconvolutions[0].name
        );
        return Err(wrong(path, expected, format!("{units} units, shape {:?}", project.weight.dims())));
    }
    let mut layers = Vec::new();
    for module in deconvolutions {
        let [_, channels, _] = square(module, path)?;
        layers.push(Layer { channels, stride: 2 });
    }
    if let Some(last) = deconvolutions.last() {
        check_channels(path, last, TRANSPOSED.of(last)[1])?;
    }
    let by_channel = project.weight.rank() == 4;
    let inferred = GeneratorConfig {
        nz: if n_linear > 1 { first[0].weight.dim(1)? } else { nz },
        z,
        base_channels,
        kernel,
        layers,
        bottom,
        hidden: if n_linear > 1 { nz } else { 0 },
        classes: 0,
        output: Output::Tanh,
        gain_and_bias: true,
        first_norm_by_channel: by_channel,
    };
    let config = stated.unwrap_or(inferred);
    if n_linear > 2 || !config.is_sound() {
        return Err(wrong(path, "a generator of possible sizes", format!("{config:?}")));
    }
    let checkpoint = generator_tensors(first, deconvolutions, base_channels, path)?;
    Generator::from_checkpoint(config, &checkpoint, path, "")
}

/// The tensors of a generator under our names: its linear layers, of which the last makes maps of `base_channels`, and its deconvolutions.
fn generator_tensors(
    first: &[Module],
    deconvolutions: &[Module],
    base_channels: usize,
    path: &Path,
) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint::default();
    let by_channel = first.last().is_some_and(|project| project.weight.rank() == 4);
    for (module, name) in first.iter().rev().zip(["project", "hidden"]) {
        check_norm(module, true, path)?;
        let channels = if name == "hidden" || by_channel { module.weight.dim(0)? } else { base_channels };
        let (weight, channels) = match by_channel {
            true => (from_pytorch(&module.weight)?, base_channels),
            // (units, nz) → (nz, units).
            false => (channels_last(&module.weight.t()?.contiguous()?, channels)?, channels),
        };
        checkpoint.insert(format!("{name}.weight"), &weight);
        put_norm(&mut checkpoint, name, module.norm.as_ref(), channels)?;
    }
    for (i, module) in deconvolutions.iter().enumerate() {
        check_norm(module, i + 1 < deconvolutions.len(), path)?;
        let [_, channels, _] = square(module, path)?;
        checkpoint.insert(format!("deconv{i}.kernel"), &from_pytorch(&module.weight)?);
        put_norm(&mut checkpoint, &format!("deconv{i}"), module.norm.as_ref(), channels)?;
    }
    Ok(checkpoint)
}

/// Reads a discriminator, within a checkpoint as [`import_generator`]: convolutions with LeakyReLU of slope 0.2, all but the first with batch norm → a convolution of the maps
/// that are left to one logit. Strides are 2 where the file does not state others; a sigmoid behind it has no tensors and is left
/// out.
///
/// # Errors
/// Where the file holds another network, naming the tensor.
pub fn import_discriminator(path: &Path, within: Option<&str>) -> Result<Discriminator> {
    let modules = modules(path, within, CONVOLUTION)?;
    let stated: Option<DiscriminatorConfig> = stated(path, "discriminator")?;
    let has_head = stated.as_ref().is_none_or(|config| config.head);
    let (convolutions, head) = modules.split_at(modules.len() - usize::from(has_head));
    let kernel = common_kernel(convolutions, path)?;
    let mut layers = Vec::new();
    for module in convolutions {
        let [channels, ..] = square(module, path)?;
        layers.push(Layer { channels, stride: 2 });
    }
    let [_, channels, _] = square(&convolutions[0], path)?;
    check_channels(path, &convolutions[0], channels)?;
    let side = match head.first() {
        Some(head) => match square(head, path)? {
            [1, _, side] => side,
            [outputs, ..] => {
                let expected = format!("one output of the last layer, `{}.weight`", head.name);
                return Err(wrong(path, expected, outputs.to_string()));
            }
        },
        None => crate::BASE_SIZE,
    };
    let inferred = DiscriminatorConfig {
        image_size: side << layers.len().min(16),
        kernel,
        layers,
        head: has_head,
        channels,
        hidden: 0,
        classes: 0,
        output: Output::Tanh,
        gain_and_bias: true,
    };
    let config = stated.unwrap_or(inferred);
    if !config.is_sound() {
        return Err(wrong(path, "a discriminator of possible sizes", format!("{config:?}")));
    }
    let mut checkpoint = Checkpoint::default();
    for (i, module) in convolutions.iter().enumerate() {
        check_norm(module, i > 0, path)?;
        let [channels, ..] = square(module, path)?;
        checkpoint.insert(format!("conv{i}.kernel"), &from_pytorch(&module.weight)?);
        put_norm(&mut checkpoint, &format!("conv{i}"), module.norm.as_ref(), channels)?;
    }
    for head in head {
        check_norm(head, false, path)?;
        let weight = from_pytorch(&head.weight)?;
        checkpoint.insert("head.weight", &weight.reshape((weight.elem_count(), 1))?);
    }
    Discriminator::from_checkpoint(config, &checkpoint, path, "")
}
