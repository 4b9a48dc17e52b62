//! Mutates the corpus for as long as one likes: `fuzz [--seconds S] [--seed N] [TARGET …]`.
//!

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dcgan_fuzz::{TARGETS, Target, corpus, memory, mutate::mutate, target};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MEMORY: u64 = 3 << 30;
/// An input that takes longer is a finding.
const LONGEST: Duration = Duration::from_secs(2);

/// When the present input began, in milliseconds since the start, and which it is.
static BEGAN: AtomicU64 = AtomicU64::new(0);
static LAST: Mutex<Option<PathBuf>> = Mutex::new(None);

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut seed, mut targets) = (60.0, 1, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(1.0);
        match argument.as_str() {
            "--seconds" => seconds = value(),
            "--seed" => seed = value() as u64,
            name => match target(name) {
                Some(target) => targets.push(target),
                None => return Err(std::io::Error::other(format!("there is no target {name}"))),
            },
        }
    }
    if targets.is_empty() {
        targets = TARGETS.to_vec();
    }
    memory::limit(MEMORY)?;
    let start = Instant::now();
    std::thread::spawn(move || watch(start));
    // A finding is told below, not by the panic itself.
    std::panic::set_hook(Box::new(|_| {}));
    for target in targets {
        fuzz(target, Duration::from_secs_f64(seconds), seed, start)?;
    }
    Ok(())
}

/// Ends the process if an input takes far too long.
fn watch(start: Instant) {
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let began = BEGAN.load(Ordering::SeqCst);
        if began > 0 && start.elapsed() > Duration::from_millis(began) + 10 * LONGEST {
            eprintln!("hangs: {:?}", LAST.lock().ok().and_then(|last| last.clone()));
            std::process::exit(1);
        }
    }
}

fn fuzz(target: Target, limit: Duration, seed: u64, start: Instant) -> std::io::Result<()> {
    let inputs: Vec<Vec<u8>> = corpus(target)?.into_iter().map(|(_, input)| input).collect();
    let folder = std::env::temp_dir().join("dcgan-fuzz");
    fs_err::create_dir_all(&folder)?;
    // What ends the process is found here.
    let last = folder.join(format!("{}-last", target.name));
    if let Ok(mut path) = LAST.lock() {
        *path = Some(last.clone());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (began, mut n, mut n_found) = (Instant::now(), 0u64, 0);
    while began.elapsed() < limit && n_found < 20 {
        let base = &inputs[rng.random_range(0..inputs.len())];
        let input = mutate(base, &inputs, &mut rng);
        fs_err::write(&last, &input)?;
        BEGAN.store(start.elapsed().as_millis() as u64 + 1, Ordering::SeqCst);
        let one = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        BEGAN.store(0, Ordering::SeqCst);
        n += 1;
        if outcome.is_err() || one.elapsed() > LONGEST {
            n_found += 1;
            let path = folder.join(format!("{}-{n_found}", target.name));
            fs_err::write(&path, &input)?;
            let text = outcome.err().map(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default()
            });
            let fault = text.unwrap_or_else(|| format!("took {:?}", one.elapsed()));
            println!("{}: {} ({fault})", target.name, path.display());
        }
    }
    fs_err::remove_file(&last)?;
    println!("{}: {n} executions in {:.0} s, {n_found} findings", target.name, began.elapsed().as_secs_f64());
    Ok(())
}
