//! A tar archive's members, one after the other, with what the crate `tar` takes on trust checked: that the archive ends where
//! its members do, and that names are of a length that a name may have.

use std::cell::Cell;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Component, Path};
use std::rc::Rc;

use tar::EntryType;

use super::read_up_to;
use crate::record::MAX_FILE_BYTES;
use crate::{ImagesError, Payload, Result, key, regular, walk};

const BLOCK: u64 = 512;
/// The longest names and PAX headers of a member, together, that are read.
const MAX_HEADERS: u64 = 1 << 20;

/// What is read: a file, or an archive that is a member of it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Where in the file the archive begins.
    pub(crate) base: u64,
    /// The member's key; empty for the file itself.
    pub(crate) within: &'a str,
}

impl<'a> Place<'a> {
    pub(crate) fn file(path: &'a Path) -> Self {
        Self { path, base: 0, within: "" }
    }

    fn broken(&self, offset: u64, found: String) -> ImagesError {
        let expected = match self.within {
            "" => "a tar archive".to_owned(),
            within => format!("a tar archive {within}"),
        };
        ImagesError::malformed(self.path, self.base.saturating_add(offset), expected, found)
    }
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file with contents.
    File,
    /// A folder, or something that is no member of its own.
    Folder,
    /// Something whose contents are not read: what, and what to do.
    Other(String),
}

/// A member.
pub(crate) struct Member<'a> {
    /// The key of its name.
    pub(crate) key: String,
    /// Its name.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// Where in the file its header is.
    pub(crate) offset: u64,
    /// Where in the file its contents begin.
    pub(crate) contents_offset: u64,
    /// Where in the file it ends, with what fills its last block.
    pub(crate) end: u64,
    n_bytes: u64,
    /// The key of the member that a hard link leads to.
    pub(crate) hard_link: Option<String>,
    pub(crate) contents: &'a mut dyn Read,
}

impl Member<'_> {
    /// The name as a path, with what does not stand in a line escaped.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.key)
    }

    /// The picture that a member is, or why it is none; `key` is the record's.
    pub(crate) fn payload(&mut self, archive: &Path, key: &str) -> Result<Payload> {
        if let Kind::Other(what) = &self.kind {
            return Ok(Payload::Bad(what.clone()));
        }
        let n_bytes = self.n_bytes;
        let malformed = |expected, found| ImagesError::malformed(archive, self.offset, expected, found);
        if n_bytes > MAX_FILE_BYTES {
            let expected = format!("an image {key} of at most {MAX_FILE_BYTES} bytes");
            return Err(malformed(expected, n_bytes.to_string()));
        }
        let expected = format!("an image {key} of {n_bytes} bytes");
        let mut bytes = Vec::with_capacity(n_bytes as usize);
        if let Err(e) = self.contents.read_to_end(&mut bytes) {
            return Err(malformed(expected, printable(&e)));
        }
        if bytes.len() as u64 != n_bytes {
            return Err(malformed(expected, format!("{} and the end of the archive", bytes.len())));
        }
        Ok(Payload::Encoded(bytes))
    }
}

/// What is done with each member; a break ends it.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Member<'_>) -> Result<ControlFlow<()>>;

/// Gives `each` every member of a stream, which is read once from front to back, and checks the archive's end.
pub(crate) fn visit(place: Place<'_>, stream: &mut dyn Read, each: Each<'_>) -> Result<ControlFlow<()>> {
    let watch = Rc::new(Watch::default());
    let mut archive = tar::Archive::new(Watched { stream, watch: Rc::clone(&watch) });
    let entries = archive.entries().map_err(|e| place.broken(0, printable(&e)))?;
    let Some(end) = visit_entries(place, entries, &watch, each)? else { return Ok(ControlFlow::Break(())) };
    check_end(place, &mut archive.into_inner(), &watch, &end)?;
    Ok(ControlFlow::Continue(()))
}

