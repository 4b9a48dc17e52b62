//! LMDB's data file, read without LMDB: its own library takes every number in the file on trust, and a damaged file ends
//! the process. Only what a data set needs is here: the entries of the unnamed database, in the order of their keys.
//!
//! Format: `libraries/liblmdb/mdb.c` of <https://git.openldap.org/openldap/openldap>, version 0.9, as 64-bit
//! little-endian machines write it. A file is a row of pages. The first two are meta pages, of which the one with the
//! higher transaction number counts; it names the root of a B-tree of branch and leaf pages. A value that is too long for
//! a leaf has overflow pages of its own.

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dcgan_files::words::what_is_in;

use super::read_exact;
use crate::record::MAX_FILE_BYTES;
use crate::{ImagesError, Result, regular};

const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
/// Bytes of a meta page that are read, with the page's header.
const META_LEN: usize = PAGE_HEADER + 136;
const MAGIC: u32 = 0xbeef_c0de;
const VERSION: u32 = 1;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META: u16 = 0x08;
/// Kinds of a page; the other flags are of no concern to a reader.
const KINDS: u16 = 0x6f;
/// The value has overflow pages.
const BIG_DATA: u16 = 0x01;
/// LMDB's own limit on the levels of a tree.
const MAX_DEPTH: usize = 32;
/// The root of a database without entries.
const NO_PAGE: u64 = u64::MAX;

/// A database opened for reading.
pub(crate) struct Lmdb {
    path: PathBuf,
    file: fs_err::File,
    page_size: u64,
    /// Pages in use; the file is at least as long.
    n_pages: u64,
    n_entries: u64,
    root: u64,
}

struct Meta {
    page_size: u64,
    n_entries: u64,
    root: u64,
    flags: u16,
    last_page: u64,
    transaction: u64,
}

