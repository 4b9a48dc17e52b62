//! The networks of the DCGAN paper: architectures, training, samples, released weights.
