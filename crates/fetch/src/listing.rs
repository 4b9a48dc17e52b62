//! From an address to the shards that it stands for.
//!
//! An address is a file (`https://host/a.tar`), several (`https://host/{00000..00099}.tar`), a list of addresses (one that ends in
//! `.txt`, with one address a line, also relative to the list's own), or all files below a place of an object store
//! (`s3://bucket/sets/bedrooms/`, `gs://…`). A list may also be a file here.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::download::download;
use crate::encoding::{decoded, encoded};
use crate::event::Observe;
use crate::stores::{Kind, is_object, kind_of};
use crate::{Checksum, FetchError, Install, Options, RemoteFile, Result, gcs, part, s3};

/// The ending of a list.
const LIST: &str = "txt";
/// The longest list, and the longest answer of an object store, that is read.
const MAX_LIST: u64 = 64 << 20;
/// The most files that an address stands for.
const MAX_SHARDS: usize = 1 << 20;

/// A file that an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The last part of its address.
    pub(crate) name: String,
    pub(crate) url: String,
    /// Its size, where the object store says it.
    pub(crate) bytes: Option<u64>,
    /// Its `ETag` (Google's: its generation), where the object store says it.
    pub(crate) etag: Option<String>,
    /// Its checksum, where the object store says it.
    pub(crate) checksum: Option<Checksum>,
}

/// Some of the files in a folder of an object store, and where the next ones are.
type Page = (Vec<Listed>, Option<String>);

/// What is looked for, and with what.
pub(crate) struct Lister<'a, 'o> {
    /// The files' ending, such as `tar`.
    pub(crate) ending: &'a str,
    pub(crate) options: &'a Options,
    /// Where lists are kept while they are read.
    pub(crate) downloads: &'a Path,
    pub(crate) observe: &'a mut Observe<'o>,
}

impl Lister<'_, '_> {
    /// The files of an address, by name; those of a pattern, list or folder are one at least, each name once.
    pub(crate) fn list(&mut self, address: &str) -> Result<Vec<Listed>> {
        let listed = self.all_of(address, true)?;
        let mut by_name = BTreeMap::new();
        for file in listed {
            if let Some(Listed { url: other, .. }) = by_name.insert(file.name.clone(), file.clone()) {
                let expected = "files of different names, by which they are ordered";
                return Err(listing(address, expected, format!("{other} and {}", file.url)));
            }
        }
        if by_name.is_empty() {
            return Err(listing(address, format!("files *.{}", self.ending), "none"));
        }
        Ok(by_name.into_values().collect())
    }

