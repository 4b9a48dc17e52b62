//! The readers.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use dcgan_baselines::kmeans::KMeans;
use dcgan_dedup::Autoencoder;
use dcgan_dedup::group::read_groups;
use dcgan_dedup::hash::{Codes, read_keys};
use dcgan_engine::manifest::{Manifest, parse_arguments};
use dcgan_engine::record::Record;
use dcgan_eval::{FeatureSet, Standard};
use dcgan_fetch::{ContentRange, Limits, check_ledger, unpack_tar_gz, unpack_zip};
use dcgan_gan::classifier::Classifier;
use dcgan_gan::released::{ReleasedSet, import};
use dcgan_gan::supervised::Supervised;
use dcgan_gan::{Discriminator, Generator, read_z};
use dcgan_images::{
    Damaged, DecodeConfig, Filter, ImageStore, Source, Split, decode, decode_thumbnail, read_boxes,
};
use dcgan_metrics::Statistics;
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_stages::KINDS;
use dcgan_watch::asked_for;

use crate::Target;
use crate::scratch::with_files;

/// All targets.
pub const TARGETS: [Target; 27] = [
    Target { name: "cifar10", run: cifar10 },
    Target { name: "svhn", run: svhn },
    Target { name: "mnist", run: mnist },
    Target { name: "lsun", run: lsun },
    Target { name: "imagenet_tar", run: imagenet_tar },
    Target { name: "tar_shards", run: tar_shards },
    Target { name: "image_parquet", run: image_parquet },
    Target { name: "image_folder", run: image_folder },
    Target { name: "picture", run: picture },
    Target { name: "store_images", run: store_images },
    Target { name: "store_index", run: store_index },
    Target { name: "store_meta", run: store_meta },
    Target { name: "features", run: features },
    Target { name: "labels", run: labels },
    Target { name: "statistics", run: statistics },
    Target { name: "codes", run: codes },
    Target { name: "z", run: z },
    Target { name: "boxes", run: boxes },
    Target { name: "groups", run: groups },
    Target { name: "released_weights", run: released_weights },
    Target { name: "checkpoint", run: checkpoint },
    Target { name: "manifest", run: manifest },
    Target { name: "stage_record", run: stage_record },
    Target { name: "unpack_tar_gz", run: unpack_tar },
    Target { name: "unpack_zip", run: unpack_a_zip },
    Target { name: "fetch_texts", run: fetch_texts },
    Target { name: "watch_head", run: watch_head },
];

/// Pictures of more pixels are refused.
const MAX_PIXELS: u64 = 1 << 18;
/// Records looked at; a small file may hold very many.
const MAX_RECORDS: usize = 1000;

fn read_all(source: &Source) {
    let _ = source.n_images();
    let _ = source.class_names();
    if let Ok(records) = source.records() {
        records.take(MAX_RECORDS).for_each(drop);
    }
}

fn cifar10(data: &[u8]) {
    with_files(&[("test_batch.bin", data), ("batches.meta.txt", data)], |folder| {
        read_all(&Source::Cifar10 { path: folder.into(), split: Split::Test });
    });
}

fn svhn(data: &[u8]) {
    with_files(&[("train_32x32.mat", data)], |folder| {
        read_all(&Source::Svhn { path: folder.join("train_32x32.mat") });
    });
}

/// As pictures, and as labels of ten pictures.
fn mnist(data: &[u8]) {
    let ten = [&[0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1][..], &[7; 10]].concat();
    with_files(&[("data", data), ("images", &ten)], |folder| {
        read_all(&Source::Mnist { images: folder.join("data"), labels: None });
        read_all(&Source::Mnist { images: folder.join("images"), labels: Some(folder.join("data")) });
    });
}

fn lsun(data: &[u8]) {
    with_files(&[("lmdb/data.mdb", data)], |folder| read_all(&Source::Lsun { path: folder.join("lmdb") }));
}

/// Makes the checksums of a tar's headers right, without which nothing behind them is read.
fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut tar = data.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..135].iter().take_while(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0usize, |size, digit| size * 8 + usize::from(digit - b'0'));
        at += 512 + size.next_multiple_of(512);
    }
    tar
}

/// A tar as it is, and the outer of two with it as the inner one.
fn imagenet_tar(data: &[u8]) {
    let tar = with_checksums(data);
    let mut outer = vec![0; 512];
    outer[..13].copy_from_slice(b"n01440764.tar");
    outer[124..135].copy_from_slice(format!("{:011o}", tar.len()).as_bytes());
    outer[156] = b'0';
    outer.extend(&tar);
    outer.resize(outer.len().next_multiple_of(512) + 1024, 0);
    for tar in [tar, with_checksums(&outer)] {
        with_files(&[("train.tar", &tar)], |folder| {
            read_all(&Source::ImageNetTar { path: folder.join("train.tar") });
        });
    }
}

