//! Run last, with `--nocapture`: says which tests that need something ran, and which were skipped.

use dcgan_testing::{LOG, summary};

#[test]
fn what_needs_something_is_counted_and_named() {
    let Some(path) = std::env::var_os(LOG) else { return };
    // No test has written a line: none needs anything.
    let lines = std::fs::read_to_string(path).unwrap_or_default();
    print!("\n{}", summary(&lines));
}
