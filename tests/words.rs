//! What the command line takes and says: values by their keys, what was meant, streams that cannot be written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::File;
use std::process::{Command, Stdio};

use assert_cmd::cargo::CommandCargoExt as _;
use common::{Place, SMALL};

/// `dcgan` in a place, for tests that give it streams of their own.
fn dcgan(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("dcgan").unwrap();
    command.current_dir(place.folder()).args(arguments);
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_goes_on_where_stderr_cannot_be_written() {
    let place = Place::new(SMALL);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let status =
        dcgan(&place, &["run", "m.toml", "-v"]).stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(place.path("runs/small/report/report.html").exists());
    // Only the exit code shows a failure.
    let status = dcgan(&place, &["run", "gone.toml"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let status = dcgan(&place, &["fly"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
#[cfg(unix)]
fn a_run_goes_on_where_nobody_reads_what_it_says() {
    let place = Place::new(SMALL);
    let mut child = dcgan(&place, &["run", "m.toml", "-v"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Both pipes are closed before anything was read.
    drop((child.stderr.take(), child.stdout.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("runs/small/report/report.html").exists());
    for listing in [&["status", "m.toml"][..], &["stage", "--list"], &["schema"], &["--help"], &["man"]] {
        let mut child = dcgan(&place, listing).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{listing:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_listing_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = dcgan(&Place::new(SMALL), &["status", "m.toml"]).stdout(full).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && told.contains("error: cannot write to stdout"), "{told}");
}

#[test]
fn nothing_steers_the_terminal() {
    let red = "\u{1b}[31m\u{9b}5m\u{202e}\u{7f}";
    let place = Place::new(&SMALL.replace(
        "name = \"small\"",
        &format!("name = \"small\"\n\"x{red}\" = 1").replace(red, "\\u001b[31m\\u009b5m\\u202e\\u007f"),
    ));
    let mut told = vec![place.fails(1, &["check", "m.toml"])];
    std::fs::write(place.path("s.toml"), SMALL).unwrap();
    for arguments in [
        &["run", &format!("gone{red}.toml")][..],
        &["run", "s.toml", "--set", &format!("c={red}")],
        &["run", "s.toml", "--set", &format!("{red}=1")],
        &["run", "s.toml", "--only", red],
        &["compare", red, "gone"],
        &["stage", red],
        &["stage", "import_images", "--out", "x", &format!("source.folder.path={red}")],
        &[red],
        &["run", "s.toml", &format!("--{red}")],
        &["run", "s.toml", "--device", red],
    ] {
        let output = place.dcgan(arguments).assert().failure().get_output().clone();
        told.push(String::from_utf8(output.stderr).unwrap());
    }
    place.pictures("photos", 3);
    std::fs::write(place.path(&format!("photos/{red}.png")), "no picture").unwrap();
    let out = place
        .dcgan(&["stage", "import_images", "--out", red, "source.folder.path=photos"])
        .assert()
        .success();
    told.push(String::from_utf8(out.get_output().stderr.clone()).unwrap());
    told.push(String::from_utf8(out.get_output().stdout.clone()).unwrap());
    for told in told {
        let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!told.contains(steers), "{told:?}");
    }
}

#[test]
fn text_is_text_where_text_is_wanted() {
    let place = Place::new(SMALL);
    for name in ["2024", "1e5", "true", "[a] trip", "2024-05-01", "0x10"] {
        place.pictures(name, 2);
        let told = place.stdout(&[
            "stage",
            "import_images",
            "--out",
            "out/a",
            &format!("source.folder.path={name}"),
        ]);
        assert!(told.contains("\"n_images\": 2"), "{name}: {told}");
        std::fs::remove_dir_all(place.path("out")).unwrap();
    }
    // An input, an item of a list, a variable between quotes.
    let told =
        place.fails(1, &["stage", "train_gan", "--out", "y", "images=true", "training.architecture=svhn32"]);
    assert!(told.contains("true has no images.npy"), "{told}");
    let manifest = "name = \"v\"\n[vars]\nyear = 2024\n[[stage]]\nid = \"a\"\n[stage.import_images]\nsource.folder.path = \"${year}\"\n";
    std::fs::write(place.path("v.toml"), manifest).unwrap();
    place.stderr(&["check", "v.toml"]);
    // What is written without quotes in a manifest is an error that says so.
    std::fs::write(place.path("w.toml"), manifest.replace("\"${year}\"", "2024")).unwrap();
    let told = place.fails(1, &["check", "w.toml"]);
    assert!(told.contains("w.toml:7:") && told.contains("expected text in quotes"), "{told}");
}

#[test]
#[cfg(unix)]
fn the_home_folder_is_found() {
    let place = Place::new("");
    place.pictures("home/photos", 2);
    let home = place.path("home");
    let import = |arguments: &[&str]| {
        let all = [&["stage", "import_images"], arguments].concat();
        place.dcgan(&all).env("HOME", &home).assert().success();
    };
    import(&["--out=~/out", "source.folder.path=~/photos"]);
    assert!(home.join("out/images.npy").exists());
    let manifest = "name = \"v\"\n[vars]\ndata = \"~\"\n[[stage]]\nid = \"a\"\n[stage.import_images]\nsource.folder.path = \"${data}/photos\"\n";
    std::fs::write(place.path("v.toml"), manifest).unwrap();
    place.dcgan(&["check", "v.toml"]).env("HOME", &home).assert().success();
    let told = place.dcgan(&["check", "v.toml", "--set", "data=~/gone"]).env("HOME", &home).assert().code(1);
    let told = String::from_utf8(told.get_output().stderr.clone()).unwrap();
    assert!(told.contains(&format!("{}/gone/photos does not exist", home.display())), "{told}");
    // Without HOME the system knows it.
    place.dcgan(&["init", "--folder", "~/nothing-there", "x.toml"]).env_remove("HOME").assert().success();
}

/// Each message says what was meant and the command that would work.
#[test]
fn what_was_meant_is_said() {
    let place = Place::new(SMALL);
    place.pictures("photos", 2);
    std::fs::copy(place.path("photos/000.png"), place.path("x.jpg")).unwrap();
    std::fs::create_dir_all(place.path("data")).unwrap();
    std::fs::write(place.path("set.tar"), "").unwrap();
    place.stdout(&["run", "m.toml"]);
    let cases: [(i32, &[&str], &[&str]); 17] = [
        (
            2,
            &["stage", "import_images", "--out", "o", "source.folder=photos"],
            &["did you mean source.folder.path=photos?"],
        ),
        (
            2,
            &["stage", "import_images", "--out", "o", "source=photos"],
            &["did you mean source.folder.path=photos?"],
        ),
        (
            2,
            &["stage", "import_images", "--out", "o", "path=photos"],
            &["did you mean `source.folder.path`?"],
        ),
        (
            2,
            &["stage", "import_images", "--out", "o", "source.path=photos"],
            &["did you mean `source.folder.path`?"],
        ),
        (
            1,
            &["stage", "import_images", "--out", "o", "source.folder.path=set.tar"],
            &["expected a folder", "a file", "did you mean `source.tar.path`?"],
        ),
        (
            1,
            &["stage", "import_images", "--out", "o", "source.svhn.path=photos"],
            &["expected a file", "a folder", "did you mean `source.folder.path`?"],
        ),
        (
            1,
            &["stage", "import_images", "--out", "o", "source.folder.path=phots"],
            &["phots does not exist", "did you mean `photos`?"],
        ),
        (
            1,
            &["stage", "import_images", "--out", "o", "source.svhn.path=data/svhn/train_32x32.mat"],
            &["dcgan stage fetch --out data sets='[\"svhn\"]'"],
        ),
        (2, &["stage", "fetch", "--out", "o", "sets=cifar10"], &["expected a list", "'sets=[\"cifar10\"]'"]),
        (
            1,
            &["stage", "train_gan", "--out", "o", "images=photos", "training.architecture=svhn32"],
            &[
                "photos has no images.npy",
                "dcgan stage import_images --out out/images source.folder.path=photos",
            ],
        ),
        (
            1,
            &["stage", "train_gan", "--out", "o", "images=phots", "training.architecture=svhn32"],
            &["did you mean `photos`?"],
        ),
        (1, &["run", "photos"], &["photos is a folder", "`dcgan init --folder photos`"]),
        (1, &["check", "photos"], &["`dcgan init --folder photos`"]),
        (1, &["run", "photos/000.png"], &["photos/000.png is a picture", "`dcgan init --folder photos`"]),
        (1, &["compare", "runs/small", "nope"], &["nope does not exist", "`runs/small`"]),
        (1, &["compare", "runs/small", "runs/smal"], &["runs/smal does not exist", "`runs/small`"]),
        (1, &["init", "--folder", "x.jpg"], &["x.jpg is a file; expected the folder of pictures"]),
    ];
    for (code, arguments, expected) in cases {
        let told = place.fails(code, arguments);
        for expected in expected {
            assert!(told.contains(expected), "{arguments:?}: expected {expected:?} in {told}");
        }
    }
    assert!(!place.path("o").exists());
    let manifest = "name = \"v\"\n[[stage]]\nid = \"a\"\n[stage.import_images]\nsource.folder = \"photos\"\n[[stage]]\nid = \"b\"\n[stage.fetch]\nsets = \"svhn\"\n";
    std::fs::write(place.path("v.toml"), manifest).unwrap();
    let told = place.fails(1, &["check", "v.toml"]);
    assert!(told.contains("did you mean `source.folder.path = \"photos\"`?"), "{told}");
    assert!(told.contains("a list of one is written `sets = [\"svhn\"]`"), "{told}");
}

#[test]
fn a_wrong_value_of_set_is_blamed_on_set() {
    let place = Place::new(SMALL);
    for (set, expected) in [
        ("c=-1", "--set c=-1: stage `svm`, key `c`"),
        ("n_train=0", "--set n_train=0: stage `shapes`, key `shapes.n_train`"),
        ("svm.c=-1", "--set svm.c=-1: stage `svm`, key `c`"),
        ("c=[0.1,-1]", "--set c=[0.1,-1]: stage `svm@c=-1`, key `c`"),
        ("n_train=1.5", "--set n_train=1.5: stage `shapes`, key `shapes.n_train`"),
    ] {
        let told = place.fails(2, &["check", "m.toml", "--set", set]);
        assert!(told.contains(expected) && !told.contains("m.toml:"), "{set}: {told}");
    }
    let data = "name = \"v\"\n[vars]\ndata = \"data\"\n[[stage]]\nid = \"a\"\n[stage.import_images]\nsource.svhn.path = \"${data}/svhn.mat\"\n";
    std::fs::write(place.path("v.toml"), data).unwrap();
    let told = place.fails(1, &["check", "v.toml", "--set", "data=elsewhere"]);
    assert!(
        told.contains("--set data=elsewhere: stage `a`, key `source.svhn.path`: elsewhere/svhn.mat does not"),
        "{told}"
    );
    assert!(
        place.fails(1, &["check", "v.toml"]).contains("v.toml:7: stage `a`"),
        "without --set it is the manifest's line"
    );
}

#[test]
fn bad_pictures_are_listed_so_that_no_spreadsheet_runs_their_names() {
    let place = Place::new("");
    place.pictures("photos", 3);
    for name in ["=1+1.png", "+a.png", "-b.png", "@c.png", "d=e.png"] {
        std::fs::write(place.path("photos").join(name), "no picture").unwrap();
    }
    let told = place.stderr(&["stage", "import_images", "--out", "store", "source.folder.path=photos"]);
    assert!(told.contains("warning: 5 pictures could not be read"), "{told}");
    let bad = std::fs::read_to_string(place.path("store/bad.csv")).unwrap();
    let keys: Vec<&str> = bad.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(keys, ["'+a.png", "'-b.png", "'=1+1.png", "'@c.png", "d=e.png"]);
    std::fs::remove_file(place.path("photos/d=e.png")).unwrap();
    for name in ["=1+1.png", "+a.png", "-b.png"] {
        std::fs::remove_file(place.path("photos").join(name)).unwrap();
    }
    let told = place.stderr(&["stage", "import_images", "--out", "one", "source.folder.path=photos"]);
    assert!(told.contains("warning: 1 picture could not be read"), "{told}");
}

#[test]
fn figures_are_printed_to_the_digits_that_they_are_worth() {
    let place = Place::new(&SMALL.replace("n_test = 30", "n_test = 1000"));
    place.stdout(&["run", "m.toml"]);
    let fit =
        ["stage", "fit_svm", "--out", "svm", "train=runs/small/train-pixels", "test=runs/small/test-pixels"];
    let told = place.stdout(&[&fit[..], &["c=0.001"]].concat());
    let accuracy = told.lines().find(|line| line.contains("\"accuracy\"")).unwrap();
    assert!(accuracy.trim_end_matches(',').rsplit(' ').next().unwrap().len() <= 8, "{told}");
    assert!(place.stderr(&["check", "m.toml"]).contains("7 stages, no problems"));
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 7 were unchanged"));
}

#[test]
fn init_counts_the_pictures() {
    let place = Place::new("");
    place.pictures("photos", 40);
    let told = place.stderr(&["init", "--folder", "photos"]);
    assert!(told.contains("for 40 pictures") && told.contains("--to first-samples"), "{told}");
    assert!(told.contains("warning: photos holds 40 pictures only"), "{told}");
    let text = std::fs::read_to_string(place.path("my-images.toml")).unwrap();
    assert!(text.contains("batch_size = 4\n") && !text.contains('@'), "{text}");
    place.stderr(&["check", "my-images.toml"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    let told = place.fails(1, &["init", "--folder", "empty", "e.toml"]);
    assert!(told.contains("empty: expected pictures") && !place.path("e.toml").exists(), "{told}");
}
