//! The paper's figures, drawn by a generator that has hardly learned anything: what is written, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Place;

const FIGURES: &str = r#"
name = "m"
[[stage]]
id = "walls"
[stage.synthesize.windows]
n_train = 64
n_test = 10
[[stage]]
id = "images"
[stage.import_images]
from = "walls"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "test-images"
[stage.import_images]
from = "walls"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "judge"
[stage.train_classifier]
images = "images"
test = "test-images"
training = { architecture = "svhn32", width = 0.05, positive = [1, 3], epochs = 1 }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.05, batch_size = 8, epochs = 1 }
[[stage]]
id = "samples"
[stage.sample]
model = "train"
statistics = "inferred"
n_images = 20
sorted_by = "train"
pictures = true
pixels = true
pages = true
[[stage]]
id = "walk"
[stage.walk]
model = "train"
samples = "samples"
picks = [3, 1, 4]
n_steps = 5
interpolation = "spherical"
[[stage]]
id = "arithmetic"
[stage.arithmetic]
model = "train"
samples = "samples"
a = [0, 1, 2]
b = [3, 4, 5]
c = [6, 7, 8]
[[stage]]
id = "turn"
[stage.turn]
model = "train"
samples = "samples"
left = [0, 1, 2, 3]
right = [4, 5, 6, 7]
n_rows = 2
seed = 9
[[stage]]
id = "guided"
[stage.guided_backprop]
model = "train"
images = "images"
n_features = 2
top_k = 3
[[stage]]
id = "forget"
[stage.forget]
model = "train"
samples = "samples"
boxes = "boxes.csv"
rule = "windows"
judges = ["judge"]
n_measured = 20
n_controls = 3
n_shown = 4
[[stage]]
id = "report"
[stage.report]
samples = ["samples"]
figures = ["walk", "arithmetic", "turn", "guided", "forget"]
"#;

const BOXES: &str = "sample,x0,y0,x1,y1\n0,4,4,16,16\n7,10,2,25,20\n";

/// The header of a `.npy` file, and its values as little-endian f32.
fn npy(bytes: &[u8]) -> (String, Vec<f32>) {
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let values = bytes[end..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (String::from_utf8_lossy(&bytes[10..end]).into_owned(), values)
}

#[test]
fn every_figure_lands_in_the_report() {
    let place = Place::new(FIGURES);
    std::fs::write(place.path("boxes.csv"), BOXES).unwrap();
    place.stdout(&["run", "m.toml"]);
    let read = |path: &str| std::fs::read(place.path("runs/m").join(path)).unwrap();
    let report = String::from_utf8(read("report/report.html")).unwrap();
    for title in [
        "Samples <span class=\"note\">(stage <code>samples</code>)",
        "A walk through z, along the great circle",
        "Arithmetic on z: a − b + c",
        "A turn vector",
        "Guided back-propagation, trained discriminator",
        "Guided back-propagation, random discriminator (seed 0)",
        "Forgetting an object",
    ] {
        assert!(report.contains(title), "{title}");
    }
    // Digits or walls are no bedrooms: that is computed, and nothing is said to be as in the paper that was not compared.
    for departure in [
        "network of architecture svhn32, not faces64",
        "network trained on synthetic windows, not on LSUN",
        "network trained on synthetic windows, not on faces of photos",
        "statistics inferred, not batch (released code)",
        "picks [3, 1, 4], not [] (random points, section 6.1)",
        "3 points, not 9",
        "n_features 2, not 6 (section 6.2)",
    ] {
        assert!(report.contains(&format!("<li>{departure} <span")), "{departure}");
    }
    assert!(report.contains("<h3 id=\"not-checked\">") && report.contains("<h3 id=\"equal\">"));
    let (header, z) = npy(&read("samples/z.npy"));
    assert!(header.contains("(20, 100)"), "{header}");
    let (header, pixels) = (npy(&read("samples/pixels.npy")).0, read("samples/pixels.npy"));
    assert!(header.contains("'|u1'") && header.contains("(20, 3, 32, 32)"), "{header}");
    assert_eq!(pixels.len(), 128 + 20 * 3072);
    let scores = npy(&read("samples/scores.npy")).1;
    assert!(scores.len() == 20 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert_eq!(std::fs::read_dir(place.path("runs/m/samples/pictures")).unwrap().count(), 20);
    assert!(
        place.path("runs/m/samples/pick.html").exists() && place.path("runs/m/samples/boxes.html").exists()
    );

    // The walk begins and ends with what was picked.
    let (header, walk) = npy(&read("walk/z.npy"));
    assert!(header.contains("(10, 100)"), "{header}");
    for (row, pick) in [(0, 3), (4, 1), (5, 1), (9, 4)] {
        let pairs = walk[row * 100..][..100].iter().zip(&z[pick * 100..][..100]);
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5), "row {row}");
    }
    // z 12 of the arithmetic, behind 9 samples and 3 means, is a − b + c.
    let arithmetic = npy(&read("arithmetic/z.npy")).1;
    for i in 0..100 {
        let mean = |first: usize| (first..first + 3).map(|row| z[row * 100 + i]).sum::<f32>() / 3.0;
        assert!((arithmetic[12 * 100 + i] - (mean(0) - mean(3) + mean(6))).abs() < 1e-5);
    }
    let metrics: serde_json::Value = serde_json::from_slice(&read("forget/stage.json")).unwrap();
    let metrics = &metrics["metrics"];
    assert_eq!((&metrics["n_boxes"], &metrics["n_maps"]), (&2.into(), &6.into()), "{metrics}");
    assert_eq!(read("forget/boxes.csv"), BOXES.as_bytes());
    let measured: serde_json::Value = serde_json::from_slice(&read("forget/measured.json")).unwrap();
    assert_eq!(measured, metrics["measured"]);
    assert_eq!((&measured["n_samples"], &measured["n_controls"]), (&20.into(), &3.into()));
    let share = &measured["shares"][0];
    assert!(share["name"] == "judge" && share["before"].is_number(), "{share}");
    assert!(share["random"]["sd"].is_number() && share["matched"]["mean"].is_number(), "{share}");
    assert!(measured["change_beside"]["after"].is_number() && measured["colour"][2]["after"].is_number());
    let judge: serde_json::Value = serde_json::from_slice(&read("judge/stage.json")).unwrap();
    assert_eq!(judge["metrics"]["n_images"], 10);

    // The same z from a file.
    let again = ["stage", "sample", "--out", "again", "model=runs/m/train", "z=runs/m/samples/z.npy"];
    place.stdout(&[&again[..], &["statistics=inferred", "pixels=true", "n_images=7"]].concat());
    let again = std::fs::read(place.path("again/pixels.npy")).unwrap();
    assert_eq!(again.len(), 128 + 7 * 3072);
    let z_again = npy(&std::fs::read(place.path("again/z.npy")).unwrap()).1;
    assert_eq!(z_again, z[..700]);
}

