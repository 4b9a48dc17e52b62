//! The way in: a first manifest, completions, the manual page, the schema, and errors that name the nearest word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, SMALL};

#[test]
fn init_writes_a_manifest_that_passes_the_check_and_runs() {
    let place = Place::new("");
    // Rooms as a folder of pictures, near-duplicates among them.
    place.stdout(&[
        "stage",
        "synthesize",
        "--out",
        "rooms",
        "rooms.n_scenes=40",
        "rooms.n_planted=10",
        "rooms.size=64",
    ]);
    let source = "source.lsun.path=rooms/lsun/rooms_lmdb";
    place.stdout(&["stage", "import_images", "--out", "store", source, "resize=min_resize_centre_crop(64)"]);
    place.stdout(&[
        "stage",
        "train_autoencoder",
        "--out",
        "ae",
        "images=store",
        "training.epochs=1",
        "training.batch_size=8",
    ]);
    place.stdout(&["stage", "hash_images", "--out", "codes", source, "autoencoder=ae"]);
    place.stdout(&["stage", "group_duplicates", "--out", "groups", "codes=codes"]);
    place.stdout(&[
        "stage",
        "remove_duplicates",
        "--out",
        "photos",
        source,
        "groups=groups",
        "target=folder",
    ]);

    assert_eq!(place.stdout(&["init", "--folder", "photos/pictures", "mine.toml"]), "mine.toml\n");
    assert!(place.stderr(&["check", "mine.toml"]).contains("no problems"));
    let quick = [
        "--set",
        "max_steps=4",
        "--set",
        "width=0.03",
        "--set",
        "train.training.batch_size=16",
        "--set",
        "autoencoder.training.epochs=2",
        "--set",
        "autoencoder.training.batch_size=8",
    ];
    let told = place.stdout(&[&["run", "mine.toml"], &quick[..]].concat());
    assert!(told.trim_end().ends_with("runs/mine/report/report.html"), "{told}");
    let html = std::fs::read_to_string(place.path("runs/mine/report/report.html")).unwrap();
    assert!(
        html.contains("Generator and discriminator") && html.contains("Autoencoder of the semantic hash")
    );
}

#[test]
fn init_overwrites_nothing_and_says_where_pictures_go() {
    let place = Place::new(SMALL);
    let told = place.fails(1, &["init", "m.toml"]);
    assert!(told.contains("m.toml exists already, and is left as it is"), "{told}");
    assert_eq!(std::fs::read_to_string(place.path("m.toml")).unwrap(), SMALL);
    assert!(place.fails(1, &["init", "my images.toml"]).contains("cannot be a pipeline's name"));
    let told = place.fails(1, &["init", "--folder", ".", "mine.toml"]);
    assert!(told.contains("would lie among the pictures") && !place.path("mine.toml").exists(), "{told}");
    assert!(place.fails(1, &["init", "gone/mine.toml"]).contains("cannot write gone/mine.toml"));
    let told = place.stderr(&["init"]);
    assert!(told.contains("photos is no folder yet") && place.path("my-images.toml").exists(), "{told}");
    assert!(place.fails(1, &["check", "my-images.toml"]).contains("photos does not exist"));
}

