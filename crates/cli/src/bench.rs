//! `dcgan bench`.

use dcgan_engine::progress::Progress;
use dcgan_stages::bench::{self, BenchOptions, BenchResult};
use dcgan_stages::bench_baselines::{Baseline, BaselineResult, bench_baseline};

use crate::args::{BenchArgs, BenchKind};
use crate::bench_pipeline;
use crate::verbs::{Usage, print, print_json};

pub(crate) fn bench(args: &BenchArgs, progress: &Progress) -> anyhow::Result<()> {
    let (maps, rows, columns) = (args.maps as usize, args.rows as usize, args.columns as usize);
    let pictures = args.batch.unwrap_or(64) as usize;
    match args.kind {
        BenchKind::Kmeans => return baseline(args, Baseline::Kmeans { maps, pictures }, progress),
        BenchKind::Knn => return baseline(args, Baseline::Knn { rows, columns }, progress),
        BenchKind::Pipeline => return bench_pipeline::bench(args, progress),
        BenchKind::Features | BenchKind::Train => (),
    }
    let architecture =
        bench::architecture(&args.arch).map_err(|message| Usage(format!("--arch: {message}")))?;
    let kind = match args.kind {
        BenchKind::Train => bench::BenchKind::Train,
        _ => bench::BenchKind::Features,
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

fn baseline(args: &BenchArgs, baseline: Baseline, progress: &Progress) -> anyhow::Result<()> {
    let result = bench_baseline(baseline, args.steps as usize, progress)?;
    if args.json { print_json(&result) } else { print(&text_of_baseline(&result)) }
}

fn text_of_baseline(result: &BaselineResult) -> String {
    let BaselineResult { what, seconds, per_s, unit, gflops, gemm_gflops, .. } = result;
    let share = 100.0 * result.share_of_gemm;
    let pass = result.pass_gflops.map(|pass| format!("a pass: {pass:.0} GFLOP/s\n")).unwrap_or_default();
    let memory =
        result.peak_memory_mib.map(|m| format!("most memory held: {m:.0} MiB\n")).unwrap_or_default();
    format!(
        "{what}, medians of several, {}\n{:.1} ms, {per_s:.1} {unit}/s\n{pass}{gflops:.0} GFLOP/s, {share:.0} % of a matrix \
         product's {gemm_gflops:.0}\n{memory}",
        result.environment.line(),
        1e3 * seconds,
    )
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
        "{} (width {}, batches of {}), medians of {}, {}\n{}{}{}{}{:.0} GFLOP/s, {:.0} % of a matrix product's {:.0}\nvectors: {}\n{memory}",
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
        result.vectors,
    )
}
