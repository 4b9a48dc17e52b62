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
const LONGEST: Duration = Duration::from_secs(5);
/// Address space of this process, which the threads' stacks and the program itself take a part of.
const MEMORY: u64 = 3 << 30;

fn check(target: Target, input: &[u8], what: &str) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    if outcome.is_err() || took > LONGEST {
        let path = std::env::temp_dir().join(format!("dcgan-fuzz-{}", target.name));
        std::fs::write(&path, input).unwrap();
        let fault = if outcome.is_err() { "panicked".to_owned() } else { format!("took {took:?}") };
        panic!("{}: {what} {fault}; the input is in {}", target.name, path.display());
    }
}

/// One test, so that the limit on memory holds for one target at a time.
#[test]
fn no_reader_panics_hangs_or_takes_all_memory() {
    memory::limit(MEMORY).unwrap();
    for target in TARGETS {
        let inputs = corpus(target).unwrap();
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (name, input) in &inputs {
            check(target, input, name);
        }
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
        let (began, mut n) = (Instant::now(), 0);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        while n < N_MUTATIONS && began.elapsed() < SHARE {
            let input = mutate(&inputs[n % inputs.len()], &inputs, &mut rng);
            check(target, &input, &format!("mutation {n}"));
            n += 1;
        }
        println!("{}: {} inputs, {n} mutations", target.name, inputs.len());
    }
}
