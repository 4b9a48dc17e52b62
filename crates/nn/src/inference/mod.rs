//! Networks that only run, on the CPU: convolutions with a kernel made ready once, a bias and a ReLU, which write straight to some of
//! the channels of wider maps; and pooling. Every sum has a fixed order: the bits depend neither on the number of threads nor on how many
//! pictures are run together.

mod filters;
mod maps;
mod pool;

pub use filters::Filters;
pub use maps::Maps;
pub use pool::{average_pool, max_pool, mean};

#[cfg(test)]
mod tests;
