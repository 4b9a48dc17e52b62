//! Deserialisation errors, put into words that name the key and the nearest valid one.

use crate::suggest::{nearest, quoted};

/// What serde's message means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The key or variant at fault, where the message names it.
    pub(crate) name: Option<String>,
}

/// Rewrites a serde message. serde gives the names it expected only as text, in backticks; that text has been
/// stable since serde 1.0.
pub(crate) fn explain(message: &str) -> Explained {
    if let Some(explained) = explain_variant(message) {
        return explained;
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let plain = |message: String| Explained { message, help: None, name: None };
    let Some((first, expected)) = names.split_first() else {
        return Explained { help: nearest_call(message), ..plain(plain_types(message)) };
    };
    let unknown = |what: &str| Explained {
        message: if expected.is_empty() {
            format!("unknown {what} `{first}`; there are none here")
        } else {
            format!("unknown {what} `{first}`; expected {}", quoted(expected.iter().copied()))
        },
        help: nearest(first, expected.iter().copied()),
        name: Some((*first).to_owned()),
    };
    if message.starts_with("unknown field") {
        unknown("key")
    } else if message.starts_with("unknown variant") {
        unknown("name")
    } else if message.starts_with("missing field") {
        Explained {
            message: format!("key `{first}` is missing"),
            help: None,
            name: Some((*first).to_owned()),
        }
    } else {
        Explained { help: nearest_call(message), ..plain(plain_types(message)) }
    }
}

/// True if a serde message says that text was expected.
pub(crate) fn wants_text(message: &str) -> bool {
    message.starts_with("invalid type")
        && ["expected a string", "expected path string"].iter().any(|end| message.ends_with(end))
}

/// True if a serde message says that a list was expected.
pub(crate) fn wants_list(message: &str) -> bool {
    message.starts_with("invalid type") && message.ends_with("expected a sequence")
}

/// Rewrites what the TOML reader says of a table that should name one of several forms, such as `source.folder`, and of keys in
/// such a form.
fn explain_variant(message: &str) -> Option<Explained> {
    if message.starts_with("wanted exactly 1 element, more than 1") {
        let message = "expected one key here, which says what it is, found several".to_owned();
        return Some(Explained { message, help: None, name: None });
    }
    let (found, available) =
        message.strip_prefix("unexpected keys in table: ")?.split_once(", available keys: ")?;
    let found: Vec<&str> = found.split(", ").collect();
    let available: Vec<&str> = available.split(", ").collect();
    let first = found.first().copied()?;
    Some(Explained {
        message: format!(
            "unknown key {}; expected {}",
            quoted(found.iter().copied()),
            quoted(available.iter().copied())
        ),
        help: nearest(first, available.iter().copied()),
        name: Some(first.to_owned()),
    })
}

/// The nearest of names such as `centre_crop(n)`, where a message ends in "expected a, b(n) or c(n), found "x(3)"".
fn nearest_call(message: &str) -> Option<String> {
    let (_, after) = message.split_once("expected ")?;
    let (expected, found) = after.split_once(", found \"")?;
    let name = |text: &'_ str| text.split(['(', '"']).next().map(|name| name.trim().to_owned());
    let forms: Vec<&str> = expected.split([',']).flat_map(|part| part.split(" or ")).collect();
    let names: Vec<String> = forms.iter().copied().filter_map(name).collect();
    let help = nearest(&name(found)?, names.iter().map(String::as_str).filter(|name| !name.is_empty()))?;
    // Without its number it is no value.
    let lacks_number = |form: &&&str| {
        !found.contains('(')
            && form.contains("(n)")
            && help.contains(&format!("`{}`", form.trim().trim_end_matches("(n)")))
    };
    Some(match forms.iter().find(lacks_number) {
        Some(form) => format!("did you mean `{}`, or another number?", form.trim().replace("(n)", "(64)")),
        None => help,
    })
}

/// Rust's type names in a serde message, in plain words.
fn plain_types(message: &str) -> String {
    let Some((start, expected)) = message.rsplit_once("expected ") else {
        return message.to_owned();
    };
    let plain = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more",
        "i64" | "i32" | "isize" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list",
        other if other.starts_with("struct") => "a table of keys",
        other => other,
    };
    format!("{start}expected {plain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_messages_are_put_plainly() {
        let explained = explain("unknown field `epochz`, expected one of `epochs`, `seed`");
        assert_eq!(explained.message, "unknown key `epochz`; expected `epochs`, `seed`");
        assert_eq!(explained.help.as_deref(), Some("did you mean `epochs`?"));
        let message =
            "`resize`: expected keep, centre_crop(n) or min_resize_centre_crop(n), found \"center_crop(64)\"";
        let help = explain(&message.replace('`', "")).help;
        assert_eq!(help.as_deref(), Some("did you mean `centre_crop`?"));
        for (found, expected) in [
            ("min_resize_centre_crop", "did you mean `min_resize_centre_crop(64)`, or another number?"),
            ("center_crop", "did you mean `centre_crop(64)`, or another number?"),
            ("kep", "did you mean `keep`?"),
        ] {
            let message =
                format!("expected keep, centre_crop(n) or min_resize_centre_crop(n), found \"{found}\"");
            assert_eq!(explain(&message).help.as_deref(), Some(expected));
        }
        let explained = explain("unexpected keys in table: splt, available keys: path, split");
        assert_eq!(explained.message, "unknown key `splt`; expected `path`, `split`");
        assert_eq!(explained.help.as_deref(), Some("did you mean `split`?"));
        assert_eq!(explain("missing field `images`").message, "key `images` is missing");
        assert_eq!(
            explain("invalid type: string \"x\", expected usize").message,
            "invalid type: string \"x\", expected a whole number, 0 or more"
        );
    }
}
