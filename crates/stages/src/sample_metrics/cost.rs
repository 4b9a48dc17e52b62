//! Memory and time of Fréchet distances, looked at before anything is computed.

use anyhow::ensure;
use dcgan_engine::memory;
use dcgan_engine::space::bytes;
use dcgan_metrics::Statistics;
use dcgan_metrics::frechet::Cost;
use dcgan_metrics::infinity::POINTS;

/// Operations that take at most about a second.
pub(super) const SECOND: f64 = 2e10;

/// What Fréchet distances are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Real pictures; none where there is a statistics file.
    pub(crate) n_real: Option<usize>,
    pub(crate) n_generated: usize,
    pub(crate) n_columns: usize,
    /// Statistics are written.
    pub(crate) writes: bool,
    /// Distances of several numbers of samples.
    pub(crate) extrapolates: bool,
}

/// Refuses what does not fit into memory; says what takes minutes.
pub(crate) fn check(asked: Asked) -> anyhow::Result<Option<String>> {
    check_with(asked, memory::most())
}

/// Bytes of the file of statistics of `n_columns` features.
///
/// # Errors
///
/// If they are more than such a file can hold, wherever there is room for it.
pub(crate) fn written(n_columns: usize) -> anyhow::Result<u64> {
    let (most, of) = (Statistics::MAX_COLUMNS, |n_columns: usize| 8 * (n_columns as u64).pow(2));
    ensure!(
        n_columns <= most,
        "`write_statistics`: expected at most {most} features, of which a covariance is {}, found {n_columns}",
        bytes(of(most))
    );
    Ok(of(n_columns))
}

fn check_with(asked: Asked, most: Option<u64>) -> anyhow::Result<Option<String>> {
    let Asked { n_real, n_generated, n_columns, writes, extrapolates } = asked;
    let cost = Cost::of(n_real, n_generated, n_columns);
    // Those that are written are of the real set alone.
    let written = if writes { 16.0 * (n_columns as f64).powi(2) } else { 0.0 };
    let needed = cost.bytes.max(written) as u64;
    if let Some(most) = most.filter(|most| needed > *most) {
        anyhow::bail!(
            "a Fréchet distance: expected features that fit into the {} of memory, found {n_columns}, with which it takes about {}; \
             leave it out (`measures`), take other features (`model`), or compare fewer pictures than features (`n_images`, \
             `n_real`), which takes no covariance",
            bytes(most),
            bytes(needed)
        );
    }
    let distances = if extrapolates { POINTS + 1 } else { 1 };
    let minutes = distances as f64 * cost.operations / (2.0 * SECOND) / 60.0;
    Ok((minutes > 1.0).then(|| {
        let what = if extrapolates { format!("{distances} Fréchet distances") } else { "the Fréchet distance".to_owned() };
        format!("{what} of {n_columns} features: about {minutes:.0} minutes on two cores, once the features are there")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: Asked = Asked {
        n_real: Some(60_000),
        n_generated: 60_000,
        n_columns: 49_152,
        writes: false,
        extrapolates: false,
    };

    #[test]
    fn what_does_not_fit_is_refused_before_it_starts() {
        let most = Some(16_000_000_000);
        let message = check_with(PIXELS, most).unwrap_err().to_string();
        assert!(
            message.contains("that fit into the 16.0 GB of memory, found 49152, with which it takes about"),
            "{message}"
        );
        // Fewer pictures than features need no covariance.
        assert_eq!(check_with(Asked { n_real: Some(500), n_generated: 500, ..PIXELS }, most).unwrap(), None);
        assert_eq!(written(12_288).unwrap(), 8 * 12_288 * 12_288);
        let message = written(PIXELS.n_columns).unwrap_err().to_string();
        assert!(message.contains("`write_statistics`: expected at most 32768 features"), "{message}");
    }

    #[test]
    fn what_takes_long_is_said() {
        let asked = Asked { n_real: None, n_columns: 12_288, extrapolates: true, ..PIXELS };
        let said = check_with(asked, Some(64_000_000_000)).unwrap().unwrap();
        // 16·(60,000·12,288² + 12·12,288³) operations.
        assert!(said.contains("16 Fréchet distances of 12288 features: about 209 minutes"), "{said}");
        assert_eq!(check_with(Asked { n_columns: 2048, extrapolates: false, ..asked }, None).unwrap(), None);
    }
}
