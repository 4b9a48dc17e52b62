//! Shards of a data set that lie at addresses, kept in a cache.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::encoding::decoded;
use crate::event::{Action, Observe, note, progress};
use crate::http::{self, Head, Message, Request};
use crate::install::{DOWNLOADS, fetch};
use crate::ledger::{Entry, Ledger};
use crate::listing::{Listed, Lister, is_list, path_of};
use crate::stores::is_object;
use crate::{FetchError, Install, Options, RemoteFile, Result, gcs, s3};

/// Beside a set's folder: the address that it was fetched from.
const ADDRESS: &str = "address.txt";
/// Beside a set's folder: held by whoever works in it.
const LOCK: &str = ".lock";
/// Beside a set's folder: folders with links to some of its shards.
const PARTS: &str = ".parts";
const TICK: Duration = Duration::from_millis(100);

/// Where shards are kept, if not in the user's cache.
const CACHE: &str = "DCGAN_CACHE";

/// Whether a path is an address (`http://`, `https://`, `s3://`, `gs://`).
pub fn is_address(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    ["http://", "https://", s3::SCHEME, gcs::SCHEME].iter().any(|scheme| path.starts_with(scheme.as_bytes()))
}

/// Whether the files that a path stands for are fetched: it is an address, or a list of such (`*.txt`).
pub fn is_fetched(path: &Path) -> bool {
    is_address(path) || path.to_str().is_some_and(is_list)
}

/// The folder that shards are kept in: `shards` in `$DCGAN_CACHE`, or in `dcgan` in the user's cache; none without a home.
pub fn shard_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home =
        || std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".cache"));
    let users = || set("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("dcgan"));
    set(CACHE).or_else(users).map(|cache| cache.join("shards"))
}

/// Shards that are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    /// The file, where the address is one file's, else the folder of all.
    pub path: PathBuf,
    /// How many there are.
    pub n_shards: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How many of them were downloaded, now.
    pub n_downloaded: u64,
}

/// The shards that an address stands for, and the folder that they are kept in, which nobody else writes to meanwhile.
///
/// An address is a file's (`https://host/a.tar`), has a range of numbers (`{00000..00099}`), or leads to a list (`*.txt`, an address a
/// line) or a folder of an object store (`s3://bucket/folder/`, `gs://bucket/folder/`).
#[derive(Debug)]
pub struct ShardSet<'a> {
    address: &'a str,
    options: &'a Options,
    /// Of the address, in the cache.
    home: PathBuf,
    /// The set's own, in it.
    folder: PathBuf,
    listed: Vec<Listed>,
    _lock: fs_err::File,
}

impl<'a> ShardSet<'a> {
    /// Lists the shards; their names end in `ending`, as `tar`. The folder `cache` is made where it is missing.
    ///
    /// # Errors
    /// [`FetchError::Listing`] where the address leads to no shards; [`FetchError::Content`] where shards are kept that are no more among
    /// them; those of [`fetch`].
    pub fn list(
        address: &'a str,
        ending: &str,
        options: &'a Options,
        cache: &Path,
        observe: &mut Observe<'_>,
    ) -> Result<Self> {
        options.validate()?;
        let home = cache.join(&hex(address)[..16]);
        let folder = home.join(set_name(address));
        let downloads = folder.join(DOWNLOADS);
        fs_err::create_dir_all(&home)?;
        fs_err::write(home.join(ADDRESS), address)?;
        let lock = fs_err::OpenOptions::new().create(true).append(true).open(home.join(LOCK))?;
        while let Err(std::fs::TryLockError::WouldBlock) = lock.file().try_lock() {
            progress(observe, Action::Downloading, "what another run is fetching", 0, None)?;
            std::thread::sleep(TICK);
        }
        // Whoever held the lock before has deleted it when all was there.
        fs_err::create_dir_all(&downloads)?;
        let listed = Lister { ending, options, downloads: &downloads, observe }.list(address)?;
        refuse_others(&folder, address, ending, &listed)?;
        Ok(Self { address, options, home, folder, listed, _lock: lock })
    }

    /// The shards' names, in their order.
    pub fn names(&self) -> Vec<String> {
        self.listed.iter().map(|file| file.name.clone()).collect()
    }

    /// What the list says: a digest of names, sizes and tags, and of addresses where there are no tags; the same wherever the list is.
    pub fn digest(&self) -> String {
        let line = |file: &Listed| {
            let bytes = file.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
            format!("{}\t{bytes}\t{}\n", file.name, file.etag.as_deref().unwrap_or(path_of(&file.url)))
        };
        hex(&self.listed.iter().map(line).collect::<String>())
    }

