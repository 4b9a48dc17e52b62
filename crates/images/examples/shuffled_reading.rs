//! How fast minibatches are read in shuffled order out of a store as large as LSUN's bedrooms, and in how much memory.
//!
//! ```sh
//! cargo run --release -p dcgan-images --example shuffled_reading -- DIR [N_IMAGES] [plain]
//! ```
//!
//! Makes a store of 3 million 64×64 pictures in `DIR` if there is none: 37 GB, all but a thousandth of which is a hole in
//! the file, so that it takes 200 MB of disk. A hole costs no reading: what is measured is all the rest, the order, page
//! faults and copies. The pictures that are no holes are compared. `plain` leaves out the advice to the system.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter, batches};

const SIDE: usize = 64;
const LEN: usize = 3 * SIDE * SIDE;
/// Every so many pictures there is one that is not a hole.
const WRITTEN: usize = 1000;
const BATCH: usize = 128;
/// As in training.
const ASKED_FOR: usize = 4;
const HELD: usize = 256 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().ok_or("expected a folder")?);
    let n_images = arguments.get(1).map_or(Ok(3_000_000), |n| n.parse())?;
    let takes_advice = arguments.get(2).is_none_or(|word| word != "plain");
    if !folder.join("meta.json").exists() {
        make(folder, n_images)?;
    }
    let store = ImageStore::open(folder)?;
    if takes_advice {
        store.expect_any_order();
    }
    println!("{} pictures, {:.1} GB", store.len(), (store.len() * LEN) as f64 / 1e9);
    let start = Instant::now();
    let order = batches::shuffled(store.len(), 0, 0);
    println!("order of an epoch: {:.2} s", start.elapsed().as_secs_f64());

    let batches: Vec<&[u32]> = order.chunks_exact(BATCH).collect();
    let (mut pixels, mut n_held, mut n_compared) = (Vec::new(), 0, 0);
    let (start, mut most) = (Instant::now(), Memory::default());
    for (i, batch) in batches.iter().enumerate() {
        if takes_advice {
            let first = if i == 0 { 0 } else { i + ASKED_FOR - 1 };
            let ahead = batches.iter().skip(first).take(i + ASKED_FOR - first);
            ahead.for_each(|batch| store.will_need(batch));
        }
        store.gather(batch, &mut pixels);
        for (&image_idx, picture) in batch.iter().zip(pixels.chunks_exact(LEN)) {
            if (image_idx as usize).is_multiple_of(WRITTEN) {
                assert!(picture == marked(image_idx as usize), "picture {image_idx}");
                n_compared += 1;
            }
        }
        n_held += pixels.len();
        if takes_advice && n_held > HELD {
            most = most.max(Memory::now()?);
            store.give_pages_back();
            n_held = 0;
        }
        if i % 4096 == 4095 {
            most = most.max(Memory::now()?);
            let rate = ((i + 1) * BATCH) as f64 / start.elapsed().as_secs_f64();
            println!("{} pictures: {rate:.0} a second, {}", (i + 1) * BATCH, Memory::now()?);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = (batches.len() * BATCH) as f64 / seconds;
    println!("an epoch: {seconds:.1} s, {rate:.0} pictures a second; {n_compared} compared; at most {most}");
    Ok(())
}

/// A store of small pictures, whose pixels are then replaced by a file with holes.
fn make(folder: &Path, n_images: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut writer = StoreWriter::create(folder)?;
    let picture = Picture { channels: 3, height: 1, width: 1, pixels: vec![0; 3] };
    for image_idx in 0..n_images {
        writer.append(&format!("{image_idx:040x}"), None, "sparse", &picture)?;
    }
    writer.finish(StoreDescription::default())?;
    let dict =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n_images}, 3, {SIDE}, {SIDE}), }}");
    let mut file = File::create(folder.join("images.npy"))?;
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00")?;
    file.write_all(format!("{dict:<117}\n").as_bytes())?;
    for image_idx in (0..n_images).step_by(WRITTEN) {
        file.seek(SeekFrom::Start((128 + image_idx * LEN) as u64))?;
        file.write_all(&marked(image_idx))?;
    }
    file.set_len((128 + n_images * LEN) as u64)?;
    file.sync_all()?;
    let path = folder.join("meta.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    (meta["height"], meta["width"]) = (SIDE.into(), SIDE.into());
    serde_json::to_writer(OpenOptions::new().write(true).truncate(true).open(path)?, &meta)?;
    Ok(())
}

fn marked(image_idx: usize) -> Vec<u8> {
    (0..LEN).map(|i| (i * 7 + image_idx / WRITTEN) as u8).collect()
}

/// Resident memory in MiB, as Linux tells it.
#[derive(Clone, Copy, Default)]
struct Memory {
    own: f64,
    mapped: f64,
}

impl Memory {
    fn now() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) / 1024.0
        };
        Ok(Self { own: mib("RssAnon:"), mapped: mib("RssFile:") })
    }

    fn max(self, other: Self) -> Self {
        Self { own: self.own.max(other.own), mapped: self.mapped.max(other.mapped) }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} MiB of its own and {:.0} MiB of mapped pages", self.own, self.mapped)
    }
}