    fn all_of(&mut self, address: &str, may_be_list: bool) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        for url in patterns(address)? {
            if is_list(&url) && may_be_list {
                for line in self.lines(&url)? {
                    all.extend(self.all_of(&line, false)?);
                }
            } else if is_object(&url) && url.ends_with('/') {
                all.extend(self.objects_below(&url)?);
            } else {
                let name = name_of(&url, self.ending)?;
                all.push(Listed { name, url, bytes: None, etag: None, checksum: None });
            }
        }
        Ok(all)
    }

    /// The addresses that stand in a list.
    fn lines(&mut self, url: &str) -> Result<Vec<String>> {
        let is_here = !url.contains("://");
        let text = if is_here { fs_err::read(url)? } else { self.text(url)? };
        let text = String::from_utf8(text)
            .map_err(|_| listing(url, "a list of addresses, one a line", "what is no UTF-8 text"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let base = &url[..=url.rfind('/').unwrap_or(0)];
        let absolute = |line: &str| {
            let is_absolute = is_object(line) || line.starts_with("https://") || line.starts_with("http://");
            let is_relative = !line.contains("://") && !line.starts_with(['/', '<']);
            match (is_absolute, is_relative) {
                (true, _) => Ok(line.to_owned()),
                (_, true) if !is_here => Ok(format!("{base}{line}")),
                _ if is_here => {
                    Err(listing(url, "an address in each line (https://…, s3://…, gs://…)", line))
                }
                _ => Err(listing(url, "an address, or a path relative to the list, in each line", line)),
            }
        };
        lines.map(absolute).collect()
    }

    /// The files below `s3://bucket/prefix/` or `gs://bucket/prefix/`, not those in folders further below.
    fn objects_below(&mut self, address: &str) -> Result<Vec<Listed>> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (mut listed, mut token): (Vec<Listed>, Option<String>) = (Vec::new(), None);
        let mut tokens = HashSet::new();
        loop {
            let (page, next) = match kind_of(address) {
                Kind::Gcs => self.page_of_gcs(address, (bucket, prefix), token.as_deref())?,
                _ => self.page_of_s3(address, (bucket, prefix), token.as_deref())?,
            };
            for mut file in page {
                let name = file.url.strip_prefix(prefix).unwrap_or(&file.url).to_owned();
                // Some stores do not leave out what lies further below.
                if !has_ending(&name, self.ending) || name.contains('/') || name.starts_with('.') {
                    continue;
                }
                if !is_name(&name) {
                    return Err(listing(address, "names that files can have", format!("`{name}`")));
                }
                file.url = format!("{scheme}://{bucket}/{}", file.url);
                listed.push(Listed { name, ..file });
            }
            if listed.len() > MAX_SHARDS {
                return Err(too_many(address));
            }
            match next.filter(|next| !next.is_empty()) {
                None => return Ok(listed),
                Some(next) if !tokens.insert(next.clone()) => {
                    return Err(listing(address, "a list that ends", "the same page again"));
                }
                next => token = next,
            }
        }
    }

    /// A page of Amazon's list; addresses in it are keys.
    fn page_of_s3(&mut self, address: &str, below: (&str, &str), token: Option<&str>) -> Result<Page> {
        let (bucket, prefix) = below;
        let token = token.map(|token| format!("continuation-token={}&", encoded(token))).unwrap_or_default();
        // As they are signed: in the order of their names.
        let query = format!("{token}delimiter=%2F&encoding-type=url&list-type=2&prefix={}", encoded(prefix));
        let xml = self.text(&format!("{}{bucket}?{query}", s3::SCHEME))?;
        let xml = String::from_utf8_lossy(&xml);
        if !xml.contains("<ListBucketResult") {
            return Err(listing(address, "a list of objects", "another answer"));
        }
        // Stores that do not know this encoding write keys as XML does.
        let is_encoded = element(&xml, "EncodingType") == "url";
        let object = |contents: &str| {
            let key = element(contents, "Key");
            let etag = unescaped(element(contents, "ETag"));
            Listed {
                name: String::new(),
                url: if is_encoded { decoded(&key.replace('+', " ")) } else { unescaped(key) },
                bytes: element(contents, "Size").parse().ok(),
                etag: Some(etag).filter(|etag| etag.starts_with('"')),
                checksum: None,
            }
        };
        let next = (element(&xml, "IsTruncated") == "true")
            .then(|| unescaped(element(&xml, "NextContinuationToken")));
        Ok((elements(&xml, "Contents").map(object).collect(), next))
    }

    /// A page of Google's list; addresses in it are names.
    fn page_of_gcs(&mut self, address: &str, below: (&str, &str), token: Option<&str>) -> Result<Page> {
        let text = self.text(&gcs::page_address(below.0, below.1, token))?;
        let page: gcs::Page = serde_json::from_slice(&text)
            .map_err(|_| listing(address, "a list of objects", "another answer"))?;
        let object = |item: gcs::Item| Listed {
            name: String::new(),
            bytes: item.bytes(),
            etag: item.tag(),
            checksum: item.md5().and_then(|digits| format!("md5:{digits}").parse().ok()),
            url: item.name,
        };
        Ok((page.items.into_iter().map(object).collect(), page.next_page_token))
    }

    /// What lies at an address that is no shard.
    fn text(&mut self, url: &str) -> Result<Vec<u8>> {
        let name = "list";
        let path = self.downloads.join(name);
        // An earlier one may be out of date.
        if part::is_ours(&path)? {
            part::forget(&path)?;
        }
        let file = RemoteFile {
            name: name.into(),
            urls: vec![url.to_owned()],
            bytes: None,
            likely_bytes: None,
            checksum: None,
            install: Install::File { path: name.into() },
            estimate: 0,
        };
        let options = Options {
            mirrors: Vec::new(),
            official: true,
            max_bytes: Some(MAX_LIST),
            ..self.options.clone()
        };
        let arrived = download(&file, self.downloads, &options, self.observe)?;
        let text = fs_err::read(&arrived.path)?;
        part::forget(&arrived.path)?;
        Ok(text)
    }
}

/// What is wrong with an address, or with what it leads to.
fn listing(address: &str, expected: impl Into<String>, found: impl Into<String>) -> FetchError {
    FetchError::Listing { address: address.to_owned(), expected: expected.into(), found: found.into() }
}

fn too_many(address: &str) -> FetchError {
    listing(address, format!("at most {MAX_SHARDS} files"), "more")
}

/// The part of an address that names a path: without the query.
pub(crate) fn path_of(url: &str) -> &str {
    let end = if is_object(url) { None } else { url.find(['?', '#']) };
    &url[..end.unwrap_or(url.len())]
}

