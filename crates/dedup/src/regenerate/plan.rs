//! What is to be removed, and what has to be there for it.
//!
//! Several keys may lead to one file, by symbolic links. They are one picture, and share its fate: none of them is removed as the
//! duplicate of another. Of a link and a file that are duplicates the file stays.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use dcgan_files::key;
use dcgan_images::{Payload, Source};

use crate::group::Member;
use crate::{DedupError, Result};

/// Keys, with what is known of their contents.
pub(super) type Contents = HashMap<String, Option<u64>>;

/// Which pictures of the groups stay, and which do not.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// One of each group.
    pub(super) stay: Contents,
    /// The others, without those that are the same file as one that stays.
    pub(super) removed: Contents,
    /// The files of those that are no links, where the set is a folder.
    files: HashSet<PathBuf>,
}

impl Plan {
    /// Of groups, each of which must have one member that stays, and no key twice. Members that are `rejected`, as the set that
    /// is written cannot take them, neither stay for others nor are removed for them.
    pub(super) fn new(source: &Source, groups: &[Vec<Member>], rejected: &HashSet<String>) -> Result<Self> {
        check(source, groups)?;
        let root = match source {
            Source::Folder { path, .. } | Source::ImageNetFolder { path } => {
                Some(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
            }
            _ => None,
        };
        let locate = |member| Located::new(member, root.as_deref());
        let is_fit = |member: &&Member| !rejected.contains(&member.key);
        let groups: Vec<Vec<Located<'_>>> =
            groups.iter().map(|group| group.iter().filter(is_fit).map(locate).collect()).collect();
        let mut stay = Vec::new();
        for group in &groups {
            // What is removed for a picture of another set needs none to stay.
            if !group.iter().any(|one| one.member.elsewhere) {
                stay.extend(the_one_that_stays(group));
            }
        }
        let stay_files: HashSet<&Path> = stay.iter().map(|one| one.file.as_path()).collect();
        let mut plan = Self::default();
        for one in groups.iter().flatten().filter(|one| !stay_files.contains(one.file.as_path())) {
            plan.removed.insert(one.member.key.clone(), one.member.blake3);
            if root.is_some() && !one.is_link {
                plan.files.insert(one.file.clone());
            }
        }
        plan.stay = stay.iter().map(|one| (one.member.key.clone(), one.member.blake3)).collect();
        Ok(plan)
    }

    /// Whether the picture is in no group, and yet a link to a file that is removed.
    pub(super) fn leads_to_removed(&self, payload: &Payload) -> bool {
        match payload {
            Payload::File(path) if !self.files.is_empty() => {
                std::fs::canonicalize(path).is_ok_and(|file| self.files.contains(&file))
            }
            _ => false,
        }
    }
}

/// A member of a group, and where it is.
struct Located<'a> {
    member: &'a Member,
    /// The real path of its file; its key where there is none.
    file: PathBuf,
    is_link: bool,
}

impl<'a> Located<'a> {
    fn new(member: &'a Member, root: Option<&Path>) -> Self {
        let path = root.and_then(|root| Some(root.join(key::path_of(&member.key)?)));
        let real = path.as_ref().and_then(|path| std::fs::canonicalize(path).ok());
        // A key is a relative path: it is no real one.
        let file = real.clone().unwrap_or_else(|| PathBuf::from(&member.key));
        Self { member, file, is_link: real.is_some() && real != path }
    }
}

/// The member that stays in place of the others: the one that the group names, but rather a file than a link. Of several files
/// it is the one that the link leads to, or else the one most like it.
fn the_one_that_stays<'a, 'b>(group: &'b [Located<'a>]) -> Option<&'b Located<'a>> {
    let named = group.iter().find(|one| one.member.key == one.member.representative);
    if named.is_some_and(|named| !named.is_link) {
        return named;
    }
    let likeness = |a: &&Located<'_>, b: &&Located<'_>| {
        let is_other = |one: &Located<'_>| named.is_none_or(|named| one.file != named.file);
        is_other(a)
            .cmp(&is_other(b))
            .then(a.member.pixel_distance.total_cmp(&b.member.pixel_distance))
            .then(a.member.distance.cmp(&b.member.distance))
            .then(a.member.key.cmp(&b.member.key))
    };
    let file = group.iter().filter(|one| !one.is_link).min_by(likeness);
    file.or(named).or_else(|| group.iter().min_by(likeness))
}

/// Refuses groups in which a picture is removed and the one named for it does not stay.
fn check(source: &Source, groups: &[Vec<Member>]) -> Result<()> {
    let unfit = |key: &str, problem: String| Err(unfit(source, key, problem));
    let mut found: HashMap<&str, (usize, &Member)> = HashMap::new();
    for (group_idx, group) in groups.iter().enumerate() {
        for member in group {
            if found.insert(&member.key, (group_idx, member)).is_some() {
                return unfit(&member.key, "stands twice in the groups".into());
            }
        }
    }
    for (group_idx, group) in groups.iter().enumerate() {
        for member in group.iter().filter(|member| !member.elsewhere) {
            let (key, stays) = (&member.key, &member.representative);
            match found.get(stays.as_str()) {
                None => return unfit(stays, format!("is to stay for {key}, but is in no group")),
                Some((other, _)) if *other != group_idx => {
                    return unfit(stays, format!("is to stay for {key}, but is in another group"));
                }
                Some((_, one)) if one.representative != one.key => {
                    let problem =
                        format!("is to stay for {key}, but is itself removed for {}", one.representative);
                    return unfit(stays, problem);
                }
                Some(_) if *stays != group[0].representative => {
                    let problem =
                        format!("is to stay, but so is {} of the same group", group[0].representative);
                    return unfit(stays, problem);
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// That a picture of the groups is not, or not any more, what it is taken for.
pub(super) fn unfit(source: &Source, key: &str, problem: impl Into<String>) -> DedupError {
    let path = source.paths().first().copied().unwrap_or(Path::new("")).to_path_buf();
    DedupError::Unfit { path, key: key.to_owned(), problem: problem.into() }
}
