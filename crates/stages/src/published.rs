//! How many pictures the paper's data sets hold, to hold a run's against.

use std::path::Path;

use dcgan_dedup::group::{GroupConfig, Rule};
use dcgan_engine::paper::{Comparison, Count};
use dcgan_images::{Shard, Source};

/// LSUN's bedrooms: "a little over 3 million" (section 4.1).
pub(crate) const N_BEDROOMS: Count = Count::About(3_033_042);
/// Near-duplicates among them that were removed (section 4.1.1).
const N_DUPLICATES: f64 = 275_000.0;
/// Photos in which faces were looked for, and faces that were found (section 4.2).
pub(crate) const N_PHOTOS: Count = Count::About(3_000_000);
pub(crate) const N_FACES: Count = Count::About(350_000);
/// ImageNet-1k's training pictures.
pub(crate) const N_IMAGENET: Count = Count::Exactly(1_281_167);

/// The data set that a source is in the layout of, and how many pictures it holds; none for pictures of people's own.
fn whole(source: &Source) -> Option<(String, Count)> {
    let set = |name: &str, count| Some((name.to_owned(), count));
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match source {
        Source::Cifar10 { split: dcgan_images::Split::Train, .. } => {
            set("CIFAR-10's training set", Count::Exactly(50_000))
        }
        Source::Cifar10 { split: dcgan_images::Split::Test, .. } => {
            set("CIFAR-10's test set", Count::Exactly(10_000))
        }
        Source::Svhn { path } => {
            let name = file_name(path);
            let counts =
                [("train_", "training", 73_257), ("test_", "test", 26_032), ("extra_", "extra", 531_131)];
            let (_, part, n) = counts.into_iter().find(|(start, ..)| name.starts_with(start))?;
            set(&format!("SVHN's {part} set"), Count::Exactly(n))
        }
        Source::Mnist { images, .. } if file_name(images).starts_with("train") => {
            set("MNIST's training set", Count::Exactly(60_000))
        }
        Source::Mnist { .. } => set("MNIST's test set", Count::Exactly(10_000)),
        Source::ImageNetTar { .. } | Source::ImageNetFolder { .. } => {
            set("ImageNet-1k's training set", N_IMAGENET)
        }
        Source::Lsun { .. } => set("LSUN's bedrooms", N_BEDROOMS),
        Source::Folder { .. } | Source::Tar { .. } | Source::Parquet { .. } | Source::Store { .. } => None,
    }
}

/// Compares how many pictures were read with how many the whole set holds. `is_made` tells that an earlier stage made the
/// files.
pub(crate) fn compare(source: &Source, n_images: u64, is_made: bool) -> Comparison {
    let mut comparison = Comparison::of_settings();
    match whole(source) {
        Some((set, count)) => {
            let of = if is_made { "in place of" } else { "of" };
            comparison.count(&format!("pictures {of} {set}"), n_images as usize, count);
        }
        None => {
            let n = dcgan_engine::paper::grouped(n_images as usize);
            comparison.not_checked.push(format!("{n} pictures of {source}: not a data set of the paper's"));
        }
    }
    comparison
}

/// Of a part of a set, that the whole is compared elsewhere.
pub(crate) fn part(shard: Shard, n_images: u64) -> Comparison {
    let mut comparison = Comparison::of_settings();
    let n = dcgan_engine::paper::grouped(n_images as usize);
    comparison
        .not_checked
        .push(format!("{n} pictures, the part {shard} of a set: `merge` compares the whole"));
    comparison
}

/// Compares how many near-duplicates were found among how many pictures.
pub(crate) fn compare_duplicates(n_found: u64, n_images: u64) -> Comparison {
    let mut comparison = Comparison::of_settings();
    comparison.count("pictures searched for near-duplicates", n_images as usize, N_BEDROOMS);
    let (share, papers) =
        (100.0 * n_found as f64 / (n_images as f64).max(1.0), 100.0 * N_DUPLICATES / 3_033_042.0);
    let said = format!("{share:.2} % of the pictures are near-duplicates of others");
    match (share - papers).abs() <= 0.05 * papers {
        true => comparison.equal.push(said),
        false => {
            comparison.differences.push(format!("{said}, not about {papers:.1} % (275,000, section 4.1.1)"))
        }
    }
    comparison
}

/// Compares the rule by which near-duplicates are found with the paper's, equal codes.
pub(crate) fn compare_rule(grouping: &GroupConfig) -> Comparison {
    let mut comparison = Comparison::of_settings();
    match grouping.rule {
        Rule::Exact => comparison.equal.push("near-duplicates by equal codes".to_owned()),
        Rule::Near => comparison.differences.push(format!(
            "near-duplicates by codes within {} bits and a second look, not by equal codes (section 4.1.1)",
            grouping.radius
        )),
        Rule::Phash => comparison.differences.push(format!(
            "near-duplicates by perceptual hashes within {} of 64 bits, not by equal codes (section 4.1.1)",
            grouping.phash_radius
        )),
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_data_sets_are_told_from_the_whole() {
        let svhn = |name: &str| Source::Svhn { path: Path::new("d").join(name) };
        assert_eq!(
            compare(&svhn("train_32x32.mat"), 73_257, false).equal,
            ["73,257 pictures of SVHN's training set"]
        );
        assert_eq!(
            compare(&svhn("test_32x32.mat"), 300, true).differences,
            ["300 pictures in place of SVHN's test set, not 26,032"]
        );
        let lsun = Source::Lsun { path: "bedrooms".into() };
        assert_eq!(
            compare(&lsun, 3_012, false).differences,
            ["3,012 pictures of LSUN's bedrooms, not about 3,033,042"]
        );
        let folder = compare(&Source::Store { path: "faces".into() }, 5, false);
        assert!(folder.differences.is_empty() && folder.equal.is_empty());
        assert!(folder.not_checked[0].starts_with("5 pictures of "), "{folder:?}");
        assert!(folder.not_checked[0].ends_with(": not a data set of the paper's"), "{folder:?}");
    }

    #[test]
    fn duplicates_are_compared_by_their_share() {
        let found = compare_duplicates(6, 3_012);
        assert_eq!(
            found.differences,
            [
                "3,012 pictures searched for near-duplicates, not about 3,033,042",
                "0.20 % of the pictures are near-duplicates of others, not about 9.1 % (275,000, section 4.1.1)"
            ]
        );
        assert!(compare_duplicates(275_000, 3_033_042).differences.is_empty());
    }
}
