//! The tables: features, the SVHN and CIFAR-10 protocols, figures.
