//! The supervised CNN of Table 2: the discriminator's architecture, trained with labels alone.
//!
//! The convolutions are those of D, batch norm and LeakyReLU with them, and start from the same random weights; its last layer is a
//! linear map, without a bias as D's, to one output a class. It is trained by the cross-entropy of their softmax with Adam, with
//! dropout on what goes into that layer. For predictions batch norm takes the statistics of the training pictures, inferred as
//! for features ([`FeatureExtractor`](crate::FeatureExtractor)). How the paper trained it is unstated but for this: random search
//! over 64 hyper-parameter trials, the best by validation error, of 1000 labels.
//!
//! | module | holds |
//! | --- | --- |
//! | `network` | the network with its statistics, its predictions, its file |
//! | `fit` | one training with early stopping on validation pictures |
//! | `config` | what parameters are drawn from |
//! | `search` | many trainings, each of parameters drawn at random |
//! | `trials` | what is kept of each, and their table |

mod config;
mod fit;
mod network;
mod search;
#[cfg(test)]
mod testing;
mod trials;

pub use config::SearchConfig;
pub use fit::{Examples, Fitted, Parameters, Score, Stopping, fit};
pub use network::Supervised;
pub use search::{Found, search};
pub use trials::{FOLDER, Outcome, TABLE, Trained, Trial, n_kept, write_table};

/// Name of the file that a network is kept in.
pub const FILE: &str = "supervised.safetensors";