/// Whether an address, or a path, is a list's.
pub(crate) fn is_list(url: &str) -> bool {
    has_ending(path_of(url), LIST)
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// The name under which a file is kept: the last part of its address.
fn name_of(url: &str, ending: &str) -> Result<String> {
    let path = path_of(url);
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if is_object(url) { last.to_owned() } else { decoded(last) };
    // A bucket is no file, whatever it is called.
    let is_bucket = is_object(url) && path.matches('/').count() < 3;
    let is_fit = has_ending(&name, ending) && is_name(&name) && !is_bucket;
    let expected = format!(
        "the address of a file *.{ending}, of several ({{00000..00099}}.{ending}), of a list of them (*.{LIST}), or of a folder \
         of an object store (s3://bucket/folder/, gs://bucket/folder/)"
    );
    if is_fit { Ok(name) } else { Err(listing(url, expected, format!("`{last}` at its end"))) }
}

/// Whether a file here can have the name.
fn is_name(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\0', '\\'])
}

/// The addresses that one with `{000..099}` stands for.
fn patterns(address: &str) -> Result<Vec<String>> {
    let Some((before, rest)) = address.split_once('{') else { return Ok(vec![address.to_owned()]) };
    let wrong = || listing(address, "{first..last}, such as {00000..00099}", format!("{{{rest}"));
    let (range, behind) = rest.split_once('}').ok_or_else(wrong)?;
    let (first, last) = range.split_once("..").ok_or_else(wrong)?;
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (from, to) = number(first).zip(number(last)).filter(|(from, to)| from <= to).ok_or_else(wrong)?;
    let width = if first.len() == last.len() { first.len() } else { 0 };
    let behind = patterns(behind)?;
    if (to - from).saturating_add(1).saturating_mul(behind.len() as u64) > MAX_SHARDS as u64 {
        return Err(too_many(address));
    }
    let number = |n: u64| behind.iter().map(move |rest| format!("{before}{n:0width$}{rest}"));
    Ok((from..=to).flat_map(number).collect())
}

/// What stands in each `<tag>` of a text.
fn elements<'a>(xml: &'a str, tag: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let inner = &rest[start..end];
        rest = &rest[end..];
        Some(inner)
    })
}

/// What stands in the first `<tag>`; empty where there is none.
fn element<'a>(xml: &'a str, tag: &str) -> &'a str {
    elements(xml, tag).next().unwrap_or_default()
}

fn unescaped(text: &str) -> String {
    let marks = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&apos;", "'"),
        ("&#39;", "'"),
        // The last: what it gives is not looked at again.
        ("&amp;", "&"),
    ];
    marks.iter().fold(text.to_owned(), |text, (mark, character)| text.replace(mark, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_the_shell_makes_of_them() {
        let of = |address: &str| patterns(address).unwrap();
        assert_eq!(of("https://h/a.tar"), ["https://h/a.tar"]);
        assert_eq!(
            of("s3://b/{008..011}.tar"),
            ["s3://b/008.tar", "s3://b/009.tar", "s3://b/010.tar", "s3://b/011.tar"]
        );
        assert_eq!(of("{9..10}"), ["9", "10"]);
        assert_eq!(of("{1..2}/{0..1}.tar"), ["1/0.tar", "1/1.tar", "2/0.tar", "2/1.tar"]);
        for wrong in ["{a..b}", "{1..", "{2..1}", "{1-2}", "{+1..2}"] {
            let message = patterns(wrong).unwrap_err().to_string();
            assert!(message.contains("expected {first..last}"), "{message}");
        }
        for many in ["{0..99999999999}", "{0..9999}{0..9999}"] {
            assert!(patterns(many).unwrap_err().to_string().contains("at most 1048576 files, found more"));
        }
    }

    #[test]
    fn names_are_the_last_part_of_an_address() {
        for (url, name) in [
            ("https://h/a/b.tar", "b.tar"),
            ("https://h/a%20b.tar?X-Amz-Signature=a/b", "a b.tar"),
            ("s3://b/k/a%20?.tar", "a%20?.tar"),
        ] {
            assert_eq!(name_of(url, "tar").unwrap(), name);
        }
        for url in [
            "https://h/a/",
            "https://h/a.zip",
            "https://h/.a.tar",
            "https://h/..%2Fa.tar",
            "https://h/?a.tar",
        ] {
            let message = name_of(url, "tar").unwrap_err().to_string();
            assert!(message.starts_with(url) && message.contains("a file *.tar"), "{message}");
        }
    }

    #[test]
    fn elements_are_found_and_read() {
        let xml =
            "<R><Contents><Key>a%26b</Key><Size>3</Size></Contents><Contents><Key>c</Key></Contents></R>";
        let keys: Vec<&str> = elements(xml, "Contents").map(|contents| element(contents, "Key")).collect();
        assert_eq!(keys, ["a%26b", "c"]);
        assert_eq!(element(xml, "IsTruncated"), "");
        assert_eq!(unescaped("a&amp;quot;&lt;"), "a&quot;<");
    }
}