    /// Brings those of the shards that are named in `wanted` here, and says where they are: whole, and verified by size and SHA-256
    /// where they were there before. The server is asked whether what is here is still what it has; where it cannot be asked, what is
    /// here serves.
    ///
    /// # Errors
    /// [`FetchError::Changed`] where a shard is another one now; those of [`fetch`]. [`FetchError::Interrupted`] on a break, after which
    /// the same call goes on.
    pub fn fetch(&self, wanted: &[String], observe: &mut Observe<'_>) -> Result<Shards> {
        let names: HashSet<&String> = wanted.iter().collect();
        let wanted: Vec<&Listed> = self.listed.iter().filter(|file| names.contains(&file.name)).collect();
        refuse_changed(&self.folder, &wanted, self.options, observe)?;
        let files: Vec<RemoteFile> = wanted.iter().map(|file| remote_file(file)).collect();
        let options = Options { mirrors: Vec::new(), official: true, ..self.options.clone() };
        let summary = fetch(&files, &options, &self.folder, observe)?;
        let ledger = Ledger::open(&self.folder)?;
        refuse_replaced(&ledger, &wanted)?;
        let bytes = wanted.iter().filter_map(|file| Some(ledger.get(Path::new(&file.name))?.bytes)).sum();
        let is_one = self.listed.len() == 1 && path_of(&self.listed[0].url) == path_of(self.address);
        Ok(Shards {
            path: if is_one { self.folder.join(&self.listed[0].name) } else { self.folder.clone() },
            n_shards: wanted.len() as u64,
            bytes,
            n_downloaded: summary.n_downloaded,
        })
    }

    /// Where a shard of this name lies once it is here.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A folder with links to the shards of these names, which are here, and to no others. It has the set's name.
    ///
    /// # Errors
    /// [`FetchError::Content`] where something else lies in the place of a link; nothing is replaced.
    pub fn only(&self, names: &[String]) -> Result<PathBuf> {
        let set = self.folder.file_name().unwrap_or_default();
        // Other names, another folder: what links are in it is known, and a run beside this one wants the same.
        let folder = self.home.join(PARTS).join(&hex(&names.join("\n"))[..16]).join(set);
        fs_err::create_dir_all(&folder)?;
        for shard in names {
            link(&Path::new("../../..").join(set).join(shard), &folder.join(shard))?;
        }
        Ok(folder)
    }
}

/// Makes a link where there is none yet.
#[cfg(unix)]
fn link(target: &Path, link: &Path) -> Result<()> {
    match fs_err::os::unix::fs::symlink(target, link) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let is_it = fs_err::read_link(link).is_ok_and(|found| found == target);
            let other =
                || FetchError::content(link, format!("a link to {}", target.display()), "something else");
            if is_it { Ok(()) } else { Err(other()) }
        }
        made => Ok(made?),
    }
}

#[cfg(not(unix))]
fn link(target: &Path, link: &Path) -> Result<()> {
    let target = link.parent().unwrap_or(link).join(target);
    match fs_err::hard_link(target, link) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => Ok(made?),
    }
}

fn remote_file(file: &Listed) -> RemoteFile {
    RemoteFile {
        name: file.name.clone(),
        urls: vec![file.url.clone()],
        bytes: file.bytes,
        likely_bytes: None,
        checksum: file.checksum.clone(),
        install: Install::File { path: file.name.clone().into() },
        estimate: 0,
    }
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the set is called: a list by its name, others by the folder that the files are in.
fn set_name(address: &str) -> String {
    let mut parts = path_of(address).rsplit('/');
    let last = parts.next().unwrap_or_default();
    let name = if is_list(address) {
        last.rsplit_once('.').map_or(last, |(stem, _)| stem)
    } else {
        parts.next().unwrap_or_default()
    };
    let is_fit = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '{' | '}');
    let name = if is_object(address) { name.to_owned() } else { decoded(name) };
    let name: String = name.chars().filter(|c| is_fit(*c)).collect();
    // Beside the set's folder lie some of our own, which begin with a point.
    let name = name.trim_start_matches('.');
    if name.trim_matches('.').is_empty() { "shards".to_owned() } else { name.to_owned() }
}

/// Refuses shards in the folder that the address does not stand for any more: they would be read too.
fn refuse_others(folder: &Path, address: &str, ending: &str, listed: &[Listed]) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let is_shard = path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
        let name = path.file_name().unwrap_or_default();
        if is_shard && !listed.iter().any(|file| name == file.name.as_str()) {
            let expected = format!("shards that {address} names, and no others");
            let found = "one that it does not name (any more); move it elsewhere";
            return Err(FetchError::content(&path, expected, found));
        }
    }
    Ok(())
}

/// Refuses shards that the server has in another version than is here.
fn refuse_changed(
    folder: &Path,
    listed: &[&Listed],
    options: &Options,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let ledger = Ledger::open(folder)?;
    for file in listed {
        let Some(entry) = ledger.get(Path::new(&file.name)).filter(|_| folder.join(&file.name).exists())
        else {
            continue;
        };
        progress(observe, Action::Verifying, "whether shards have changed", 0, None)?;
        let now = match (file.bytes, &file.etag) {
            (None, None) => match ask(&file.url, options, observe)? {
                Ok(now) => now,
                Err(why) => {
                    note(observe, format!("{}: {why}; what was fetched before is taken", file.url));
                    return Ok(());
                }
            },
            (bytes, etag) => (bytes, etag.clone()),
        };
        if has_changed(entry, &now) {
            let kept = folder.parent().unwrap_or(folder).to_path_buf();
            let before = version(Some(entry.bytes), entry.version.as_deref());
            return Err(FetchError::Changed {
                url: file.url.clone(),
                before,
                now: version(now.0, now.1.as_deref()),
                kept,
            });
        }
    }
    Ok(())
}

