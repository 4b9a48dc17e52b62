//! `dcgan watch`: what it serves of a run that goes on, was killed, failed or ended, and what it refuses.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/browser.rs"]
mod browser;
mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, TRAINING};
use serde_json::Value;

/// A watcher, ended when it is dropped.
struct Watcher {
    child: Child,
    address: SocketAddr,
}

impl Watcher {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place
            .command(&[&["watch"], arguments, &["--port", "0"]].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Self { child, address }
    }

    /// Sends a request as it stands; status and body of the answer.
    fn send(&self, request: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), answer[end + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    fn run(&self) -> Value {
        self.json("/run.json")
    }

    /// Waits until the run and its stage `train` stand so.
    fn wait_for(&self, run: &str, train: &str) -> Value {
        let start = Instant::now();
        loop {
            let found = self.run();
            if found["is"] == run && stage(&found, "train")["state"] == train {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "waited for {run}, {train}; {found:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stage<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["stages"].as_array().unwrap().iter().find(|stage| stage["id"] == id).unwrap_or(&Value::Null)
}

fn states(run: &Value) -> Vec<(&str, &str)> {
    let stages = run["stages"].as_array().unwrap().iter();
    stages.map(|stage| (stage["id"].as_str().unwrap(), stage["state"].as_str().unwrap())).collect()
}

/// The points (minibatch, value) of a curve that is served.
fn points(curves: &Value, title: &str, name: &str) -> Vec<(f64, f64)> {
    let of = |list: &Value, key: &str, name: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|one| one[key] == name)
            .unwrap_or_else(|| panic!("{name} in {list}"))
            .clone()
    };
    let series = of(&of(&curves["plots"], "title", title)["series"], "name", name);
    let point = |point: &Value| (point["x"].as_f64().unwrap(), point["y"].as_f64().unwrap());
    series["points"].as_array().unwrap().iter().map(point).collect()
}

/// The same of a training's log: means of as many as make 240 points at most.
fn logged(log: &str, key: &str) -> Vec<(f64, f64)> {
    let number = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some((line["step"].as_f64()?, line[key].as_f64()?))
    };
    let all: Vec<(f64, f64)> = log.lines().filter_map(number).collect();
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|point| point.0).sum::<f64>() / n, part.iter().map(|point| point.1).sum::<f64>() / n)
    };
    all.chunks(all.len().div_ceil(240)).map(mean).collect()
}

/// The training's folder while it runs.
fn half_done(place: &Place) -> PathBuf {
    let mut folders = std::fs::read_dir(place.path("runs/m/.dcgan/partial/train")).unwrap();
    folders.next().unwrap().unwrap().path()
}

