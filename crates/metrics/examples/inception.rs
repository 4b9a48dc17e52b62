//! Runs Inception-v3 on the pictures of a folder, in the order of their names.
//!
//!     cargo run --release -p dcgan-metrics --example inception -- WEIGHTS FOLDER pytorch_fid|torch_fidelity|clean OUT
//!
//! OUT gets f32 rows of 2048 features, 1008 logits and the same without the classifier's bias. Says how long reading the weights and
//! running took, and the most memory. `inception.py` beside this compares the rows with those of other programs.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dcgan_images::{DecodeConfig, Picture, decode};
use dcgan_metrics::inception::{CLASSES, FEATURES, Inception, Resize, Rows};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, folder, resize, out] = arguments.as_slice() else {
        return Err("expected WEIGHTS FOLDER RESIZE OUT".into());
    };
    let resize: Resize = serde_json::from_value(resize.as_str().into())?;
    let start = Instant::now();
    let inception = Inception::open(Path::new(weights))?;
    eprintln!("weights read in {:.2} s", start.elapsed().as_secs_f64());
    let pictures = pictures(Path::new(folder))?;
    let (start, before) = (Instant::now(), processor_seconds()?);
    let rows = inception.run(&pictures, resize, &mut |_, _| ControlFlow::Continue(()))?;
    let seconds = start.elapsed().as_secs_f64();
    let (n, processor) = (pictures.len() as f64, processor_seconds()? - before);
    println!("{n} pictures: {:.3} a second, {:.3} a processor's second", n / seconds, n / processor);
    println!("most memory: {} MiB", most_memory()? >> 10);
    fs_err::write(out, bytes(&rows))?;
    Ok(())
}

fn pictures(folder: &Path) -> Result<Vec<Picture>, Box<dyn Error>> {
    let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let config = DecodeConfig::default();
    paths.iter().map(|path| Ok(decode(&fs_err::read(path)?, config)?)).collect()
}

fn bytes(rows: &Rows) -> Vec<u8> {
    let features = rows.features.chunks(FEATURES);
    let logits = rows.logits.chunks(CLASSES).zip(rows.logits_unbiased.chunks(CLASSES));
    let rows =
        features.zip(logits).flat_map(|(features, (logits, unbiased))| [features, logits, unbiased].concat());
    rows.flat_map(f32::to_le_bytes).collect()
}

/// Seconds that all threads have computed so far.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// KiB.
fn most_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
