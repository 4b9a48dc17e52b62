//! Readers, the image store, seeded batches, grids and synthetic data sets.

pub mod synthetic;