/// Gives `each` every member of a file, whose contents are passed by. The archive's end is checked where `is_whole` says so.
pub(crate) fn visit_headers(path: &Path, is_whole: bool, each: Each<'_>) -> Result<()> {
    let place = Place::file(path);
    let watch = Rc::new(Watch::default());
    let file = regular::open(path)?;
    let n_bytes = file.metadata()?.len();
    let mut archive = tar::Archive::new(Watched { stream: file, watch: Rc::clone(&watch) });
    let entries = archive.entries_with_seek().map_err(|e| place.broken(0, printable(&e)))?;
    let Some(end) = visit_entries(place, entries, &watch, each)? else { return Ok(()) };
    if !is_whole {
        return Ok(());
    }
    if end.offset > n_bytes {
        let found = format!("the end of the file within {}", end.last);
        return Err(place.broken(n_bytes, found));
    }
    check_end(place, &mut BufReader::new(archive.into_inner()), &watch, &end)
}

/// Whether a member would be passed over in a folder: macOS adds `._photo.jpg` to every `photo.jpg`.
pub(crate) fn is_hidden(member: &Path) -> bool {
    let mut parts = member.components().rev();
    let is_hidden = |part: Component<'_>, is_folder| matches!(part, Component::Normal(name) if walk::is_hidden(name.as_encoded_bytes(), is_folder));
    parts.next().is_some_and(|name| is_hidden(name, false)) || parts.any(|folder| is_hidden(folder, true))
}

/// Whether a member lies in a folder that a system makes for itself.
pub(crate) fn is_systems(member: &Path) -> bool {
    member.iter().any(|part| walk::is_of_systems(part.as_encoded_bytes()))
}

/// Opens an archive for [`visit`].
pub(crate) fn open(path: &Path) -> Result<BufReader<fs_err::File>> {
    Ok(BufReader::with_capacity(1 << 20, regular::open(path)?))
}

/// Where the members end, and the key of the last.
struct End {
    offset: u64,
    last: String,
}

impl End {
    fn behind(&self) -> String {
        match self.last.as_str() {
            "" => "before any member".to_owned(),
            last => format!("behind {last}"),
        }
    }
}

/// The end of the members; none after a break.
fn visit_entries<R: Read>(
    place: Place<'_>,
    mut entries: tar::Entries<'_, Watched<R>>,
    watch: &Watch,
    each: Each<'_>,
) -> Result<Option<End>> {
    let mut end = End { offset: 0, last: String::new() };
    loop {
        let broken =
            |e: &std::io::Error| place.broken(end.offset, format!("{} ({})", printable(e), end.behind()));
        watch.limit.set(end.offset.saturating_add(MAX_HEADERS + 8 * BLOCK));
        let Some(entry) = entries.next() else { return Ok(Some(end)) };
        let mut entry = entry.map_err(|e| broken(&e))?;
        watch.limit.set(u64::MAX);
        let entry_type = entry.header().entry_type();
        let n_archived = match entry_type {
            EntryType::GNUSparse => entry.header().entry_size().map_err(|e| broken(&e))?,
            _ => entry.size(),
        };
        let contents_offset = watch.position.get();
        let n_padded = n_archived.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        // The crate knows names and PAX headers by the archive's form; without it, they would be members.
        if matches!(entry_type, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader) {
            return Err(
                place.broken(entry.raw_header_position(), "a long name without the mark \"ustar\"".into())
            );
        }
        let sparse_name = pax_sparse_name(&mut entry).map_err(|e| broken(&e))?;
        let name = match &sparse_name {
            Some(name) if !name.is_empty() => name.clone(),
            _ => entry.path_bytes().into_owned(),
        };
        let kind = match sparse_name {
            Some(_) => Kind::Other("a sparse file in PAX form; pack the archive without --sparse".into()),
            None => kind(entry_type, &name, &entry.link_name_bytes().unwrap_or_default()),
        };
        let hard_link =
            (entry_type == EntryType::Link).then(|| key::of(&entry.link_name_bytes().unwrap_or_default()));
        let (key, n_bytes) = (key::of(&name), entry.size());
        end = End { offset: contents_offset.saturating_add(n_padded), last: key.clone() };
        let offset = place.base.saturating_add(entry.raw_header_position());
        let contents_offset = place.base.saturating_add(contents_offset);
        let ends = place.base.saturating_add(end.offset);
        let member = Member {
            key,
            name,
            kind,
            offset,
            contents_offset,
            end: ends,
            n_bytes,
            hard_link,
            contents: &mut entry,
        };
        if each(member)?.is_break() {
            return Ok(None);
        }
    }
}

