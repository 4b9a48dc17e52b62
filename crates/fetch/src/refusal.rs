//! Why nothing comes, in words.

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// It may go better next time.
    ForNow(String),
    /// It will not.
    Ever(String),
}

/// A status in words.
pub(crate) fn status_in_words(status: u16) -> String {
    let words = ureq::http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    format!("the server answers {status} {}", words.unwrap_or_default()).trim_end().to_owned()
}

/// What the body of a store's refusal says, in one line: the message in Amazon's XML or Google's JSON, or a short text.
pub(crate) fn message_of(body: &str) -> Option<String> {
    const MOST: usize = 300;
    let xml =
        || body.split_once("<Message>")?.1.split_once("</Message>").map(|(message, _)| message.to_owned());
    let json = || {
        let value: serde_json::Value = serde_json::from_str(body).ok()?;
        Some(value.pointer("/error/message")?.as_str()?.to_owned())
    };
    let plain = || (!body.trim_start().starts_with(['<', '{'])).then(|| body.to_owned());
    let message = xml().or_else(json).or_else(plain)?;
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_said_in_the_stores_words() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access\n Denied</Message></Error>";
        assert_eq!(message_of(xml).unwrap(), "Access  Denied");
        let json = r#"{"error": {"code": 401, "message": "Anonymous caller does not have access."}}"#;
        assert_eq!(message_of(json).unwrap(), "Anonymous caller does not have access.");
        assert_eq!(message_of("No such object: b/a.tar\n").unwrap(), "No such object: b/a.tar");
        for none in ["", "<html><body>no</body></html>", "{\"a\": 1}", " \n"] {
            assert_eq!(message_of(none), None, "{none}");
        }
        assert_eq!(message_of(&"x".repeat(1000)).unwrap().len(), 300);
    }
}