fn tar_shards(data: &[u8]) {
    with_files(&[("shards/a.tar", &with_checksums(data))], |folder| {
        read_all(&Source::Tar { path: folder.join("shards"), label: None });
    });
}

fn image_parquet(data: &[u8]) {
    with_files(&[("shards/train-0.parquet", data)], |folder| {
        read_all(&Source::Parquet {
            path: folder.join("shards"),
            split: "train".into(),
            image: "image".into(),
            label: None,
        });
    });
}

/// The bytes as the name of a file and of a class, and as its contents.
fn image_folder(data: &[u8]) {
    let name: String =
        String::from_utf8_lossy(data).chars().filter(|c| !"/\0".contains(*c)).take(40).collect();
    let Ok(folder) = tempfile::tempdir() else { return };
    let class = folder.path().join(format!("n{name}"));
    if fs_err::create_dir_all(&class).is_ok()
        && fs_err::write(class.join(format!("{name}.jpg")), data).is_ok()
    {
        read_all(&Source::Folder { path: folder.path().into(), classes: false });
        read_all(&Source::Folder { path: folder.path().into(), classes: true });
        read_all(&Source::ImageNetFolder { path: folder.path().into() });
    }
}

fn picture(data: &[u8]) {
    let config = DecodeConfig { max_pixels: MAX_PIXELS, damaged: Damaged::Allow };
    if let Ok(picture) = decode(data, config) {
        assert_eq!(picture.pixels.len(), picture.channels * picture.height * picture.width);
    }
    let _ = decode_thumbnail(data, 32, Filter::CatmullRom, config);
}

/// A store of two pictures of 1×2×2, of which one file is another.
fn store_with(name: &str, data: &[u8]) {
    let files = [
        ("images.npy", &include_bytes!("../corpus/store_images/sound")[..]),
        ("index.parquet", &include_bytes!("../corpus/store_index/sound")[..]),
        ("meta.json", &include_bytes!("../corpus/store_meta/sound")[..]),
    ];
    let files = files.map(|(file, sound)| (file, if file == name { data } else { sound }));
    with_files(&files, |folder| {
        if let Ok(store) = ImageStore::open(folder) {
            assert_eq!(store.pixels().len(), store.len() * store.channels() * store.height() * store.width());
            let _ = (store.image(store.len() - 1), store.labels(), store.keys(), store.sources());
        }
        read_all(&Source::Store { path: folder.into() });
    });
}

fn store_images(data: &[u8]) {
    store_with("images.npy", data);
}

fn store_index(data: &[u8]) {
    store_with("index.parquet", data);
}

fn store_meta(data: &[u8]) {
    store_with("meta.json", data);
}

/// Three rows of two features, of which one file is another.
fn features_with(name: &str, data: &[u8]) {
    let files = [
        ("features.npy", &include_bytes!("../corpus/features/sound")[..]),
        ("labels.npy", &include_bytes!("../corpus/labels/sound")[..]),
    ];
    let files = files.map(|(file, sound)| (file, if file == name { data } else { sound }));
    with_files(&files, |folder| {
        if let Ok(set) = FeatureSet::open(folder) {
            assert_eq!(set.values().len(), set.n_rows() * set.n_columns());
            let _ = (set.check_finite(), set.class_counts(), set.row(set.n_rows() - 1));
        }
    });
}

fn features(data: &[u8]) {
    features_with("features.npy", data);
    with_files(&[("standard.npy", data)], |folder| drop(Standard::read(folder, 4)));
}

fn labels(data: &[u8]) {
    features_with("labels.npy", data);
}

fn statistics(data: &[u8]) {
    with_files(&[("a.npz", data)], |folder| {
        if let Ok(found) = Statistics::read(&folder.join("a.npz")) {
            assert_eq!(found.covariance.ncols(), found.n_columns());
        }
    });
}

fn z(data: &[u8]) {
    with_files(&[("z.npy", data)], |folder| {
        let _ = read_z(&folder.join("z.npy"), 4);
    });
}

fn boxes(data: &[u8]) {
    with_files(&[("boxes.csv", data)], |folder| {
        let _ = read_boxes(&folder.join("boxes.csv"), 10, [32, 32]);
    });
}