/// The file's own name, where a member is a sparse one in PAX form; empty if it is the member's.
fn pax_sparse_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> std::io::Result<Option<Vec<u8>>> {
    if entry.header().entry_type().is_pax_global_extensions() {
        return Ok(None);
    }
    let mut name = None;
    // What cannot be parsed is of no concern: the crate splits values at their line feeds.
    for extension in entry.pax_extensions()?.into_iter().flatten().flatten() {
        if extension.key_bytes() == b"GNU.sparse.name" {
            name = Some(extension.value_bytes().to_vec());
        } else if extension.key_bytes().starts_with(b"GNU.sparse.") {
            name.get_or_insert_default();
        }
    }
    Ok(name)
}

fn kind(entry_type: EntryType, name: &[u8], link: &[u8]) -> Kind {
    let link = key::of(link);
    let what = match entry_type {
        // In archives of the oldest form a folder is a file whose name ends so.
        EntryType::Regular if name.ends_with(b"/") => return Kind::Folder,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => return Kind::File,
        EntryType::Directory | EntryType::XGlobalHeader => return Kind::Folder,
        EntryType::Link => format!("a hard link to {link}; pack the archive with --hard-dereference"),
        EntryType::Symlink => format!("a symbolic link to {link}; pack the archive with --dereference"),
        EntryType::Char | EntryType::Block => "a device".to_owned(),
        EntryType::Fifo => "a FIFO".to_owned(),
        other => format!("of the unknown type '{}'", other.as_byte().escape_ascii()),
    };
    Kind::Other(what)
}

/// Checks that two blocks of zeros or more follow, and nothing else. The first has been read, if it was there.
fn check_end(place: Place<'_>, rest: &mut dyn Read, watch: &Watch, end: &End) -> Result<()> {
    watch.limit.set(u64::MAX);
    if watch.has_ended.get() {
        let found =
            format!("the end of the file: the archive breaks off at a member's end ({})", end.behind());
        return Err(place.broken(end.offset, found));
    }
    let mut n_zeros = BLOCK;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n_read = read_up_to(rest, &mut buffer)
            .map_err(|e| place.broken(end.offset.saturating_add(n_zeros), printable(&e)))?;
        if let Some(i) = buffer[..n_read].iter().position(|byte| *byte != 0) {
            let found = format!(
                "data behind its end: two archives joined? Join them with tar --concatenate ({})",
                end.behind()
            );
            return Err(place.broken(end.offset + n_zeros + i as u64, found));
        }
        n_zeros += n_read as u64;
        if n_read == 0 {
            break;
        }
    }
    if n_zeros < 2 * BLOCK {
        let found = format!("a lone block of zeros and the end of the file ({})", end.behind());
        return Err(place.broken(end.offset, found));
    }
    Ok(())
}

/// The crate's messages hold names as they stand in the archive.
fn printable(error: &std::io::Error) -> String {
    key::of(error.to_string().as_bytes())
}

/// What is known of a stream that an archive has.
#[derive(Default)]
struct Watch {
    position: Cell<u64>,
    /// Where reading is refused.
    limit: Cell<u64>,
    has_ended: Cell<bool>,
}

struct Watched<R> {
    stream: R,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n_left = self.watch.limit.get().saturating_sub(self.watch.position.get());
        if n_left == 0 {
            let message = format!("names or PAX headers of more than {MAX_HEADERS} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        let n_most = buffer.len().min(usize::try_from(n_left).unwrap_or(usize::MAX));
        let n_read = self.stream.read(&mut buffer[..n_most])?;
        self.watch.has_ended.set(n_read == 0 && n_most > 0);
        self.watch.position.set(self.watch.position.get() + n_read as u64);
        Ok(n_read)
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let position = self.stream.seek(to)?;
        self.watch.position.set(position);
        Ok(position)
    }
}

#[cfg(test)]
#[path = "tar_members_tests.rs"]
mod tests;
