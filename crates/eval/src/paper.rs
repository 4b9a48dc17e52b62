//! The published rows of Tables 1 to 3 and of the de-duplication, to stand beside ours.
//!
//! Source: Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
//! Adversarial Networks", ICLR 2016, Tables 1 and 2, section 4.1.1, and Table 3 of the supplementary material.

use serde::Serialize;

/// A table of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaperTable {
    /// Its name in the paper, such as "Table 2".
    pub name: &'static str,
    /// What the published rows were measured on.
    pub caption: &'static str,
    /// What the values of each row are, in their order.
    pub columns: &'static [PaperColumn],
    /// The rows, in the paper's order.
    pub rows: &'static [PaperRow],
}

/// What one column of a [`PaperTable`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaperColumn {
    /// Name, such as "accuracy".
    pub name: &'static str,
    /// What it was measured with in the paper, such as "400 per class"; empty where that goes without saying.
    pub with: &'static str,
    /// Unit of the values: "%" or "" for counts.
    pub unit: &'static str,
}

/// A published row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaperRow {
    /// The method, as the paper names it.
    pub method: &'static str,
    /// One value a column; none where the paper has none.
    pub values: &'static [Option<PaperValue>],
    /// What sets the row apart, empty for most.
    pub note: &'static str,
}

/// A published number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaperValue {
    /// The number, in the column's unit.
    pub value: f64,
    /// What is published after its ±, in the same unit.
    pub deviation: Option<f64>,
    /// What stands before the number, such as "about " or "below "; empty for most.
    pub before: &'static str,
}

/// Table 1: classification of CIFAR-10, accuracy in per cent.
pub const TABLE_1: PaperTable = PaperTable {
    name: "Table 1",
    caption: "CIFAR-10 classification; DCGAN was trained on ImageNet-1k, its features classified by an L2-SVM",
    columns: &[
        PaperColumn { name: "accuracy", with: "all 50,000 labels", unit: "%" },
        PaperColumn { name: "accuracy", with: "400 per class", unit: "%" },
        PaperColumn { name: "max number of feature units", with: "", unit: "" },
    ],
    rows: &[
        row("1 Layer K-means", &[plain(80.6), spread(63.7, 0.7), plain(4800.0)]),
        row("3 Layer K-means Learned RF", &[plain(82.0), spread(70.7, 0.7), plain(3200.0)]),
        row("View Invariant K-means", &[plain(81.9), spread(72.6, 0.7), plain(6400.0)]),
        row("Exemplar CNN", &[plain(84.3), spread(77.4, 0.2), plain(1024.0)]),
        PaperRow {
            method: "DCGAN (ours) + L2-SVM",
            values: &[plain(82.8), spread(73.8, 0.4), plain(512.0)],
            note: "28,672 features from a discriminator trained on ImageNet-1k, never on CIFAR-10",
        },
    ],
};

/// Table 2: SVHN with 1000 labels, test error in per cent.
pub const TABLE_2: PaperTable = PaperTable {
    name: "Table 2",
    caption: "SVHN classification with 1000 labels",
    columns: &[
        PaperColumn { name: "test error", with: "1,000 labels", unit: "%" },
        PaperColumn { name: "validation error", with: "1,000 labels", unit: "%" },
    ],
    rows: &[
        row("KNN", &[plain(77.93), None]),
        row("TSVM", &[plain(66.55), None]),
        row("M1+KNN", &[plain(65.63), None]),
        row("M1+TSVM", &[plain(54.33), None]),
        row("M1+M2", &[plain(36.02), None]),
        row("SWWAE without dropout", &[plain(27.83), None]),
        row("SWWAE with dropout", &[plain(23.56), None]),
        row("DCGAN (ours) + L2-SVM", &[plain(22.48), None]),
        PaperRow {
            method: "DCGAN (ours) + L2-SVM, as cited later",
            values: &[spread(22.18, 1.13), None],
            note: "a later paper's figure for the same method; not in the paper's own table",
        },
        PaperRow {
            method: "Supervised CNN with the same architecture",
            values: &[None, plain(28.87)],
            note: "best of 64 random hyper-parameter trials; its test error is not published",
        },
    ],
};

/// Table 3: one nearest neighbour on MNIST, trained on generated digits, test error in per cent.
#[allow(clippy::approx_constant, reason = "6.28 % is no circle's")]
pub const TABLE_3: PaperTable = PaperTable {
    name: "Table 3",
    caption: "1-NN on MNIST's test digits, trained on digits that a conditional generator drew (supplementary material)",
    columns: &[
        PaperColumn { name: "test error", with: "10,000 digits", unit: "%" },
        PaperColumn { name: "test error", with: "50,000 digits", unit: "%" },
        PaperColumn { name: "test error", with: "10,000,000 digits", unit: "%" },
    ],
    rows: &[
        PaperRow {
            method: "Real data",
            values: &[None, plain(3.1), None],
            note: "the training digits themselves",
        },
        row("GAN", &[None, plain(6.28), plain(5.65)]),
        row("DCGAN (ours)", &[None, plain(2.98), plain(1.48)]),
    ],
};

/// Near-duplicates among LSUN's bedrooms, section 4.1.1.
pub const DUPLICATES: PaperTable = PaperTable {
    name: "De-duplication",
    caption: "near-duplicates removed from LSUN's bedrooms, a little over 3 million pictures (section 4.1.1)",
    columns: &[
        PaperColumn { name: "pictures removed", with: "", unit: "" },
        PaperColumn { name: "of all", with: "", unit: "%" },
        PaperColumn { name: "pairs that are not the same, by eye", with: "", unit: "%" },
    ],
    rows: &[PaperRow {
        method: "Denoising autoencoder, equal codes",
        values: &[round("about ", 275_000.0), round("about ", 9.1), round("below ", 1.0)],
        note: "9.1 % is 275,000 of LSUN's 3,033,042; the false-positive rate was estimated by looking at colliding pairs",
    }],
};

const fn round(before: &'static str, value: f64) -> Option<PaperValue> {
    Some(PaperValue { value, deviation: None, before })
}

const fn row(method: &'static str, values: &'static [Option<PaperValue>]) -> PaperRow {
    PaperRow { method, values, note: "" }
}

const fn plain(value: f64) -> Option<PaperValue> {
    Some(PaperValue { value, deviation: None, before: "" })
}

const fn spread(value: f64, deviation: f64) -> Option<PaperValue> {
    Some(PaperValue { value, deviation: Some(deviation), before: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_fills_every_column() {
        for table in [TABLE_1, TABLE_2, TABLE_3, DUPLICATES] {
            for row in table.rows {
                assert_eq!(row.values.len(), table.columns.len(), "{}: {}", table.name, row.method);
            }
        }
    }
}
