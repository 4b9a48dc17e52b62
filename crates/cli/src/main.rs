//! The `dcgan` binary.

fn main() {}
