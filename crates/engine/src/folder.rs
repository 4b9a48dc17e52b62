//! Folders and files that appear whole or not at all.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fs_err as fs;

use crate::disk::{size, sync_folder};
use crate::fingerprint::{files_under, path_of};
use crate::hidden::{self, Hidden, what_is_at};
use crate::kind::Registry;
use crate::record::{self, FINGERPRINT, Record};
use crate::version::Version;

/// A stage's folder, and its other versions in the hidden folder beside it.
#[derive(Debug, Clone)]
pub struct Target {
    folder: PathBuf,
    name: OsString,
    parent: PathBuf,
    hidden: Hidden,
}

impl Target {
    /// That of a path; where it is a link, of the folder that it leads to. Nothing is made.
    ///
    /// # Errors
    /// If the path is a link to nothing, or names no folder that could be made.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let folder = if path.is_symlink() {
            path.canonicalize().with_context(|| format!("{} is a link that leads nowhere", path.display()))?
        } else {
            path.to_owned()
        };
        let name = match folder.file_name() {
            Some(name) if name != hidden::NAME => name.to_owned(),
            _ => bail!("{}: expected a folder with a name of its own", path.display()),
        };
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        Ok(Self::inside(parent, &name))
    }

    /// That of a stage in a folder, by its name.
    pub fn inside(parent: &Path, name: &OsStr) -> Self {
        Self {
            folder: parent.join(name),
            name: name.to_owned(),
            hidden: Hidden::of(parent),
            parent: parent.to_owned(),
        }
    }

    /// The folder of the complete stage.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The hidden folder beside it, made where it is not there.
    ///
    /// # Errors
    /// See [`Hidden::open`].
    pub fn open(&self) -> anyhow::Result<Hidden> {
        Hidden::open(&self.parent)
    }

    /// Makes sure that nothing is in its place but a folder that a stage made, or an empty one.
    ///
    /// # Errors
    /// If something else is there, which the message names.
    pub fn check_way(&self) -> anyhow::Result<()> {
        let shown = self.folder.display();
        match what_is_at(&self.folder) {
            "nothing" => Ok(()),
            // A record that cannot be read, such as a link to itself, is one too.
            "a folder" if what_is_at(&self.folder.join(record::FILE)) != "nothing" => Ok(()),
            "a folder" => match fs::read_dir(&self.folder)?.next() {
                None => Ok(()),
                Some(entry) => bail!(
                    "{shown} is in the way: expected a stage's folder or nothing, found a folder without {} that holds {}; \
                     no stage made it, so move it elsewhere",
                    record::FILE,
                    entry?.file_name().to_string_lossy()
                ),
            },
            found => bail!(
                "{shown} is in the way: expected a stage's folder or nothing, found {found}; move it elsewhere"
            ),
        }
    }

    /// The folders of complete versions that were replaced.
    pub fn kept(&self) -> Vec<PathBuf> {
        self.versions(self.hidden.kept(&self.name))
    }

    /// The folders of what interrupted runs have half done.
    pub fn half_done(&self) -> Vec<PathBuf> {
        self.versions(self.hidden.partial(&self.name))
    }

    fn versions(&self, folder: PathBuf) -> Vec<PathBuf> {
        if !folder.is_dir() || !self.hidden.is_ours() {
            return Vec::new();
        }
        let mut found: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.is_dir());
        found.sort();
        found
    }

    /// Complete folders of a version: kept ones, and one that was not yet moved into its place when its run was killed.
    pub fn complete(&self, version: &Version) -> Vec<PathBuf> {
        let mut found = self.kept();
        found.retain(|path| version.is_of(path));
        if self.hidden.is_ours() {
            let places = [self.hidden.partial(&self.name), self.hidden.work(&self.name)];
            found.extend(places.map(|place| place.join(version.name())));
        }
        found.retain(|path| path.join(record::FILE).is_file());
        found
    }

    /// True for a folder among the versions of this stage, to be moved; another stage's stays with it.
    pub fn owns(&self, version: &Path) -> bool {
        [self.hidden.kept(&self.name), self.hidden.partial(&self.name), self.hidden.work(&self.name)]
            .iter()
            .any(|place| version.starts_with(place))
    }

    /// A new folder with the files of another stage's complete one but its record; hard links where there can be any. The
    /// stage must be locked.
    ///
    /// # Errors
    /// If something can be neither linked nor copied.
    pub fn link(&self, from: &Path, version: &Version) -> anyhow::Result<PathBuf> {
        let work = self.new_work(version)?;
        for file in files_under(from)?.iter().filter(|file| *file != record::FILE) {
            let (here, there) = (path_of(from, file), path_of(&work, file));
            fs::create_dir_all(there.parent().unwrap_or(&work))?;
            if std::fs::hard_link(&here, &there).is_err() {
                crate::space::check(&work, fs::metadata(&here)?.len())?;
                fs::copy(here, there)?;
            }
        }
        Ok(work)
    }

    /// Where a stage that can be resumed does its work.
    pub fn partial(&self, version: &Version) -> PathBuf {
        self.hidden.partial(&self.name).join(version.name())
    }

    /// An empty folder to write a version into; what killed runs left of this stage's is removed. The stage must be locked.
    ///
    /// # Errors
    /// If the folder cannot be made or cleared.
    pub fn new_work(&self, version: &Version) -> anyhow::Result<PathBuf> {
        let work = self.open()?.work(&self.name);
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        let folder = work.join(version.name());
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The folder of a stage that can be resumed, and true if something is in it to go on from. The stage must be locked.
    ///
    /// # Errors
    /// If the folder cannot be made or cleared.
    pub fn resume(&self, version: &Version) -> anyhow::Result<(PathBuf, bool)> {
        let partial = self.partial(version);
        self.take_over(version)?;
        if !partial.exists() {
            fs::create_dir_all(&partial)?;
            return Ok((partial, false));
        }
        // Until it is complete again it must not look complete; other hidden files were being written by a run that was killed.
        for file in files_under(&partial)? {
            if file == record::FILE || file.split('/').any(|part| part.starts_with('.')) {
                fs::remove_file(path_of(&partial, &file))?;
            }
        }
        Ok((partial, true))
    }

    /// Moves what an earlier version of this program had half done of the same making, known by its mark.
    fn take_over(&self, version: &Version) -> anyhow::Result<()> {
        let mut name = self.name.clone();
        name.push(".partial");
        let (earlier, partial) = (self.parent.join(name), self.partial(version));
        let is_of = |mark: String| mark == version.making;
        if partial.exists() || !fs::read_to_string(earlier.join(FINGERPRINT)).is_ok_and(is_of) {
            return Ok(());
        }
        fs::create_dir_all(partial.parent().unwrap_or(&partial))?;
        Ok(fs::rename(earlier, partial)?)
    }

    /// Copies a complete or half-done folder of the same making, to go on from it. What was half done of the very same version
    /// is replaced by it. The stage must be locked.
    ///
    /// # Errors
    /// If there is too little room, or something cannot be copied.
    pub fn take_up(&self, from: &Path, version: &Version) -> anyhow::Result<()> {
        let work = self.new_work(version)?;
        crate::space::check(&work, size(from)?)?;
        for file in files_under(from)?.iter().filter(|file| *file != record::FILE) {
            let copy = path_of(&work, file);
            fs::create_dir_all(copy.parent().unwrap_or(&work))?;
            fs::copy(path_of(from, file), copy)?;
        }
        let partial = self.partial(version);
        if partial.exists() {
            self.remove(&partial)?;
        }
        fs::create_dir_all(partial.parent().unwrap_or(&partial))?;
        fs::rename(&work, partial)?;
        let _ = work.parent().map(std::fs::remove_dir);
        Ok(())
    }

    /// Puts a complete folder in the place of the stage's, and returns where the one that was there is kept. All of it is on the
    /// disk before it is there by name, so that a power cut leaves the old folder or the new one. The stage must be locked.
    ///
    /// Whatever is interrupted on the way, both are complete folders: the old one in its place or kept, the new one where
    /// [`Target::complete`] finds it or in its place.
    ///
    /// # Errors
    /// If a file cannot be brought to the disk, a folder not be renamed, or something else is in the way.
    pub fn put_in_place(
        &self,
        complete: &Path,
        registry: &'static Registry,
    ) -> anyhow::Result<Option<PathBuf>> {
        self.check_way()?;
        let aside = self.set_aside(registry)?;
        fs::rename(complete, &self.folder)?;
        sync_folder(&self.parent)?;
        // Empty by now, or not.
        let _ = complete.parent().map(std::fs::remove_dir);
        Ok(aside)
    }

    /// Moves the stage's folder to the versions that are kept.
    fn set_aside(&self, registry: &'static Registry) -> anyhow::Result<Option<PathBuf>> {
        let name = match Record::read(&self.folder) {
            Ok(Some(record)) => Version::of_record(&record, registry).name(),
            Ok(None) => match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => return Ok(None),
            },
            Err(_) => "unreadable".to_owned(),
        };
        let kept = self.open()?.kept(&self.name);
        fs::create_dir_all(&kept)?;
        let names = std::iter::once(name.clone()).chain((2..).map(|n: u32| format!("{name}.{n}")));
        let free = names.map(|name| kept.join(name)).find(|path| path.symlink_metadata().is_err());
        let aside = free.context("no name is free")?;
        fs::rename(&self.folder, &aside)?;
        sync_folder(&kept)?;
        Ok(Some(aside))
    }

    /// Removes a version's folder from the hidden folder. It is moved out of sight first: killed midway, what is left must not
    /// be taken for a version. The stage must be locked.
    ///
    /// # Errors
    /// If it cannot be moved or removed.
    pub fn remove(&self, version: &Path) -> anyhow::Result<()> {
        let gone = self.hidden.work(&self.name).join("gone");
        if gone.exists() {
            fs::remove_dir_all(&gone)?;
        }
        fs::create_dir_all(gone.parent().unwrap_or(&gone))?;
        fs::rename(version, &gone)?;
        fs::remove_dir_all(&gone)?;
        for emptied in [gone.parent(), version.parent()].into_iter().flatten() {
            // It fails where something is left, which is what is wanted.
            let _ = std::fs::remove_dir(emptied);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
