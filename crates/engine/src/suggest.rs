//! Ways out of what was written wrong: the nearest valid name, and names as they are to be typed.

/// "did you mean `x`?" for the candidate nearest to `wrong`, if one is near.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_of(wrong, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The candidate nearest to `wrong`, if one is near.
pub(crate) fn nearest_of<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wrong, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.len().min(wrong.len()) / 3 || candidate.starts_with(wrong)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The names in a list, in backticks.
pub fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// An argument as a shell takes it.
pub fn shell_quoted(argument: &str) -> String {
    let is_plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "=._-/:,".contains(c));
    if is_plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let kinds = ["train_gan", "report", "fit_svm"];
        assert_eq!(nearest("train_gna", kinds).as_deref(), Some("did you mean `train_gan`?"));
        assert_eq!(nearest("fit-svm", kinds).as_deref(), Some("did you mean `fit_svm`?"));
        assert_eq!(nearest("tokenise", kinds), None);
    }
}