/// Refuses shards that are not what the list said any more when they were fetched.
fn refuse_replaced(ledger: &Ledger, listed: &[&Listed]) -> Result<()> {
    for file in listed.iter().filter(|file| file.etag.is_some()) {
        let said = (file.bytes, file.etag.clone());
        if let Some(entry) = ledger.get(Path::new(&file.name)).filter(|entry| has_changed(entry, &said)) {
            return Err(FetchError::Listing {
                address: file.url.clone(),
                expected: format!("what the list says of it ({})", version(said.0, said.1.as_deref())),
                found: format!(
                    "another ({}): it was replaced after it was listed",
                    version(Some(entry.bytes), entry.version.as_deref())
                ),
            });
        }
    }
    Ok(())
}

/// Size and `ETag`, or date, as far as a server tells.
type Version = (Option<u64>, Option<String>);

fn has_changed(entry: &Entry, (bytes, etag): &Version) -> bool {
    // A date says nothing of a tag.
    let is_tag = |version: &str| version.starts_with('"');
    let is_other = |(before, now): (&String, &String)| is_tag(before) == is_tag(now) && before != now;
    entry.version.as_ref().zip(etag.as_ref()).is_some_and(is_other)
        || bytes.is_some_and(|bytes| bytes != entry.bytes)
}

fn version(bytes: Option<u64>, etag: Option<&str>) -> String {
    let bytes = bytes.map_or("an unknown number of bytes".to_owned(), |bytes| format!("{bytes} bytes"));
    let tag = match etag {
        Some(tag) if tag.starts_with('"') => format!("ETag {tag}"),
        Some(date) => format!("of {date}"),
        None => "without ETag or date".to_owned(),
    };
    format!("{bytes}, {tag}")
}

/// What a server says of a file, or why it says nothing.
fn ask(
    url: &str,
    options: &Options,
    observe: &mut Observe<'_>,
) -> Result<std::result::Result<Version, String>> {
    let agent = http::agent(options, options.stores.is_https(url));
    let request = Request {
        url: url.to_owned(),
        start: 0,
        if_range: None,
        only_head: true,
        stores: options.stores.clone(),
    };
    let messages = http::send(&agent, request)?;
    loop {
        match messages.recv_timeout(TICK) {
            Ok(Message::Head(Head { status: 206, range, etag, modified, .. })) => {
                return Ok(Ok((range.and_then(|range| range.total), etag.or(modified))));
            }
            Ok(Message::Head(Head { status: 200, n_bytes, etag, modified, .. })) => {
                return Ok(Ok((n_bytes, etag.or(modified))));
            }
            Ok(Message::Head(head)) => return Ok(Err(head.refusal())),
            Ok(Message::Failed(why) | Message::Hopeless(why)) => return Ok(Err(why)),
            Ok(Message::Bytes(_) | Message::End) => return Ok(Err("an answer without a head".to_owned())),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(Err("no answer".to_owned())),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                progress(observe, Action::Verifying, "whether shards have changed", 0, None)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_called_as_its_folder_or_list() {
        for (address, name) in [
            ("https://h/sets/bedrooms.txt", "bedrooms"),
            ("https://h/sets/bedrooms/{00..09}.tar", "bedrooms"),
            ("s3://bucket/sets/bedrooms/", "bedrooms"),
            ("s3://bucket/", "bucket"),
            ("gs://bucket/a%20b/", "a%20b"),
            ("https://h/a%20b/x.tar?key=/c/", "a b"),
            ("https://h/../x.tar", "shards"),
            ("s3://bucket/.parts/", "parts"),
        ] {
            assert_eq!(set_name(address), name, "{address}");
        }
    }

    #[test]
    fn another_size_tag_or_date_is_another_version() {
        let text = r#"{"bytes": 3, "origin": "https://h/a.tar", "version": "Tue, 01 Jul 2025 10:00:00 GMT",
            "sha256": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        let now = |bytes, tag: Option<&str>| (bytes, tag.map(str::to_owned));
        assert!(!has_changed(&entry, &now(Some(3), entry.version.as_deref())));
        assert!(!has_changed(&entry, &now(None, None)));
        assert!(!has_changed(&entry, &now(Some(3), Some("\"17\""))));
        assert!(has_changed(&entry, &now(Some(4), None)));
        assert!(has_changed(&entry, &now(Some(3), Some("Wed, 02 Jul 2025 10:00:00 GMT"))));
        assert_eq!(version(Some(3), Some("\"a\"")), "3 bytes, ETag \"a\"");
        assert_eq!(version(None, None), "an unknown number of bytes, without ETag or date");
    }
}
