//! Which vector instructions the kernels of all crates are run with: the one table of them.
//!
//! Every kernel is compiled once for each row; the first row that the processor has is used. `DCGAN_VECTORS` (`avx2`, `scalar`) leaves
//! out what is wider, so that a run can be repeated as another machine would do it. Matrix products of candle's and faer's keep to the processor.

use std::sync::OnceLock;

use pulp::Arch;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// 512 bits wide, x86-64.
    Avx512,
    /// 256 bits wide, with multiplication and addition at once, x86-64.
    Avx2,
    /// 128 bits wide, 64-bit ARM.
    Neon,
    /// None beyond what every processor of the system's kind has.
    Scalar,
}

impl Vectors {
    /// Widest first.
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// Its name in `DCGAN_VECTORS`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }

    /// As `pulp` has it, if the processor does.
    fn arch(self) -> Option<Arch> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            Self::Scalar => Some(Arch::Scalar),
            #[allow(unreachable_patterns, reason = "every row belongs to some processors only")]
            _ => None,
        }
    }

    /// The row that is used.
    pub fn used() -> Self {
        used().0
    }
}

/// What the variable `DCGAN_VECTORS` says is looked at once.
fn used() -> (Vectors, Arch) {
    static USED: OnceLock<(Vectors, Arch)> = OnceLock::new();
    *USED.get_or_init(|| first(std::env::var("DCGAN_VECTORS").ok().as_deref()))
}

/// The first row, not wider than the one that is named, that the processor has.
fn first(named: Option<&str>) -> (Vectors, Arch) {
    let widest = Vectors::ALL.iter().position(|row| named == Some(row.name())).unwrap_or(0);
    let found = Vectors::ALL[widest..].iter().find_map(|&row| Some((row, row.arch()?)));
    found.unwrap_or((Vectors::Scalar, Arch::Scalar))
}

/// The row that is used as `pulp` has it.
#[inline]
pub fn arch() -> Arch {
    used().1
}

/// What the kernels use, in words.
pub fn description() -> String {
    let row = match Vectors::used() {
        Vectors::Avx512 => "AVX-512",
        Vectors::Avx2 => "AVX2 and FMA",
        Vectors::Neon => "NEON",
        Vectors::Scalar => "none beyond the system's least",
    };
    let bf16 = if multiplies_bf16().is_ok() { ", AVX512_BF16" } else { "" };
    let less = if Vectors::used() == first(None).0 { "" } else { " (by DCGAN_VECTORS)" };
    format!("{row}{bf16}{less}")
}

/// Why products of bf16 are not computed here, where they are not: they take AVX512_BF16.
///
/// # Errors
/// What is missing.
pub fn multiplies_bf16() -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    {
        static IS_THERE: OnceLock<bool> = OnceLock::new();
        if Vectors::used() != Vectors::Avx512 {
            return Err(
                "bf16 on the CPU takes AVX-512, which this processor lacks or DCGAN_VECTORS leaves out"
                    .into(),
            );
        }
        match *IS_THERE.get_or_init(|| std::arch::is_x86_feature_detected!("avx512bf16")) {
            true => Ok(()),
            false => Err("bf16 on the CPU takes AVX512_BF16, which this processor lacks".into()),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    Err("bf16 on the CPU takes AVX512_BF16, which only x86-64 processors have".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leaves_out_what_is_wider() {
        let widest = first(None).0;
        assert_eq!(first(Some(widest.name())).0, widest);
        assert_eq!(first(Some("scalar")).0, Vectors::Scalar);
        assert_eq!(first(Some("sse9")).0, widest);
        if widest == Vectors::Avx512 {
            assert_eq!(first(Some("avx2")).0, Vectors::Avx2);
        }
    }
}
