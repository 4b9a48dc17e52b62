//! Every input of the corpus, and a few thousand mutations of them, the same in every run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dcgan_fuzz::{TARGETS, Target, corpus, memory, mutate::mutate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Mutations a target: as many as fit in its share of the time, up to so many.
const N_MUTATIONS: usize = 4000;
const SHARE: Duration = Duration::from_millis(700);
/// No input may take longer.
const LONGEST: Duration = Duration::from_secs(20);
/// Address space of this process, which the threads' stacks and the program itself take a part of.
const MEMORY: u64 = 3 << 30;

/// Runs one input; an error says what it did and where it is kept.
fn check(target: Target, input: &[u8], what: &str) -> Result<(), String> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    if outcome.is_ok() && took <= LONGEST {
        return Ok(());
    }
    let path = std::env::temp_dir().join(format!("dcgan-fuzz-{}", target.name));
    std::fs::write(&path, input).unwrap();
    let fault = if outcome.is_err() { "panicked".to_owned() } else { format!("took {took:?}") };
    Err(format!("{}: {what} {fault}; the input is in {}", target.name, path.display()))
}

fn check_all(target: Target) -> Result<(), String> {
    let inputs = corpus(target).map_err(|error| error.to_string())?;
    for (name, input) in &inputs {
        check(target, input, name)?;
    }
    let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
    let (began, mut n) = (Instant::now(), 0);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    while n < N_MUTATIONS && began.elapsed() < SHARE {
        let input = mutate(&inputs[n % inputs.len()], &inputs, &mut rng);
        check(target, &input, &format!("mutation {n}"))?;
        n += 1;
    }
    println!("{}: {} inputs, {n} mutations", target.name, inputs.len());
    Ok(())
}

/// One test, so that the limit on memory holds for one target at a time.
#[test]
fn no_reader_panics_hangs_or_takes_all_memory() {
    memory::limit(MEMORY).unwrap();
    // Panics that a reader turns into errors are not worth a line each.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcomes: Vec<Result<(), String>> = TARGETS.into_iter().map(check_all).collect();
    std::panic::set_hook(hook);
    let faults: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