impl Lmdb {
    /// Opens the file `data.mdb` in the folder `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (folder, path) = (path, path.join("data.mdb"));
        if !path.exists() {
            return Err(ImagesError::layout(folder, "an LMDB, in the file data.mdb", what_is_in(folder)));
        }
        let mut file = regular::open(&path)?;
        let n_bytes = file.metadata()?.len();
        let first = read_meta(&path, &mut file, n_bytes, 0)?;
        let second = read_meta(&path, &mut file, n_bytes, first.page_size)?;
        let meta = if second.transaction > first.transaction { second } else { first };
        let n_pages = meta.last_page.saturating_add(1);
        let n_needed = n_pages.saturating_mul(meta.page_size);
        if n_bytes < n_needed {
            let found = format!("{n_bytes} bytes and the end of the file");
            return Err(ImagesError::malformed(&path, n_bytes, format!("{n_needed} bytes"), found));
        }
        if meta.flags != 0 {
            let expected = "a database of plain keys, each with one value";
            return Err(ImagesError::malformed(&path, 0, expected, format!("flags {:#x}", meta.flags)));
        }
        let (page_size, n_entries, root) = (meta.page_size, meta.n_entries, meta.root);
        Ok(Self { path, file, page_size, n_pages, n_entries, root })
    }

    /// The number of entries, as the file says.
    pub(crate) fn n_entries(&self) -> u64 {
        self.n_entries
    }

    /// All entries, key and value, in the order of their keys, without the first `n_skipped`, whose values are not read.
    pub(crate) fn entries_from(self, n_skipped: u64) -> Entries {
        Entries {
            database: self,
            open: Vec::new(),
            last_key: None,
            n_read: 0,
            n_skipped,
            state: State::Before,
        }
    }

    fn malformed(&self, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> ImagesError {
        ImagesError::malformed(&self.path, offset, expected, found)
    }

    /// Reads `n_bytes` at `offset`; that they are in the file has been checked.
    fn read(&mut self, offset: u64, n_bytes: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n_bytes];
        self.file.seek(SeekFrom::Start(offset))?;
        read_exact(&self.path, &mut self.file, offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the header of a page and checks number and kind; returns it with the page's place in the file.
    fn page_header(&mut self, number: u64, kinds: u16, what: &str) -> Result<(Vec<u8>, u64)> {
        if number < 2 || number >= self.n_pages {
            let expected = format!("a page number from 2 to {}", self.n_pages - 1);
            return Err(self.malformed(0, expected, number.to_string()));
        }
        let offset = number * self.page_size;
        let header = self.read(offset, PAGE_HEADER)?;
        let (found, kind) = (u64_at(&header, 0), u16_at(&header, 10) & KINDS);
        if found != number || kind & kinds == 0 || kind & !kinds != 0 {
            let found = format!("number {found} and flags {kind:#x}");
            return Err(self.malformed(offset, format!("{what} page with number {number}"), found));
        }
        Ok((header, offset))
    }

    fn tree_page(&mut self, number: u64) -> Result<Page> {
        let (header, offset) = self.page_header(number, BRANCH | LEAF, "a branch or leaf")?;
        let bytes = self.read(offset, self.page_size as usize)?;
        let (lower, upper) = (u16_at(&header, 12) as usize, u16_at(&header, 14) as usize);
        let n_nodes = lower.saturating_sub(PAGE_HEADER) / 2;
        if n_nodes == 0 || lower > upper || upper > bytes.len() {
            let found = format!("room from byte {lower} to {upper}");
            return Err(self.malformed(offset, "a page with entries", found));
        }
        let is_leaf = match u16_at(&header, 10) & KINDS {
            LEAF => true,
            BRANCH => false,
            both => {
                return Err(self.malformed(offset, "a branch or a leaf page", format!("flags {both:#x}")));
            }
        };
        Ok(Page { offset, bytes, n_nodes, next: 0, is_leaf })
    }

    /// The value of a leaf's node.
    fn value(&mut self, page_offset: u64, node: &Node) -> Result<Vec<u8>> {
        let wrong = |found: String| ImagesError::malformed(&self.path, page_offset, "a plain value", found);
        if node.flags & !BIG_DATA != 0 {
            return Err(wrong(format!("an entry with flags {:#x}", node.flags)));
        }
        if node.flags & BIG_DATA == 0 {
            return Ok(node.rest.get(..node.size as usize).unwrap_or_default().to_vec());
        }
        let first = u64_at(&node.rest, 0);
        let (header, offset) = self.page_header(first, OVERFLOW, "an overflow")?;
        let n_pages = u64::from(u32_at(&header, 12));
        let n_bytes = u64::from(node.size);
        let fits = n_bytes + PAGE_HEADER as u64 <= n_pages * self.page_size
            && first.checked_add(n_pages).is_some_and(|end| end <= self.n_pages);
        if !fits || n_bytes > MAX_FILE_BYTES {
            let found = format!("{n_bytes} bytes in {n_pages} pages");
            return Err(self.malformed(offset, "a value within its pages, which are within the file", found));
        }
        self.read(offset + PAGE_HEADER as u64, n_bytes as usize)
    }
}

fn read_meta(path: &Path, file: &mut fs_err::File, n_bytes: u64, offset: u64) -> Result<Meta> {
    if n_bytes < offset.saturating_add(META_LEN as u64) {
        let found = format!("{n_bytes} bytes and the end of the file");
        return Err(ImagesError::malformed(path, n_bytes, "a meta page of LMDB", found));
    }
    let mut page = vec![0; META_LEN];
    file.seek(SeekFrom::Start(offset))?;
    read_exact(path, file, offset, &mut page)?;
    let body = &page[PAGE_HEADER..];
    if u16_at(&page, 10) & META == 0 || u32_at(body, 0) != MAGIC || u32_at(body, 4) != VERSION {
        let found = format!("magic {:#x}, version {}", u32_at(body, 0), u32_at(body, 4));
        let expected = format!("a meta page of LMDB (magic {MAGIC:#x}, version {VERSION})");
        return Err(ImagesError::malformed(path, offset, expected, found));
    }
    // Behind magic, version, address and size of the map come the records of the free and of the main database.
    let (free, main) = (&body[24..72], &body[72..120]);
    let page_size = u32_at(free, 0);
    if !page_size.is_power_of_two() || !(256..=65536).contains(&page_size) {
        let expected = "a page size that is a power of two from 256 to 65536";
        return Err(ImagesError::malformed(path, offset, expected, page_size.to_string()));
    }
    Ok(Meta {
        page_size: page_size.into(),
        flags: u16_at(main, 4),
        n_entries: u64_at(main, 32),
        root: u64_at(main, 40),
        last_page: u64_at(body, 120),
        transaction: u64_at(body, 128),
    })
}

struct Page {
    offset: u64,
    bytes: Vec<u8>,
    n_nodes: usize,
    next: usize,
    is_leaf: bool,
}

/// One entry of a page: of a leaf a key and its value, of a branch the number of the page below, which `size` and
/// `flags` hold together.
struct Node {
    size: u32,
    flags: u16,
    key: Vec<u8>,
    rest: Vec<u8>,
}

impl Page {
    /// The next node; `None` if it does not lie within the page.
    fn take(&mut self) -> Option<Node> {
        let start = usize::from(u16_at(self.bytes.get(PAGE_HEADER + 2 * self.next..)?.get(..2)?, 0));
        self.next += 1;
        let header = self.bytes.get(start..start + NODE_HEADER)?;
        let size = u32::from(u16_at(header, 0)) | u32::from(u16_at(header, 2)) << 16;
        let (flags, n_key) = (u16_at(header, 4), usize::from(u16_at(header, 6)));
        let behind = &self.bytes[start + NODE_HEADER..];
        let key = behind.get(..n_key)?.to_vec();
        let n_rest = match (self.is_leaf, flags & BIG_DATA) {
            (false, _) => 0,
            (true, 0) => size as usize,
            (true, _) => 8,
        };
        let rest = behind.get(n_key..)?.get(..n_rest)?.to_vec();
        Some(Node { size, flags, key, rest })
    }
}

enum State {
    Before,
    Within,
    Done,
}

/// Iterator over a database's entries; after an error it ends.
pub(crate) struct Entries {
    database: Lmdb,
    /// The pages from the root down to the leaf that is being read.
    open: Vec<Page>,
    last_key: Option<Vec<u8>>,
    n_read: u64,
    n_skipped: u64,
    state: State,
}

impl Entries {
    fn advance(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if let State::Before = self.state {
            self.state = State::Within;
            if self.database.root != NO_PAGE {
                self.descend(self.database.root)?;
            }
        }
        while let Some(page) = self.open.last_mut() {
            if page.next == page.n_nodes {
                self.open.pop();
                continue;
            }
            let (offset, is_leaf) = (page.offset, page.is_leaf);
            let Some(node) = page.take() else {
                return Err(self.database.malformed(offset, "an entry within its page", "one that is not"));
            };
            if is_leaf {
                // Keys that rise also mean that no page is met twice.
                if self.last_key.as_ref().is_some_and(|last| *last >= node.key) {
                    let found = format!("\"{}\"", node.key.escape_ascii());
                    return Err(self.database.malformed(offset, "a key greater than the one before", found));
                }
                self.n_read += 1;
                if self.n_read <= self.n_skipped {
                    self.last_key = Some(node.key);
                    continue;
                }
                let value = self.database.value(offset, &node)?;
                self.last_key = Some(node.key.clone());
                return Ok(Some((node.key, value)));
            }
            self.descend(u64::from(node.size) | u64::from(node.flags) << 32)?;
        }
        let n_entries = self.database.n_entries;
        if self.n_read != n_entries {
            let expected = format!("{n_entries} entries, as its meta page says");
            return Err(ImagesError::layout(&self.database.path, expected, self.n_read.to_string()));
        }
        Ok(None)
    }

    fn descend(&mut self, number: u64) -> Result<()> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.database.malformed(
                number.saturating_mul(self.database.page_size),
                format!("a tree of at most {MAX_DEPTH} levels"),
                "a deeper one",
            ));
        }
        let page = self.database.tree_page(number)?;
        self.open.push(page);
        Ok(())
    }
}

impl Iterator for Entries {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::Done = self.state {
            return None;
        }
        let entry = self.advance().transpose();
        if !matches!(entry, Some(Ok(_))) {
            self.state = State::Done;
        }
        entry
    }
}

fn u16_at(bytes: &[u8], start: usize) -> u16 {
    u16::from_le_bytes([bytes[start], bytes[start + 1]])
}

fn u32_at(bytes: &[u8], start: usize) -> u32 {
    u32::from(u16_at(bytes, start)) | u32::from(u16_at(bytes, start + 2)) << 16
}

fn u64_at(bytes: &[u8], start: usize) -> u64 {
    u64::from(u32_at(bytes, start)) | u64::from(u32_at(bytes, start + 4)) << 32
}