#[test]
fn without_picked_samples_the_figure_is_asked_for_and_left_out() {
    let bare = FIGURES
        .replace("a = [0, 1, 2]\nb = [3, 4, 5]\nc = [6, 7, 8]\n", "")
        .replace("left = [0, 1, 2, 3]\nright = [4, 5, 6, 7]\n", "left = []\n");
    let place = Place::new(&bare);
    std::fs::write(place.path("boxes.csv"), BOXES).unwrap();
    let told = place.stderr(&["run", "m.toml"]);
    let ask = "`arithmetic` waits: nobody has picked the samples of the three concepts a, b and c, three of each in the paper: open \
               runs/m/samples/pick.html (which `sample` writes with `pages=true`), copy the lists, then dcgan run m.toml --set \
               'arithmetic.a=[…]' --set 'arithmetic.b=[…]' --set 'arithmetic.c=[…]'";
    assert!(told.contains(ask), "{told}");
    assert!(told.contains("`turn` waits: ") && told.contains("10 stages ran"), "{told}");
    let report = || std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    assert!(!report().contains("Arithmetic on z") && report().contains("A walk through z"));
    assert!(!place.path("runs/m/arithmetic").exists());
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 10 were unchanged"));
    assert!(place.stdout(&["status", "m.toml"]).contains("nobody has picked the samples of the two ends"));

    let told = place.fails(1, &["run", "m.toml", "--only", "arithmetic"]);
    assert!(told.contains("stage `arithmetic` cannot run: nobody has picked"), "{told}");
    let alone = ["stage", "turn", "--out", "x", "model=runs/m/train", "samples=runs/m/samples"];
    let told = place.fails(1, &alone);
    assert!(told.contains("open runs/m/samples/pick.html") && told.contains("'left=[…]'"), "{told}");

    let picks = ["arithmetic.a=[0]", "arithmetic.b=[1, 2]", "arithmetic.c=[3, 4, 5]"];
    let sets: Vec<&str> = picks.iter().flat_map(|pick| ["--set", pick]).collect();
    place.stdout(&[&["run", "m.toml"][..], &sets].concat());
    assert!(report().contains("Arithmetic on z: a − b + c"));
    assert!(report().contains("<li>2 samples of a concept, not 3 <span"));
}

