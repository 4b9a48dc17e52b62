//! A page as a real browser sees it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Appended to a copy of a page: says in its title what it finds there.
const PROBE: &str = r#"<script>addEventListener("load", () => {
  const seen = node => { const box = node.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  document.title = JSON.stringify({
    tables: [...document.querySelectorAll("table")].filter(seen).length,
    images: [...document.images].filter(image => image.complete && image.naturalWidth > 0 && seen(image)).length,
    plots: [...document.querySelectorAll(".plot > svg")].filter(seen).length,
    graph: [...document.querySelectorAll(".graph .node")].filter(seen).length,
    width: document.documentElement.clientWidth,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  });
});</script>"#;

/// Put into a copy of a page: the browser then refuses whatever the page does not hold itself, and says so on the console.
/// (The browser's own traffic, for its updates, cannot be told from a page's in a log of the network.)
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
    style-src 'unsafe-inline'; script-src 'unsafe-inline'\">";

/// What a browser said of a page.
pub(crate) struct Seen {
    /// What the probe found.
    pub(crate) found: Value,
    /// What was written to the console; a request to the network is refused there.
    pub(crate) console: Vec<String>,
}

/// Chromium, where it is found: `$CHROMIUM`, or on the path.
pub(crate) fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file());
    dcgan_testing::needs("Chromium", named.or(on_path), "no Chromium on the path or in $CHROMIUM")
}

/// Opens an address and lets some seconds of the page's own time pass; its elements then, and what was written to the console.
pub(crate) fn visit(chromium: &Path, address: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let output = headless(chromium, folder.path())
        .args([
            "--virtual-time-budget=6000",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--dump-dom",
            address,
        ])
        .output()
        .unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), console(&String::from_utf8_lossy(&output.stderr)))
}

fn headless(chromium: &Path, folder: &Path) -> Command {
    let mut command = Command::new(chromium);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--window-size=1280,900"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command
}

fn console(told: &str) -> Vec<String> {
    told.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
}

/// Opens a page, with a window so many CSS pixels wide, and says what is on it.
pub(crate) fn open(chromium: &Path, html: &str, width: u32) -> Seen {
    with_script(chromium, html, width, PROBE)
}

/// Opens a page and runs the body of an async function on it once it has loaded; what that returns is found.
pub(crate) fn act(chromium: &Path, html: &str, width: u32, body: &str) -> Seen {
    // What waits for no more than promises is done before the frame's own load event.
    let script = format!(
        "<script>addEventListener(\"load\", () => {{ (async () => {{ {body} }})().then((said) => \
         {{ document.title = JSON.stringify(said); }}, (error) => console.error(error)); }});</script>"
    );
    with_script(chromium, html, width, &script)
}

fn with_script(chromium: &Path, html: &str, width: u32, script: &str) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    // In a frame, for the browser's own window cannot be as narrow as a phone.
    assert!(html.contains("<head>"));
    let framed = format!("{}{script}", html.replacen("<head>", &format!("<head>{POLICY}"), 1));
    std::fs::write(folder.path().join("framed.html"), framed).unwrap();
    let frame = format!(
        "<!DOCTYPE html><html lang=\"en\"><title>frame</title><iframe src=\"framed.html\" width=\"{width}\" height=\"800\" \
         style=\"border:0\"></iframe><script>addEventListener(\"load\", () => {{ document.title = \
         document.querySelector(\"iframe\").contentDocument.title; }});</script></html>"
    );
    std::fs::write(&page, frame).unwrap();
    let output = headless(chromium, folder.path())
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--timeout=20000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let (dom, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let title = title.unwrap_or_else(|| panic!("no title in {dom}\n{told}")).0.replace("&amp;", "&");
    Seen {
        found: serde_json::from_str(&title)
            .unwrap_or_else(|_| panic!("the probe did not run: {title}\n{told}")),
        console: console(&told),
    }
}
