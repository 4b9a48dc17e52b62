//! Real data sets, where `DCGAN_REAL_DATA` names a folder that holds them, against NumPy, SciPy and Pillow.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;

use dcgan_images::{ImageStore, ImportConfig, Source, Split, import};
use dcgan_testing::real_data;

fn imported(source: &Source, config: &ImportConfig, out: &Path) -> ImageStore {
    let summary = import(source, config, out, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(summary.n_bad, 0);
    ImageStore::open(out).unwrap()
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The number of images, the CRC-32 of the pixels (N, C, H, W) and that of the labels as little-endian 32-bit integers.
fn sums(source: &Source, config: &ImportConfig) -> (usize, u32, u32) {
    let folder = tempfile::tempdir().unwrap();
    let store = imported(source, config, folder.path());
    let labels: Vec<u8> =
        store.labels().unwrap().iter().flat_map(|label| label.unwrap().to_le_bytes()).collect();
    (store.len(), crc(store.pixels()), crc(&labels))
}

/// ```python
/// for files in (["data_batch_%d.bin" % i for i in range(1, 6)], ["test_batch.bin"]):
///     a = np.concatenate([np.fromfile(f, np.uint8).reshape(-1, 3073) for f in files])
///     print(len(a), hex(zlib.crc32(a[:, 1:].tobytes())), hex(zlib.crc32(a[:, 0].astype("<u4").tobytes())))
/// ```
#[test]
fn cifar10_agrees_with_numpy() {
    let Some(root) = real_data() else { return };
    let source = |split| Source::Cifar10 { path: root.join("cifar-10-batches-bin"), split };
    let config = ImportConfig::default();
    assert_eq!(sums(&source(Split::Train), &config), (50_000, 0x8dba_27cd, 0x8561_4f3e));
    assert_eq!(sums(&source(Split::Test), &config), (10_000, 0xfccd_7f9c, 0x6fac_bebb));
}

/// ```python
/// mat = scipy.io.loadmat(f)
/// x = np.ascontiguousarray(mat["X"].transpose(3, 2, 0, 1))
/// y = (mat["y"].ravel() % 10).astype("<u4")
/// print(len(x), hex(zlib.crc32(x.tobytes())), hex(zlib.crc32(y.tobytes())))
/// ```
#[test]
fn svhn_agrees_with_scipy() {
    let Some(root) = real_data() else { return };
    let source = |name| Source::Svhn { path: root.join("svhn").join(name) };
    let config = ImportConfig::default();
    assert_eq!(sums(&source("train_32x32.mat"), &config), (5_000, 0x3115_f106, 0xb5e2_448e));
    assert_eq!(sums(&source("test_32x32.mat"), &config), (2_000, 0xa219_85ea, 0x62c7_0188));
}

/// ```python
/// x = np.fromfile("train-images-idx3-ubyte", np.uint8)[16:]
/// y = np.fromfile("train-labels-idx1-ubyte", np.uint8)[8:].astype("<u4")
/// ```
#[test]
fn mnist_plain_and_packed_agrees_with_numpy() {
    let Some(root) = real_data() else { return };
    let config = ImportConfig { channels: 1, ..Default::default() };
    for ending in ["", ".gz"] {
        let source = |name: &str| Source::Mnist {
            images: root.join(format!("mnist/{name}-images-idx3-ubyte{ending}")),
            labels: Some(root.join(format!("mnist/{name}-labels-idx1-ubyte{ending}"))),
        };
        assert_eq!(sums(&source("train"), &config), (60_000, 0xf363_9b56, 0xfe3c_2bd5));
        assert_eq!(sums(&source("t10k"), &config), (10_000, 0xe4ca_5f57, 0xd43d_5a64));
    }
}

/// Mean colour, three pixels at (10, 20), and the CRC-32 of the keys: all bedrooms at 64×64.
/// ```python
/// def prepare(data, n):
///     im = Image.open(data).convert("RGB"); w, h = im.size; s = min(w, h)
///     box = ((w - s) / 2, (h - s) / 2, (w + s) / 2, (h + s) / 2)
///     return np.asarray(im.resize((n, n), Image.BICUBIC, box=box)).transpose(2, 0, 1)
/// txn = lmdb.open("lsun/bedroom_train_lmdb", readonly=True, lock=False).begin()
/// keys, a = zip(*[(k.decode(), prepare(io.BytesIO(v), 64)) for k, v in txn.cursor()]); a = np.stack(a)
/// # or: files = sorted(glob.glob("lsun/bedroom/*.jpg")); a = np.stack([prepare(f, 64) for f in files])
/// print(a.mean((0, 2, 3)), [a[i, :, 10, 20] for i in (0, 1000, 3011)], zlib.crc32("".join(keys).encode()))
/// ```
#[test]
fn bedrooms_agree_with_pillow() {
    let Some(root) = real_data() else { return };
    let config = ImportConfig { resize: "min_resize_centre_crop(64)".parse().unwrap(), ..Default::default() };
    let folder = tempfile::tempdir().unwrap();
    let lmdb = Source::Lsun { path: root.join("lsun/bedroom_train_lmdb") };
    let store = imported(&lmdb, &config, &folder.path().join("lmdb"));
    assert_eq!(crc(store.keys().unwrap().concat().as_bytes()), 2_219_821_098);
    let pixels = [[199, 171, 127], [126, 125, 115], [226, 219, 219]];
    assert_near(&store, [149.715_037, 134.399_235, 120.522_220], pixels);
    let jpeg = Source::Folder { path: root.join("lsun/bedroom"), classes: false };
    let store = imported(&jpeg, &config, &folder.path().join("jpeg"));
    let pixels = [[199, 171, 127], [125, 126, 116], [225, 218, 217]];
    assert_near(&store, [149.609_776, 134.271_859, 120.458_248], pixels);
}

/// Decoders round differently, hence the tolerance: 0.3 in the mean, 3 in a pixel.
fn assert_near(store: &ImageStore, mean: [f64; 3], pixels: [[u8; 3]; 3]) {
    assert_eq!((store.len(), store.channels(), store.height(), store.width()), (3012, 3, 64, 64));
    for channel in 0..3 {
        let plane = |i: usize| &store.image(i)[channel * 64 * 64..][..64 * 64];
        let sum: u64 = (0..store.len()).flat_map(|i| plane(i).iter().map(|&value| u64::from(value))).sum();
        let found = sum as f64 / (3012.0 * 64.0 * 64.0);
        assert!((found - mean[channel]).abs() < 0.3, "channel {channel}: {found}");
        for (expected, image_idx) in pixels.iter().zip([0, 1000, 3011]) {
            let found = plane(image_idx)[10 * 64 + 20];
            assert!(found.abs_diff(expected[channel]) <= 3, "image {image_idx}: {found}, {expected:?}");
        }
    }
}
