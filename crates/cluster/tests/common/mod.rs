//! Sets that are made up, hashed and grouped on one machine.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod processes;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_cluster::session::{Place, Session};
use dcgan_dedup::group::{GroupConfig, group_images};
use dcgan_dedup::hash::files::AUTOENCODER;
use dcgan_dedup::hash::{HashConfig, hash};
use dcgan_dedup::{Autoencoder, Code, Preprocessing};
use dcgan_engine::interrupt::Interrupt;
use dcgan_files::columns::{Column, Writer};
use dcgan_images::Source;
use dcgan_synthetic::{RoomsConfig, write_rooms};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn go(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A folder with a set of rooms, some of them near-duplicates of others.
pub struct Rooms {
    pub dir: tempfile::TempDir,
}

impl Rooms {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rooms = RoomsConfig { n_scenes: 150, n_planted: 60, size: 64, seed: 5 };
        write_rooms(&dir.path().join("rooms"), &rooms).unwrap();
        let model = Autoencoder::random(Preprocessing { standardise: true }, 3).unwrap();
        fs_err::create_dir(dir.path().join("model")).unwrap();
        model.save(&dir.path().join("model").join(AUTOENCODER)).unwrap();
        Self { dir }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn source(&self) -> Source {
        Source::Lsun { path: self.at("rooms/rooms_lmdb") }
    }

    pub fn model(&self) -> PathBuf {
        self.at("model").join(AUTOENCODER)
    }

    /// Hashed as one.
    pub fn hashed(&self) -> PathBuf {
        let codes = self.at("codes");
        if !codes.exists() {
            fs_err::create_dir(&codes).unwrap();
            let model = Autoencoder::load(&self.model()).unwrap();
            hash(&self.source(), &model, &HashConfig::default(), &codes, &mut go).unwrap();
        }
        codes
    }

    /// Grouped on one machine.
    pub fn grouped(&self, config: &GroupConfig, name: &str) -> PathBuf {
        let groups = self.at(name);
        fs_err::create_dir(&groups).unwrap();
        group_images(&self.hashed(), config, &groups, &mut go).unwrap();
        groups
    }

    /// The engine in this process.
    pub fn session(&self) -> Session {
        local(&self.at("spill"), 256 << 20)
    }
}

pub fn local(spill: &Path, memory: usize) -> Session {
    let place = Place::Local { memory, spill: spill.to_owned(), n_threads: 2 };
    Session::open(&place, Interrupt::default()).unwrap()
}

/// The bytes of files of a folder.
pub fn bytes(dir: &Path, names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| fs_err::read(dir.join(name)).unwrap()).collect()
}

/// Codes, some of them earlier ones with up to `n_flipped` bits changed.
pub fn random_codes(n: usize, n_originals: usize, n_flipped: usize, seed: u64) -> Vec<Code> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut codes: Vec<Code> = Vec::with_capacity(n);
    for i in 0..n {
        let mut code = match i < n_originals {
            true => Code([rng.random(), rng.random()]),
            false => codes[rng.random_range(0..i)],
        };
        if i >= n_originals {
            for _ in 0..rng.random_range(0..=n_flipped) {
                code.0[rng.random_range(0..2)] ^= 1 << rng.random_range(0..64);
            }
        }
        codes.push(code);
    }
    codes
}

/// Writes codes as `hash_images` does, without pictures.
pub fn write_codes(dir: &Path, codes: &[Code]) {
    write_keyed_codes(dir, codes, &|image| format!("picture-{image:08}"));
}

/// The same with other keys.
pub fn write_keyed_codes(dir: &Path, codes: &[Code], key: &dyn Fn(usize) -> String) {
    fs_err::create_dir_all(dir).unwrap();
    let schema = "message codes {
        REQUIRED BYTE_ARRAY key (STRING);
        REQUIRED INT64 word0 (INTEGER(64, false));
        REQUIRED INT64 word1 (INTEGER(64, false));
        REQUIRED INT32 width (INTEGER(32, false));
        REQUIRED INT32 height (INTEGER(32, false));
    }";
    let mut writer = Writer::create(&dir.join("codes.parquet"), schema).unwrap();
    for (start, codes) in (0..).step_by(1000).zip(codes.chunks(1000)) {
        let words = |k: usize| Column::U64(codes.iter().map(|code| code.0[k]).collect());
        let sides = || Column::U32(vec![64; codes.len()]);
        let keys = (start..start + codes.len()).map(key).collect();
        writer.write(&[Column::Strings(keys), words(0), words(1), sides(), sides()]).unwrap();
    }
    writer.finish().unwrap();
}
