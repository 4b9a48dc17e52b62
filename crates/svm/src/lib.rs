//! The L2-SVM of LIBLINEAR as a linfa estimator.
