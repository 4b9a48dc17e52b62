//! Exported networks as ONNX models.

use std::path::Path;

use prost::Message;

use super::export::End;
use super::{Exported, Kernel, Module};
use crate::Result;

/// The operators' version: that of ONNX 1.12 and later.
const OPSET: i64 = 17;
/// The file format's version that belongs to it.
const IR_VERSION: i64 = 8;

// The parts of onnx.proto3 that a chain of layers needs, with its field numbers.

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Values>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(enumeration = "AttributeType", tag = "20")]
    r#type: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum AttributeType {
    Undefined = 0,
    Float = 1,
    Int = 2,
    Ints = 7,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
struct Values {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(enumeration = "DataType", tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum DataType {
    Undefined = 0,
    Float = 1,
    Int64 = 7,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(enumeration = "DataType", tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "Side", tags = "1, 2")]
    value: Option<Side>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Side {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Param(String),
}

fn int(name: &str, value: usize) -> Attribute {
    Attribute {
        name: name.into(),
        i: value as i64,
        r#type: AttributeType::Int.into(),
        ..Attribute::default()
    }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { name: name.into(), ints, r#type: AttributeType::Ints.into(), ..Attribute::default() }
}

fn float(name: &str, f: f32) -> Attribute {
    Attribute { name: name.into(), f, r#type: AttributeType::Float.into(), ..Attribute::default() }
}

fn of_kernel(kernel: &Kernel) -> Vec<Attribute> {
    let (stride, padding) = (kernel.convolution.stride, kernel.convolution.padding);
    let mut attributes = vec![
        ints("kernel_shape", &[kernel.side; 2]),
        ints("strides", &[stride; 2]),
        ints("pads", &[padding; 4]),
    ];
    let output_padding = kernel.convolution.transposed;
    attributes.extend(output_padding.map(|padding| ints("output_padding", &[padding; 2])));
    attributes
}

/// The operator, its attributes, and which of the module's tensors it takes.
fn operator(module: &Module) -> (&'static str, Vec<Attribute>, &'static [&'static str]) {
    const WEIGHT: &[&str] = &["weight"];
    const NORM: &[&str] = &["weight", "bias", "running_mean", "running_var"];
    match module {
        Module::Conv2d(kernel) => ("Conv", of_kernel(kernel), WEIGHT),
        Module::ConvTranspose2d(kernel) => ("ConvTranspose", of_kernel(kernel), WEIGHT),
        Module::Linear(_) => ("Gemm", vec![int("transB", 1)], WEIGHT),
        Module::BatchNorm1d(_) | Module::BatchNorm2d(_) => {
            ("BatchNormalization", vec![float("epsilon", dcgan_nn::batch_norm::EPS as f32)], NORM)
        }
        Module::Relu => ("Relu", Vec::new(), &[]),
        Module::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", *slope)], &[]),
        Module::Tanh => ("Tanh", Vec::new(), &[]),
        Module::Sigmoid => ("Sigmoid", Vec::new(), &[]),
        Module::Unflatten(_) => ("Reshape", Vec::new(), &["shape"]),
        Module::Flatten => ("Flatten", vec![int("axis", 1)], &[]),
    }
}

fn values_of(
    exported: &Exported,
    i: usize,
    module: &Module,
    tensor: &str,
    name: String,
) -> Result<Option<Values>> {
    if let Module::Unflatten([c, h, w]) = module {
        // 0 keeps the batch's side.
        let raw_data = [0, *c, *h, *w].iter().flat_map(|&side| (side as i64).to_le_bytes()).collect();
        return Ok(Some(Values { dims: vec![4], data_type: DataType::Int64.into(), name, raw_data }));
    }
    let Some(tensor) = exported.tensor(i, tensor) else { return Ok(None) };
    let dims = tensor.dims().iter().map(|&side| side as i64).collect();
    let raw_data =
        tensor.flatten_all()?.to_vec1::<f32>()?.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Some(Values { dims, data_type: DataType::Float.into(), name, raw_data }))
}

fn info(end: &End) -> ValueInfo {
    let batch = Dimension { value: Some(Side::Param("n".into())) };
    let sides = end.shape.iter().map(|&side| Dimension { value: Some(Side::Value(side as i64)) });
    let shape = Some(Shape { dim: [batch].into_iter().chain(sides).collect() });
    let tensor_type = Some(TensorType { elem_type: DataType::Float.into(), shape });
    ValueInfo { name: end.name.into(), r#type: Some(Type { tensor_type }) }
}

impl Exported {
    /// Writes the network as an ONNX model of opset 17, whole or not at all: one input and one output whose first side, `n`, is free.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save_onnx(&self, path: &Path) -> Result<()> {
        let [input, output] = self.ends();
        let (mut node, mut initializer) = (Vec::new(), Vec::new());
        let mut from = input.name.to_owned();
        for (i, module) in self.modules().iter().enumerate() {
            let (op_type, attribute, tensors) = operator(module);
            let mut inputs = vec![from];
            for tensor in tensors {
                let name = format!("main.{i}.{tensor}");
                initializer.extend(values_of(self, i, module, tensor, name.clone())?);
                inputs.push(name);
            }
            from = if i + 1 == self.modules().len() { output.name.to_owned() } else { format!("main.{i}") };
            let (name, op_type) = (format!("main.{i}"), op_type.into());
            node.push(Node { input: inputs, output: vec![from.clone()], name, op_type, attribute });
        }
        let graph = Graph {
            node,
            name: "dcgan".into(),
            initializer,
            input: vec![info(input)],
            output: vec![info(output)],
        };
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "dcgan".into(),
            graph: Some(graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        };
        let partial = path.with_extension("onnx.partial");
        fs_err::write(&partial, model.encode_to_vec())?;
        Ok(fs_err::rename(&partial, path)?)
    }
}