fn codes(data: &[u8]) {
    with_files(&[("codes.parquet", data)], |folder| {
        let path = folder.join("codes.parquet");
        let _ = (Codes::read(&path), read_keys(&path, |_| true));
    });
}

fn groups(data: &[u8]) {
    with_files(&[("groups.parquet", data)], |folder| drop(read_groups(&folder.join("groups.parquet"))));
}

/// As the first kernel of the ImageNet network, which is imported as far as it is there.
fn released_weights(data: &[u8]) {
    with_files(&[("30_discrim_params.jl_01.npy", data)], |folder| {
        drop(import(ReleasedSet::Imagenet, folder, &Device::Cpu));
    });
}

fn checkpoint(data: &[u8]) {
    with_files(&[("d.safetensors", data)], |folder| {
        let path = folder.join("d.safetensors");
        drop(Checkpoint::load(&path, &Device::Cpu));
        drop(Discriminator::load(&path, &Device::Cpu));
        drop(Generator::load(&path, &Device::Cpu));
        drop(Autoencoder::load(&path));
        drop(Classifier::load(&path, &dcgan_nn::device::Device::CPU));
        drop(Supervised::load(&path, &dcgan_nn::device::Device::CPU));
        drop(KMeans::load(&path));
    });
}

/// Lines that begin with `#--set ` are given as such arguments, and as arguments of a stage alone.
fn manifest(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let sets: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("#--set ")).map(str::to_owned).collect();
    match Manifest::parse(Path::new("fuzz.toml"), text, &sets, &KINDS) {
        Ok(manifest) => drop(dcgan_stages::graph::mermaid(&manifest)),
        Err(error) => drop(error.to_string()),
    }
    for kind in ["import_images", "train_gan", "fetch"] {
        if let Err(error) = parse_arguments(kind, &sets, &KINDS) {
            drop(error.to_string());
        }
    }
}

fn stage_record(data: &[u8]) {
    with_files(&[("record/stage.json", data)], |folder| {
        if let Ok(Some(record)) = Record::read(&folder.join("record")) {
            drop(record.fingerprint());
        }
    });
}

const LIMITS: Limits = Limits { entries: 100, bytes: 1 << 20, ratio: 100 };

fn unpack_tar(data: &[u8]) {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = packed.write_all(&with_checksums(data)).and_then(|()| packed.finish());
    let Ok(packed) = packed else { return };
    for bytes in [data, &packed] {
        unpack("a.tar.gz", bytes, |archive, target| {
            drop(unpack_tar_gz(archive, target, LIMITS, &mut |_| ControlFlow::Continue(())));
        });
    }
}

fn unpack_a_zip(data: &[u8]) {
    unpack("a.zip", data, |archive, target| {
        drop(unpack_zip(archive, target, LIMITS, &mut |_| ControlFlow::Continue(())));
    });
}

/// Unpacks, and checks that nothing came out beside the target and nothing but files and folders.
fn unpack(name: &str, data: &[u8], how: impl FnOnce(&Path, &Path)) {
    with_files(&[(name, data)], |folder| {
        let outer = folder.join("unpacked");
        let _ = fs_err::remove_dir_all(&outer);
        how(&folder.join(name), &outer.join("target"));
        let mut open = vec![outer.clone()];
        let mut n_bytes = 0;
        while let Some(folder) = open.pop() {
            for entry in fs_err::read_dir(&folder).into_iter().flatten().flatten() {
                let kind = entry.file_type().map(|kind| (kind.is_dir(), kind.is_file()));
                assert!(folder != outer || entry.file_name() == "target", "{:?}", entry.path());
                match kind {
                    Ok((true, _)) => open.push(entry.path()),
                    Ok((_, true)) => n_bytes += entry.metadata().map_or(0, |metadata| metadata.len()),
                    _ => assert!(kind.is_err(), "{:?}", entry.path()),
                }
            }
        }
        assert!(n_bytes <= LIMITS.bytes, "{n_bytes}");
    });
}

/// A ledger, a header `Content-Range`, a checksum.
fn fetch_texts(data: &[u8]) {
    drop(check_ledger(Path::new("ledger"), data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (ContentRange::parse(text), text.parse::<dcgan_fetch::Checksum>());
    }
}

/// What is answered is a path of printable text, asked of this machine.
fn watch_head(data: &[u8]) {
    if let Some(path) = asked_for(data) {
        assert!(!path.is_empty() && !path.chars().any(|c| c.is_ascii_control() || c == ' '), "{path:?}");
    }
}