#[test]
fn what_does_not_fit_is_told() {
    let place = Place::new(FIGURES);
    std::fs::write(place.path("boxes.csv"), BOXES.replace("7,10", "20,10")).unwrap();
    let told = place.fails(1, &["run", "m.toml"]);
    assert!(told.contains("boxes.csv: expected in line 3 a sample below 20, found `20`"), "{told}");
    let told = place.fails(1, &["run", "m.toml", "--only", "walk", "--set", "walk.picks=[3, 20]"]);
    assert!(told.contains("`picks`: expected below 20, the number of samples, found 20"), "{told}");
    let told = place.fails(1, &["run", "m.toml", "--only", "turn", "--set", "turn.right=[20]"]);
    assert!(told.contains("`right`: expected below 20, the number of samples, found 20"), "{told}");
    let told = place.fails(1, &["run", "m.toml", "--only", "arithmetic", "--set", "arithmetic.c=[20]"]);
    assert!(told.contains("`c`: expected below 20, the number of samples, found 20"), "{told}");
    std::fs::write(place.path("boxes.csv"), "sample,x0,y0,x1,y1\n").unwrap();
    let told = place.fails(1, &["run", "m.toml", "--only", "forget"]);
    assert!(told.contains("boxes.csv: expected at least one box on 20 samples, found none"), "{told}");
    let told = place.fails(1, &["run", "m.toml", "--only", "samples", "--set", "samples.weights=ema"]);
    assert!(told.contains("kept a moving average"), "{told}");
    let told = place.fails(2, &["check", "m.toml", "--set", "walk.picks=[3]", "--set", "arithmetic.b=[]"]);
    assert!(told.contains("at least 2 numbers of samples") && told.contains("at least one number"), "{told}");
    std::fs::write(place.path("z.npy"), "no numbers").unwrap();
    let told = place.fails(1, &["stage", "sample", "--out", "x", "model=runs/m/train", "z=z.npy"]);
    assert!(told.contains("z.npy: expected a NumPy file of z"), "{told}");
    assert!(!place.path("x").exists());
}

#[test]
fn samples_that_were_drawn_otherwise_are_told() {
    let place = Place::new(FIGURES);
    std::fs::write(place.path("boxes.csv"), BOXES).unwrap();
    place.stdout(&["run", "m.toml"]);
    let alone = |out: &'static str, kind: &'static str, model: &'static str| {
        ["stage", kind, "--out", out, model, "samples=runs/m/samples"]
    };
    let stderr = |first: &[&str], more: &[&str]| place.stderr(&[first, more].concat());
    let (train, other) = ("model=runs/m/train", "model=other/m/train");
    let picks = ["picks=[0, 1]", "n_steps=2"];
    assert!(!stderr(&alone("same", "walk", train), &picks).contains("were drawn"));
    let told =
        stderr(&alone("batch", "walk", train), &[&picks[..], &["statistics=batch", "weights=best"]].concat());
    let expected = "were drawn with weights = \"trained\", not \"best\" and with statistics = \"inferred\", not \"batch\" \
                    (where `statistics` is left out, `sample` takes \"batch\" and the stages behind it \"inferred\")";
    assert!(told.contains(expected), "{told}");

    // Boxes lie on pictures: other pictures are an error.
    let batch = ["boxes=boxes.csv", "statistics=batch", "n_shown=1"];
    let told = place.fails(1, &[&alone("boxes", "forget", train)[..], &batch].concat());
    assert!(told.contains("the boxes of boxes.csv lie on those pictures, not on these"), "{told}");
    let trained =
        ["--only", "walls", "--only", "images", "--only", "train", "--set", "train.training.seed=1"];
    place.stdout(&[&["run", "m.toml", "--runs", "other"], &trained[..]].concat());
    let told = stderr(&alone("other-model", "walk", other), &picks);
    assert!(told.contains("were drawn by another `model`, train; what was picked"), "{told}");

    std::fs::create_dir(place.path("bare")).unwrap();
    let network = "generator.safetensors";
    std::fs::copy(place.path("runs/m/train").join(network), place.path("bare").join(network)).unwrap();
    let told = place.fails(1, &["stage", "sample", "--out", "x", "model=bare", "weights=best"]);
    assert!(
        told.contains("`weights` is \"best\", which needs a training that kept its best generator"),
        "{told}"
    );
}
