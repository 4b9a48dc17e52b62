//! `dcgan stage fetch`, as a user calls it, from a real server on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../crates/fetch/tests/server/mod.rs"]
mod server;

use std::time::Duration;

use common::Place;
use server::{Asked, Reply, Server, honest};

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// Ten pictures of 100×100, or their labels, as MNIST's files; the reader tells by the first bytes that they are not packed.
fn mnist(asked: &Asked) -> Vec<u8> {
    if asked.path.contains("images") {
        let pixels = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        [0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 100, 0, 0, 0, 100].into_iter().chain(pixels).collect()
    } else {
        [0, 0, 8, 1, 0, 0, 0, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9].to_vec()
    }
}

/// The arguments that fetch MNIST from `server` into `data`.
fn arguments(server: &Server) -> Vec<String> {
    let none: Vec<String> = NAMES.iter().map(|name| format!("\"{name}\" = \"none\"")).collect();
    let mut arguments =
        ["stage", "fetch", "--out", "data", "sets=[\"mnist\"]", "official=false"].map(str::to_owned).to_vec();
    arguments.push(format!("mirrors=[\"{}\"]", server.address));
    arguments.push(format!("checksums={{{}}}", none.join(", ")));
    arguments
}

fn as_str(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn what_is_fetched_is_read_and_only_verified_the_next_time() {
    let server = Server::start(|asked| honest(&mnist(asked), "\"1\"", asked));
    let place = Place::new("");
    let arguments = arguments(&server);
    std::fs::create_dir_all(place.path("data/imagenet")).unwrap();
    std::fs::write(place.path("data/imagenet/mine"), "mine").unwrap();
    place.stdout(&as_str(&arguments));
    assert_eq!(server.asked().len(), 4);
    std::fs::write(place.path("data/mnist/notes"), "mine").unwrap();
    let again = place.stdout(&as_str(&arguments));
    assert!(again.contains("\"n_verified\": 4") && again.contains("\"n_downloaded\": 0"), "{again}");
    assert_eq!(server.asked().len(), 4);
    // What others put there stays, and is none of the stage's outputs.
    assert_eq!(std::fs::read_to_string(place.path("data/imagenet/mine")).unwrap(), "mine");
    let record = std::fs::read_to_string(place.path("data/stage.json")).unwrap();
    assert!(record.contains("mnist/t10k-labels-idx1-ubyte.gz") && !record.contains("imagenet"), "{record}");
    assert!(!record.contains("mnist/notes"), "{record}");
    let images = "source.mnist.images=mnist/train-images-idx3-ubyte.gz";
    let labels = "source.mnist.labels=mnist/train-labels-idx1-ubyte.gz";
    let import = ["stage", "import_images", "--out", "images", "from=data", images, labels, "channels=1"];
    assert!(place.stdout(&import).contains("\"n_images\": 10"));
}

#[test]
fn another_set_joins_the_same_folder_from_a_folder_of_copies() {
    let server = Server::start(|asked| honest(&mnist(asked), "\"1\"", asked));
    let place = Place::new("");
    place.stdout(&as_str(&arguments(&server)));
    place.stdout(&["stage", "synthesize", "--out", "copies", "digits.n_train=20", "digits.n_test=10"]);
    let checksums = "checksums={\"train_32x32.mat\" = \"none\", \"test_32x32.mat\" = \"none\"}";
    let fetch = [
        "stage",
        "fetch",
        "--out",
        "data",
        "sets=[\"svhn\"]",
        "official=false",
        "mirrors=[\"copies\"]",
        checksums,
    ];
    place.stdout(&fetch);
    let record = std::fs::read_to_string(place.path("data/stage.json")).unwrap();
    for file in ["svhn/train_32x32.mat", "svhn/test_32x32.mat", "mnist/train-images-idx3-ubyte.gz"] {
        assert!(place.path(&format!("data/{file}")).exists() && record.contains(file), "{file}");
    }
    assert!(!place.path("data/.downloads").exists());
    let import =
        ["stage", "import_images", "--out", "images", "from=data", "source.svhn.path=svhn/train_32x32.mat"];
    assert!(place.stdout(&import).contains("\"n_images\": 20"));
}

#[test]
fn in_a_manifest_it_is_a_stage_like_any_other() {
    let server = Server::start(|asked| honest(&mnist(asked), "\"1\"", asked));
    let checksums: String = NAMES.iter().map(|name| format!("\"{name}\" = \"none\"\n")).collect();
    let place = Place::new(&format!(
        "name = \"m\"\n[[stage]]\nid = \"data\"\n[stage.fetch]\nsets = [\"mnist\"]\nofficial = false\n\
         mirrors = [\"{}\"]\n[stage.fetch.checksums]\n{checksums}\
         [[stage]]\nid = \"images\"\n[stage.import_images]\nfrom = \"data\"\nchannels = 1\n\
         source.mnist.images = \"mnist/t10k-images-idx3-ubyte.gz\"\n",
        server.address
    ));
    assert!(place.stderr(&["run", "m.toml"]).contains("2 stages ran, 0 were unchanged"));
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 2 were unchanged"));
    // Damage is found, and only the damaged file is fetched again.
    std::fs::write(place.path("runs/m/data/mnist/t10k-labels-idx1-ubyte.gz"), "damage").unwrap();
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("has not the 18 bytes it had; fetching it again"), "{told}");
    assert_eq!(server.asked().len(), 5);
    assert!(place.stderr(&["status", "m.toml"]).is_empty());
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_part_and_the_same_command_goes_on() {
    let server = Server::start(|asked| {
        let reply = honest(&mnist(asked), "\"1\"", asked);
        if asked.number == 0 { reply.pace(20_000, Duration::from_millis(400)) } else { reply }
    });
    let place = Place::new("");
    let arguments = arguments(&server);
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("dcgan"))
        .args(&arguments)
        .current_dir(place.folder())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let part = place.path("data/.downloads/train-images-idx3-ubyte.gz.part");
    let began = std::time::Instant::now();
    while !std::fs::metadata(&part).is_ok_and(|metadata| metadata.len() >= 20_000) {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("run the same command again to resume it"));
    assert!(!place.path("data/mnist").exists() && part.exists());
    place.stdout(&as_str(&arguments));
    let second = server.asked()[1].clone();
    assert!(second.start.is_some_and(|start| start >= 20_000), "{second:?}");
}

#[test]
fn what_cannot_be_fetched_is_told_with_what_to_do() {
    let place = Place::new("");
    let told = place.fails(2, &["stage", "fetch", "--out", "data", "sets=[\"imagenet\"]"]);
    assert!(told.contains("put your own copy") && told.contains("imagenet/train"), "{told}");
    let told = place.fails(2, &["stage", "fetch", "--out", "data", "sets=[\"cifar\"]"]);
    assert!(told.contains("cifar10"), "{told}");
    let server = Server::start(|_| Reply::new(404, b""));
    let told = place.fails(1, &as_str(&arguments(&server)));
    assert!(
        told.contains("train-images-idx3-ubyte.gz: not to be had") && told.contains("404 Not Found"),
        "{told}"
    );
    // A folder that another stage made is not mixed with data.
    place.stdout(&["stage", "synthesize", "--out", "data2", "shapes.n_train=10", "shapes.n_test=10"]);
    let told = place.fails(1, &["stage", "fetch", "--out", "data2", "sets=[\"mnist\"]"]);
    assert!(told.contains("was made by a stage of kind synthesize"), "{told}");
}
