//! `~`: the home folder in values that are paths.

use std::borrow::Cow;
use std::path::PathBuf;

use toml::de::DeValue;

use super::tree::{self, Node, Table, as_table_mut};
use crate::kind::Kind;

/// Puts the home folder for a leading `~` into every path of a stage's table.
///
/// # Errors
/// The dotted key of a path that needs it, where nobody knows where it is.
pub(super) fn expand(kind: &Kind, table: &mut Table<'_>) -> Result<(), String> {
    for key in kind.keys().iter().filter(|key| key.takes_path()) {
        if let Some(node) = tree::get_path_mut(table, &key.key) {
            expand_value(node).map_err(|()| key.key.clone())?;
        }
    }
    Ok(())
}

fn expand_table(table: &mut Table<'_>) -> Result<(), ()> {
    table.iter_mut().try_for_each(|(_, value)| expand_value(value))
}

fn expand_value(node: &mut Node<'_>) -> Result<(), ()> {
    match node.get_mut() {
        DeValue::String(text) => {
            if let Some(path) = expanded(text)? {
                *text = Cow::Owned(path);
            }
            Ok(())
        }
        DeValue::Array(items) => items.iter_mut().try_for_each(expand_value),
        DeValue::Table(_) => as_table_mut(node).map_or(Ok(()), expand_table),
        _ => Ok(()),
    }
}

/// The path with the home folder for a leading `~`; none where there is no such. `Err` if nobody knows where it is.
fn expanded(path: &str) -> Result<Option<String>, ()> {
    let Some(below) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Ok(None);
    };
    let home = home().ok_or(())?;
    let home = home.trim_end_matches('/');
    Ok(Some(format!("{home}{below}")))
}

/// `$HOME`, or the home folder that the system notes for the user.
fn home() -> Option<String> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?;
    home.into_os_string().into_string().ok()
}

/// [`expanded`] for a path of the command line itself; what cannot be expanded stays as it is.
pub(super) fn of_command_line(path: &str) -> Option<PathBuf> {
    expanded(path).ok().flatten().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_of_its_own_is_the_home_folder() {
        let home = home().unwrap();
        assert_eq!(expanded("~/photos"), Ok(Some(format!("{}/photos", home.trim_end_matches('/')))));
        assert_eq!(expanded("~"), Ok(Some(home.trim_end_matches('/').to_owned())));
        for path in ["~other/photos", "a/~/b", "photos~", ""] {
            assert_eq!(expanded(path), Ok(None), "{path}");
        }
    }
}
