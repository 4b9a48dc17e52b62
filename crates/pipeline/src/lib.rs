//! Manifests: parse, check, fingerprint, run, resume, report.