#[test]
fn init_refuses_a_folder_without_a_picture_and_says_what_is_in_it() {
    let place = Place::new("");
    let folder = place.path("photos");
    std::fs::create_dir_all(folder.join("more")).unwrap();
    let expected = "photos: expected pictures (JPEG, PNG, WebP, GIF, BMP or TIFF), found none";
    let told = place.fails(1, &["init"]);
    assert!(told.contains(expected), "{told}");
    for name in ["a.heic", "more/b.HEIC", "notes.txt", ".hidden.jpg"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let told = place.fails(1, &["init"]);
    let expected = "photos: expected pictures (JPEG, PNG, WebP, GIF, BMP or TIFF), found other files: 2 .heic, 1 .txt, 1 hidden";
    assert!(told.contains(expected), "{told}");
    assert!(!place.path("my-images.toml").exists());
}

/// What a shell is offered at the end of a command line: each a line, in fish with what it means behind a tab.
fn offered(place: &Place, words: &[&str]) -> Vec<String> {
    let mut command = place.command(&["--", "dcgan"]);
    let output = command.args(words).env("COMPLETE", "fish").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn verbs_options_kinds_ids_keys_and_values_are_completed() {
    let place = Place::new(SMALL);
    let has = |words: &[&str], expected: &[&str]| {
        let found = offered(&place, words);
        for word in expected {
            assert!(found.iter().any(|one| one == word), "{words:?}: {word} is not in {found:?}");
        }
        found
    };
    has(&[""], &["run", "status", "stage", "new", "completions"]);
    has(&["run", "--"], &["--dry-run", "--only", "--set"]);
    assert_eq!(has(&["stage", "extr"], &[]), ["extract_features"]);
    assert_eq!(has(&["new", "stage-config", "group"], &[]), ["group_duplicates"]);
    // Of the manifest that the line names.
    let ids = has(&["run", "m.toml", "--only", ""], &["shapes", "svm"]);
    assert_eq!(ids.len(), 7, "{ids:?}");
    assert_eq!(has(&["run", "m.toml", "--to", "train-"], &[]), ["train-images", "train-pixels"]);
    assert!(has(&["run", "none.toml", "--to", "trai"], &[]).is_empty());
    assert_eq!(has(&["run", "m.toml", "--set", "test-images.resi"], &[]), ["test-images.resize="]);
    has(&["stage", "import_images", "re"], &["resize="]);
    assert_eq!(has(&["stage", "import_images", "damaged="], &[]), ["damaged=refuse", "damaged=allow"]);
    assert_eq!(has(&["stage", "sample_metrics", "each_checkpoint=t"], &[]), ["each_checkpoint=true"]);
}

#[test]
fn scripts_of_shells_ask_the_program() {
    let place = Place::new(SMALL);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.stdout(&["completions", shell]);
        assert!(script.contains("COMPLETE") && script.contains("dcgan"), "{shell}: {script}");
    }
    // Bash itself: what it offers after `dcgan stage extr`.
    let script = place.stdout(&["completions", "bash"]);
    std::fs::write(place.path("complete.sh"), script).unwrap();
    let program = assert_cmd::cargo::cargo_bin!("dcgan");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    // Bash makes three words of `damaged=re`.
    let asked = [
        ("dcgan stage extr", 2, "extr", "extract_features"),
        ("dcgan stage import_images damaged = re", 5, "re", "refuse"),
        ("dcgan stage import_images damaged =", 4, "''", "refuse allow"),
        ("dcgan stage import_images damaged = refuse resi", 6, "resi", "resize="),
        ("dcgan run m.toml --set test-images.resi", 4, "test-images.resi", "test-images.resize="),
        ("dcgan run m.toml --set test-images.damaged = re", 6, "re", "refuse"),
        ("dcgan run m.toml --set test-images.damaged = refuse --to train-i", 8, "train-i", "train-images"),
    ];
    for (words, index, word, expected) in asked {
        let ask = format!(
            "source complete.sh; COMP_WORDS=({words}); COMP_CWORD={index}; _dcgan dcgan {word} x; \
             echo ${{COMPREPLY[@]}}"
        );
        let mut bash = std::process::Command::new("bash");
        let answer = bash.args(["-c", &ask]).current_dir(place.folder()).env("PATH", &path).output();
        if let Some(output) = dcgan_testing::needs("bash", answer.ok(), "no bash on the path") {
            let found: Vec<String> =
                String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
            assert_eq!(found.join(" "), expected, "{words}");
        }
    }
    assert!(place.fails(2, &["completions", "csh"]).contains("possible values: bash"));
}

#[test]
fn a_commented_stage_is_printed() {
    let place = Place::new("");
    let text = place.stdout(&["new", "stage-config", "train_gan"]);
    assert!(text.contains("\n[[stage]]\nid = \"my-train-gan\"\n[stage.train_gan]\n"), "{text}");
    assert!(text.contains("\n# training.seed = 0\n"), "{text}");
    assert!(place.fails(2, &["new", "stage-config", "train-gan"]).contains("did you mean `train_gan`?"));
}

#[test]
fn the_manual_page_holds_every_verb() {
    let page = Place::new("").stdout(&["man"]);
    assert!(page.contains(".TH dcgan 1"), "{}", &page[..200]);
    for verb in ["run", "check", "status", "dag", "init", "stage", "bench", "schema", "completions", "man"] {
        assert!(page.contains(&format!(".SH \"DCGAN {}\"", verb.to_uppercase())), "{verb}");
    }
    assert!(page.contains("train.training.epochs=2"), "examples are in it");
}

#[test]
fn the_schema_is_json_and_names_every_kind() {
    let place = Place::new("");
    let schema: serde_json::Value = serde_json::from_str(&place.stdout(&["schema"])).unwrap();
    let kinds = &schema["definitions"]["stage"]["properties"];
    for kind in place.stdout(&["stage", "--list"]).lines() {
        assert!(kinds[kind.split_whitespace().next().unwrap()].is_object(), "{kind}");
    }
    let width = &kinds["train_gan"]["properties"]["training"]["properties"]["width"];
    assert!(width["description"].as_str().unwrap().contains("Scale of every channel count"), "{width}");
}

#[test]
fn dag_draws_a_picture() {
    let svg = Place::new(SMALL).stdout(&["dag", "m.toml", "--svg"]);
    assert!(
        svg.starts_with("<svg viewBox=") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""),
        "{svg}"
    );
    assert_eq!((svg.matches("<rect").count(), svg.matches("class=\"edge\"").count()), (7, 7), "{svg}");
}

