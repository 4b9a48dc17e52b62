//! The measures of two `.npy` files of features, as JSON with the seconds that each took: what `peers.py` runs beside the packages.
//!
//! ```text
//! measures REAL.npy GENERATED.npy [frechet] [kernel] [prdc] [inception_score] [write=STATISTICS.npz] [read=STATISTICS.npz]
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use dcgan_metrics::frechet::{Reference, frechet};
use dcgan_metrics::inception_score::inception_score;
use dcgan_metrics::kernel::kernel_distance;
use dcgan_metrics::prdc::prdc;
use dcgan_metrics::{Features, Statistics};
use ndarray::Array2;
use ndarray_npy::ReadNpyExt as _;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn read(path: &str) -> Outcome<Array2<f32>> {
    Ok(Array2::read_npy(std::io::BufReader::new(fs_err::File::open(path)?))?)
}

/// Most memory that the process held so far, in MiB, where the system tells.
fn peak() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn features<'a>(side: &'static str, array: &'a Array2<f32>) -> Outcome<Features<'a>> {
    let values = array.as_slice().ok_or("expected rows one after another")?;
    Ok(Features::new(side, values, array.ncols())?)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(real), Some(generated)) = (arguments.next(), arguments.next()) else {
        return Err("expected REAL.npy GENERATED.npy and what to measure".into());
    };
    let (real, generated) = (read(&real)?, read(&generated)?);
    let (real, generated) = (features("real", &real)?, features("generated", &generated)?);
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for what in arguments {
        let began = Instant::now();
        let value = measure(&what, &real, &generated)?;
        let seconds = began.elapsed().as_secs_f64();
        found.insert(what, json!({"value": value, "seconds": seconds, "peak_mib": peak()}));
    }
    println!("{}", serde_json::to_string_pretty(&found)?);
    Ok(())
}

fn measure(what: &str, real: &Features<'_>, generated: &Features<'_>) -> Outcome<Value> {
    let mut go_on = |_, _| ControlFlow::Continue(());
    Ok(match what.split_once('=') {
        Some(("write", path)) => {
            Statistics::of(real)?.write(Path::new(path))?;
            Value::Null
        }
        Some(("read", path)) => {
            let reference = Reference::new(Statistics::read(Path::new(path))?)?;
            serde_json::to_value(reference.distance(&Statistics::of(generated)?)?)?
        }
        _ => match what {
            "frechet" => serde_json::to_value(frechet(real, generated)?)?,
            "kernel" => {
                serde_json::to_value(kernel_distance(real, generated, &Default::default(), &mut go_on)?)?
            }
            "prdc" => serde_json::to_value(prdc(real, generated, 5, (0, 0), &mut go_on)?)?,
            "inception_score" => serde_json::to_value(inception_score(generated, &Default::default())?)?,
            other => return Err(format!("expected a measure, found {other}").into()),
        },
    })
}