fn start(place: &Place) -> Child {
    place.command(&["run", "m.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_run_is_seen_before_it_while_it_goes_on_after_a_kill_an_interruption_and_its_end() {
    let manifest = TRAINING.replace(
        "score_every_steps = 100",
        "score_every_steps = 100, sample_every_steps = 100, sample_every_epochs = 100000",
    );
    let place = Place::new(&manifest.replace("steps = 600", "steps = 100000"));
    let watcher = Watcher::start(&place, &["m.toml"]);
    let run = watcher.wait_for("unfinished", "missing");
    assert_eq!(states(&run), [("shapes", "missing"), ("images", "missing"), ("train", "missing")]);

    let mut child = start(&place);
    let run = watcher.wait_for("running", "running");
    assert!(run["words"].as_str().unwrap().contains(&format!("process {}", child.id())), "{run}");
    // Values of a run that goes on: of the same lines, once it stands still.
    let start_time = Instant::now();
    let of = |run: &Value| stage(run, "train")["samples"][0]["shots"].as_array().map_or(0, Vec::len);
    let done = |run: &Value| stage(run, "train")["progress"]["done"].as_u64().unwrap_or(0);
    while of(&watcher.run()) < 2 || done(&watcher.run()) == 0 {
        assert!(start_time.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(&child, "-STOP");
    let run = watcher.run();
    let train = stage(&run, "train");
    let progress = &train["progress"];
    assert_eq!(progress["total"], 100_000, "{train}");
    assert!(progress["words"].as_str().unwrap().contains("minibatches"), "{progress}");
    let log = std::fs::read_to_string(half_done(&place).join("metrics.jsonl")).unwrap();
    let curves = watcher.json(train["curves"]["address"].as_str().unwrap());
    assert_eq!(points(&curves, "Losses", "generator"), logged(&log, "g_loss"));
    assert_eq!(points(&curves, "Losses", "discriminator"), logged(&log, "d_loss"));
    assert_eq!(points(&curves, "Score", "score"), logged(&log, "score"));
    assert_eq!(train["samples"][0]["shots"][0]["step"], 100);
    let (_, picture) = watcher.get(train["samples"][0]["shots"][0]["address"].as_str().unwrap());
    assert!(picture == std::fs::read(half_done(&place).join("samples/step_0000100.png")).unwrap());
    check_in_a_browser(&watcher, "running");
    signal(&child, "-CONT");

    signal(&child, "-KILL");
    child.wait().unwrap();
    let run = watcher.wait_for("killed", "killed");
    assert!(run["words"].as_str().unwrap().starts_with("The last run was killed"), "{run}");
    assert!(stage(&run, "train")["curves"].is_object() && stage(&run, "train")["progress"].is_null());

    let mut child = start(&place);
    watcher.wait_for("running", "running");
    signal(&child, "-INT");
    child.wait().unwrap();
    let run = watcher.wait_for("interrupted", "interrupted");
    assert!(
        stage(&run, "train")["notes"][0]
            .as_str()
            .unwrap()
            .contains("run the same command again to resume it"),
        "{run}"
    );

    std::fs::write(place.path("m.toml"), manifest.replace("steps = 600", "steps = 900")).unwrap();
    place.stdout(&["run", "m.toml"]);
    let run = watcher.wait_for("finished", "fresh");
    assert_eq!(states(&run), [("shapes", "fresh"), ("images", "fresh"), ("train", "fresh")]);
    let log = std::fs::read_to_string(place.path("runs/m/train/metrics.jsonl")).unwrap();
    let curves = watcher.json(stage(&run, "train")["curves"]["address"].as_str().unwrap());
    let points = points(&curves, "Losses", "generator");
    assert_eq!((points.len(), points), (225, logged(&log, "g_loss")));
    check_in_a_browser(&watcher, "finished");
    // A manifest that says something else.
    std::fs::write(place.path("m.toml"), manifest.replace("steps = 600", "steps = 1000")).unwrap();
    let run = watcher.wait_for("unfinished", "stale");
    assert_eq!(stage(&run, "train")["notes"][0], "parameter `training.max_steps` changed: 900 → 1000");
    // The folder alone says less.
    let other = Watcher::start(&place, &["runs/m"]);
    assert_eq!(states(&other.run()), [("shapes", "complete"), ("images", "complete"), ("train", "complete")]);

    let mut watcher = watcher;
    signal(&watcher.child, "-INT");
    assert_eq!(watcher.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_failure_is_seen_when_it_is_over() {
    let manifest = "name = \"m\"\n[[stage]]\nid = \"pictures\"\n[stage.import_images]\nsource.folder.path = \"photos\"\n\
                    [[stage]]\nid = \"again\"\n[stage.import_images]\nfrom = \"pictures\"\nsource.store.path = \".\"\n";
    let place = Place::new(manifest);
    std::fs::create_dir(place.path("photos")).unwrap();
    std::fs::write(place.path("photos/broken.jpg"), "no picture").unwrap();
    let told = place.fails(1, &["run", "m.toml"]);
    let watcher = Watcher::start(&place, &["runs/m"]);
    let run = watcher.run();
    assert_eq!(
        (&run["is"], states(&run)),
        (&"failed".into(), vec![("pictures", "failed"), ("again", "missing")])
    );
    let note = stage(&run, "pictures")["notes"][0].as_str().unwrap();
    assert!(told.contains(note) && note.len() > 20, "{note}; {told}");
}

#[test]
fn nothing_is_answered_but_what_the_page_needs() {
    let place = Place::new(&TRAINING.replace("steps = 600", "steps = 20"));
    place.stdout(&["run", "m.toml"]);
    std::fs::write(place.path("secret.png"), "secret").unwrap();
    std::fs::create_dir(place.path("empty")).unwrap();
    for name in ["step_0000777.png", "step_0000778.png"] {
        let from = if name.contains("777") {
            place.path("secret.png")
        } else {
            place.path("runs/m/train/stage.json")
        };
        std::os::unix::fs::symlink(from, place.path("runs/m/train/samples").join(name)).unwrap();
    }
    let watcher = Watcher::start(&place, &["runs/m"]);
    let (status, page) = watcher.get("/");
    let page = String::from_utf8(page).unwrap();
    assert_eq!(status, 200);
    // All in one page, and nothing from elsewhere.
    for word in ["http:", "https:", "url(", "@import", "src=\"", "integrity"] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(word), "{word}");
    }
    for path in [
        "/stage.json",
        "/run.json?x",
        "//run.json",
        "/../../etc/passwd",
        "/stage/train/file/../stage.json",
        "/stage/train/file/stage.json",
        "/stage/train/file/%2e%2e/%2e%2e/secret.png",
        "/stage/train/file/samples/../../../../secret.png",
        "/stage/train/file/samples/step_0000777.png",
        "/stage/train/file/generator.safetensors",
        "/stage/../curves",
        "http://127.0.0.1/",
    ] {
        assert_eq!(watcher.get(path).0, 404, "{path}");
    }
    let request = |method: &str, host: &str| {
        format!("{method} /run.json HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc")
    };
    assert_eq!(watcher.send(&request("GET", "localhost:9")).0, 200);
    for (method, host, status) in [
        ("POST", "localhost", 405),
        ("HEAD", "localhost", 405),
        ("GET", "evil.example", 403),
        ("GET", "10.0.0.1", 403),
    ] {
        assert_eq!(watcher.send(&request(method, host)).0, status, "{method} {host}");
    }
    assert_eq!(watcher.send("nonsense\r\n\r\n").0, 400);
    // A client that says nothing holds up no other.
    let _idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(watcher.address).unwrap()).collect();
    assert_eq!(watcher.get("/run.json").0, 200);
    if cfg!(target_os = "linux") {
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], watcher.address.port()));
        assert!(TcpStream::connect(elsewhere).is_err(), "listens at 127.0.0.1 alone");
    }

    let port = watcher.address.port().to_string();
    let told = place.fails(1, &["watch", "runs/m", "--port", &port]);
    assert!(told.contains(&format!("cannot listen at 127.0.0.1:{port}")), "{told}");
    for (folder, found) in
        [("runs", "several runs"), ("runs/m/train", "one stage"), ("empty", "no run has written into")]
    {
        let told = place.fails(1, &["watch", folder]);
        assert!(
            told.contains("expected a manifest or the folder of a run") && told.contains(found),
            "{told}"
        );
    }
    assert!(place.fails(2, &["watch", "runs/m", "--set", "steps=3"]).contains("only with a manifest"));
    assert!(place.fails(1, &["watch", "n.toml"]).contains("did you mean `m.toml`?"));
}

/// Opens the page in a browser, where there is one.
fn check_in_a_browser(watcher: &Watcher, is: &str) {
    let Some(chromium) = browser::chromium() else { return };
    let (dom, console) = browser::visit(&chromium, &format!("http://{}/", watcher.address));
    assert_eq!(console, Vec::<String>::new());
    let page = scraper::Html::parse_document(&dom);
    let text = |selector: &str| -> Vec<String> {
        let selector = scraper::Selector::parse(selector).unwrap();
        page.select(&selector).map(|element| element.text().collect::<String>()).collect()
    };
    assert_eq!(text("#is"), [is]);
    let state = if is == "running" { "running" } else { "fresh" };
    assert_eq!(text("#stages tr:last-child .state"), [state]);
    let plots = text(".plot figcaption strong");
    assert!(["Losses", "Score"].iter().all(|title| plots.iter().any(|plot| plot == title)), "{plots:?}");
    assert_eq!(text(".plot > svg").len(), plots.len());
    let said = text("output");
    assert!(said.len() == 1 && said[0].starts_with("after "), "{said:?}");
    let images = scraper::Selector::parse("#samples img[src^=\"/stage/train/file/samples/\"]").unwrap();
    assert_eq!(page.select(&images).count(), 1);
}