/// Wherever a word of the program's is expected, a wrong one is answered with the nearest.
#[test]
fn the_nearest_word_is_suggested_everywhere() {
    let place = Place::new(SMALL);
    let in_manifest = [
        ("name = \"small\"", "nane = \"small\"", "did you mean `name`?"),
        ("[stage.fit_svm]", "[stage.fit_smv]", "did you mean `fit_svm`?"),
        ("split = \"train\"", "split = \"trian\"", "did you mean `train`?"),
        (
            "source.cifar10 = { path = \"cifar-10-batches-bin\", split = \"test\"",
            "source.cifar = { path = \"x\"",
            "did you mean `cifar10`?",
        ),
        ("c = \"${c}\"", "c = \"${cc}\"", "did you mean `c`?"),
        ("results = [\"svm\"]", "results = [\"smv\"]", "did you mean `svm`?"),
        ("test = \"test-pixels\"", "test = \"test-pixel\"", "did you mean `test-pixels`?"),
        ("n_test = 30", "n_tset = 30", "did you mean `n_test`?"),
        (
            "split = \"train\" }",
            "split = \"train\" }\nresize = \"centre_corp(8)\"",
            "did you mean `centre_crop`?",
        ),
        ("[vars]", "goals = [\"reprot\"]\n[vars]", "did you mean `report`?"),
    ];
    for (right, wrong, help) in in_manifest {
        let text = SMALL.replacen(right, wrong, 1);
        assert_ne!(text, SMALL, "{right}");
        std::fs::write(place.path("wrong.toml"), text).unwrap();
        let told = place.fails(1, &["check", "wrong.toml"]);
        assert!(told.contains(help), "{wrong}: {told}");
    }
    assert!(place.fails(1, &["run", "mm.toml"]).contains("did you mean `m.toml`?"));
    let on_command_line: [(&[&str], &str); 13] = [
        (&["chekc", "m.toml"], "check"),
        (&["run", "m.toml", "--dryrun"], "--dry-run"),
        (&["run", "m.toml", "--set", "n_trian=3"], "did you mean `n_train`?"),
        (&["run", "m.toml", "--set", "shape.seed=3"], "did you mean `shapes`?"),
        (&["run", "m.toml", "--set", "svm.los=hinge"], "did you mean `loss`?"),
        (&["run", "m.toml", "--set", "svm.loss=hing"], "did you mean `hinge`?"),
        (&["run", "m.toml", "--only", "reprot"], "did you mean `report`?"),
        (&["run", "m.toml", "--device", "cuad"], "did you mean `cuda`?"),
        (&["stage", "fit-svm", "--out", "x"], "did you mean `fit_svm`?"),
        (&["stage", "sample", "--out", "x", "model=y", "n_image=3"], "did you mean `n_images`?"),
        (&["bench", "train", "--arch", "svhn23"], "did you mean `svhn32`?"),
        (&["bench", "trian"], "train"),
        (&["completions", "bsh"], "bash"),
    ];
    for (arguments, help) in on_command_line {
        let told = place.fails(2, arguments);
        assert!(told.contains(help), "{arguments:?}: {told}");
    }
}

#[test]
fn doctor_says_what_the_machine_has() {
    let place = Place::new("");
    let text = place.stdout(&["doctor", "--runs", "not/there/yet"]);
    for name in ["processor", "threads", "memory", "free disk", "GPU"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
    let found: serde_json::Value = serde_json::from_str(&place.stdout(&["doctor", "--json"])).unwrap();
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(found["threads"].as_u64(), Some(threads));
    assert!(found["free_bytes"].as_u64() > Some(0), "{found}");
    assert!(!place.path("not").exists());
}
