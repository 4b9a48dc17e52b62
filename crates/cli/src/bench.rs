//! `dcgan bench`.

use dcgan_engine::progress::Progress;
use dcgan_stages::bench::{self, BenchOptions, BenchResult};

use crate::args::{BenchArgs, BenchKind};
use crate::verbs::{Usage, print, print_json};

pub(crate) fn bench(args: &BenchArgs, progress: &Progress) -> anyhow::Result<()> {
    let architecture =
        bench::architecture(&args.arch).map_err(|message| Usage(format!("--arch: {message}")))?;
    let kind = match args.kind {
        BenchKind::Features => bench::BenchKind::Features,
        BenchKind::Train => bench::BenchKind::Train,
    };
    let options = BenchOptions {
        kind,
        architecture,
        width: args.width,
        batch_size: args.batch.map(|n| n as usize),
        n_steps: args.steps as usize,
        device: args.device.device.unwrap_or_default(),
    };
    let result = bench::bench(&options, progress)?;
    if args.json { print_json(&result) } else { print(&text(&result)) }
}

fn text(result: &BenchResult) -> String {
    let ms =
        |name: &str, value: Option<f64>| value.map(|v| format!("{name}: {v:.1} ms\n")).unwrap_or_default();
    let rate = |name: &str, value: Option<f64>| {
        value.map(|v| format!("{name}: {v:.1} pictures/s\n")).unwrap_or_default()
    };
    let memory =
        result.peak_memory_mib.map(|m| format!("most memory held: {m:.0} MiB\n")).unwrap_or_default();
    format!(
        "{} (width {}, batches of {}), medians of {}, {}\n{}{}{}{}{:.0} GFLOP/s, {:.0} % of a matrix product's {:.0}\n{memory}",
        result.arch,
        result.width,
        result.batch,
        result.steps,
        result.environment.line(),
        ms("update of D", result.d_update_ms),
        ms("update of G", result.g_update_ms),
        rate("training", result.train_images_per_s),
        rate("features", result.feature_images_per_s),
        result.gflops,
        100.0 * result.share_of_gemm,
        result.gemm_gflops,
    )
}
