//! The target that the environment variable `DCGAN_FUZZ` names.

#![no_main]

use std::sync::LazyLock;

use dcgan_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("DCGAN_FUZZ").expect("DCGAN_FUZZ names a target");
    dcgan_fuzz::target(&name).expect("DCGAN_FUZZ names a target of crates/fuzz")
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
