//! The images that are in groups, with what `codes.parquet` says of them: brought together in the order of its rows, and sorted by groups,
//! so that no process holds more than some of them.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use datafusion::arrow::array::{Array as _, AsArray as _};
use datafusion::arrow::datatypes::{UInt32Type, UInt64Type};
use dcgan_dedup::Code;
use dcgan_dedup::hash::files::CODES;
use dcgan_dedup::hash::{HashedImage, each_hashed};
use dcgan_files::columns::{Column, ROW_GROUP, Writer};

use crate::session::{Session, texts};
use crate::work::Work;
use crate::{ClusterError, Result};

const SCHEMA: &str = "message named {
    REQUIRED INT32 first (INTEGER(32, false));
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED INT64 word0 (INTEGER(64, false));
    REQUIRED INT64 word1 (INTEGER(64, false));
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
    OPTIONAL INT64 blake3 (INTEGER(64, false));
    OPTIONAL INT64 n_bytes (INTEGER(64, false));
}";

/// How often images are read ahead, a row group's at a time.
const N_AHEAD: usize = 2;

/// Makes the table `named` of a table (a, b) of images and the first ones of their groups.
pub(crate) fn name(work: &mut Work<'_>, groups: &str, hashed: &Path) -> Result<()> {
    work.stage(
        "members",
        &format!(
            "SELECT a AS image, b AS \"first\" FROM {groups} UNION ALL
             SELECT DISTINCT b AS image, b AS \"first\" FROM {groups}"
        ),
    )?;
    let members = "SELECT image, \"first\" FROM members ORDER BY image";
    let (session, codes) = (work.session(), hashed.join(CODES));
    let name = |path: &Path| {
        let wanted = Wanted::of(session)?;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(N_AHEAD);
            let reading = scope.spawn(|| read(&codes, &wanted, sender));
            let mut images = receiver.into_iter().flatten();
            let mut table = Named { file: Writer::create(path, SCHEMA)?, rows: Vec::new() };
            let mut is_missing = false;
            let written = session.read_in_order("members", members, &mut |batch| {
                let [members, firsts] = [0, 1].map(|k| batch.column(k).as_primitive::<UInt32Type>().values());
                for (&member, &first) in members.iter().zip(firsts) {
                    match images.next() {
                        Some(image) if image.image == member => table.push(first, image)?,
                        _ => is_missing = true,
                    }
                }
                Ok(())
            });
            drop(images);
            // What ended the reading is why images are missing.
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            written?;
            match is_missing {
                true => Err(ClusterError::file(&codes, "the images that were grouped", "fewer")),
                false => table.finish(),
            }
        })
    };
    work.make("named", &mut |path| name(path)).map(|_| ())
}

/// The images that are in groups: a bit for each image of the set.
struct Wanted(Vec<u64>);

impl Wanted {
    fn of(session: &Session) -> Result<Self> {
        let mut words: Vec<u64> = Vec::new();
        session.read_in_order("members", "SELECT image FROM members", &mut |batch| {
            for &image in batch.column(0).as_primitive::<UInt32Type>().values() {
                let word = image as usize / 64;
                if words.len() <= word {
                    words.resize(word + 1, 0);
                }
                words[word] |= 1 << (image % 64);
            }
            Ok(())
        })?;
        Ok(Self(words))
    }

    fn has(&self, image: u32) -> bool {
        self.0.get(image as usize / 64).is_some_and(|word| word >> (image % 64) & 1 == 1)
    }
}

/// Reads images for as long as somebody takes them.
fn read(codes: &Path, wanted: &Wanted, sender: SyncSender<Vec<HashedImage>>) -> Result<()> {
    Ok(each_hashed(
        codes,
        |image| wanted.has(image),
        |images| match sender.send(images) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        },
    )?)
}

/// The table, as it is written.
struct Named {
    file: Writer,
    /// Those that are not in the file yet: with the first images of their groups.
    rows: Vec<(u32, HashedImage)>,
}

impl Named {
    fn push(&mut self, first: u32, image: HashedImage) -> Result<()> {
        self.rows.push((first, image));
        if self.rows.len() == ROW_GROUP { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let u32s =
            |of: &dyn Fn(&HashedImage) -> u32| Column::U32(rows.iter().map(|row| of(&row.1)).collect());
        let u64s =
            |of: &dyn Fn(&HashedImage) -> u64| Column::U64(rows.iter().map(|row| of(&row.1)).collect());
        Ok(self.file.write(&[
            Column::U32(rows.iter().map(|&(first, _)| first).collect()),
            u32s(&|image| image.image),
            Column::Strings(rows.iter().map(|(_, image)| image.key.clone()).collect()),
            u64s(&|image| image.code.0[0]),
            u64s(&|image| image.code.0[1]),
            u32s(&|image| image.size[0]),
            u32s(&|image| image.size[1]),
            Column::MaybeU64(rows.iter().map(|(_, image)| image.blake3).collect()),
            Column::MaybeU64(rows.iter().map(|(_, image)| image.n_bytes).collect()),
        ])?)
    }

    fn finish(mut self) -> Result<()> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        Ok(self.file.finish()?)
    }
}

/// Hands the images of groups to `visit`, each with the first one of its group: by first images, those of a group in rising order.
pub(crate) fn each(work: &Work<'_>, visit: &mut dyn FnMut(u32, HashedImage) -> Result<()>) -> Result<()> {
    let query = "SELECT \"first\", image, key, word0, word1, width, height, blake3, n_bytes FROM named ORDER BY \"first\", image";
    work.session().read_in_order("groups", query, &mut |batch| {
        let u32s = |k: usize| batch.column(k).as_primitive::<UInt32Type>();
        let u64s = |k: usize| batch.column(k).as_primitive::<UInt64Type>();
        let maybe = |k: usize, i: usize| u64s(k).is_valid(i).then(|| u64s(k).value(i));
        let keys = texts(batch, 2)?;
        for i in 0..batch.num_rows() {
            let image = HashedImage {
                image: u32s(1).value(i),
                key: keys.value(i).to_owned(),
                code: Code([3, 4].map(|k| u64s(k).value(i))),
                size: [5, 6].map(|k| u32s(k).value(i)),
                blake3: maybe(7, i),
                n_bytes: maybe(8, i),
            };
            visit(u32s(0).value(i), image)?;
        }
        Ok(())
    })
}
