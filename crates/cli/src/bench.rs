//! `dcgan bench`.

use dcgan_pipeline::bench::{self, BenchOptions, BenchResult};
use dcgan_pipeline::progress::Progress;

use crate::args::{BenchArgs, BenchKind};
use crate::verbs::{Usage, print};

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
        batch_size: args.batch,
        n_steps: args.steps,
        device: args.device.device.unwrap_or_default(),
    };
    let result = bench::bench(&options, progress)?;
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&result)?))
    } else {
        print(&text(&result))
    }
}

fn text(result: &BenchResult) -> String {
    format!(
        "{:?} {} (width {}, batches of {}): {:.1} pictures/s over the median of {} batches, {}\n",
        result.kind,
        result.architecture.as_str(),
        result.width,
        result.batch_size,
        result.images_per_s,
        result.seconds.len(),
        result.environment.line()
    )
}
