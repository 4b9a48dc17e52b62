//! `dcgan export`: the stage `export_networks`, for those who look for a verb.

use dcgan_engine::progress::Progress;

use crate::args::{ClusterArgs, ExportArgs, StageArgs, To};
use crate::verbs;

pub(crate) fn export(args: ExportArgs, progress: &Progress) -> anyhow::Result<()> {
    let to = if args.to == To::Onnx { "onnx" } else { "pytorch" };
    let out = args.out.unwrap_or_else(|| {
        let name = std::path::absolute(&args.model).unwrap_or_else(|_| args.model.clone());
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}-{to}").into()
    });
    let mut arguments = vec![quoted("model", &args.model)?, format!("weights={}", args.weights)];
    arguments.extend(
        args.images.iter().map(|images| quoted("statistics", images)).collect::<Result<Vec<_>, _>>()?,
    );
    if args.to == To::Onnx {
        arguments.push("onnx=true".to_owned());
    }
    let stage = StageArgs {
        kind: Some("export_networks".to_owned()),
        arguments,
        out: Some(out),
        force: args.force,
        list: false,
        help: false,
        device: args.device,
        cluster: ClusterArgs::default(),
    };
    verbs::stage(&stage, progress)
}

/// A key and a path, whatever stands in it. A string of JSON is one of TOML.
fn quoted(key: &str, path: &std::path::Path) -> anyhow::Result<String> {
    Ok(format!("{key}={}", serde_json::to_string(path)?))
}
