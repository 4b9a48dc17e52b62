//! Fuzzing by coverage, of the one target that `DCGAN_FUZZ_TARGET` names, with libFuzzer's own arguments: see `.ci/fuzz`.
#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::OnceLock;

use dcgan_fuzz::{Target, memory, target};
use libfuzzer_sys::fuzz_target;

/// Address space of this process; AddressSanitizer takes far more, and limits memory itself.
const MEMORY: u64 = 3 << 30;

static TARGET: OnceLock<Target> = OnceLock::new();

/// Ends the process: libFuzzer takes this for a finding, or for a wrong call before the first input.
fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    std::process::abort()
}

fn begin() {
    let name = std::env::var("DCGAN_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = target(&name) else {
        give_up(&format!("DCGAN_FUZZ_TARGET: there is no target {name:?}"))
    };
    let _ = TARGET.set(target);
    let is_limited = std::env::var_os("DCGAN_FUZZ_UNLIMITED").is_none();
    if is_limited && let Err(error) = memory::limit(MEMORY) {
        give_up(&format!("cannot limit memory: {error}"));
    }
    // A panic that a reader turns into an error is no finding; one that leaves the reader is reported below.
    set_hook(Box::new(|_| {}));
}

fuzz_target!(init: begin(), |data: &[u8]| {
    let Some(target) = TARGET.get() else { return };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(data))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        give_up(&format!("{}: panicked: {text}", target.name));
    }
});
