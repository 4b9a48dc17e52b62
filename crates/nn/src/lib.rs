//! candle, made fit to train a DCGAN.
