//! What cannot fit together, such as pictures and a network, is found before the first stage runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Place;

#[test]
fn what_cannot_fit_is_found_before_the_first_stage() {
    let place = Place::new("");
    place.pictures("photos", 40);
    let stage = |id: &str, rest: &str| format!("[[stage]]\nid = \"{id}\"\n{rest}\n");
    let shapes = stage("shapes", "[stage.synthesize.shapes]\nn_train = 50\nn_test = 20");
    let set = |split: &str| {
        stage(
            split,
            &format!(
                "[stage.import_images]\nfrom = \"shapes\"\nsource.cifar10 = {{ path = \"cifar-10-batches-bin\", split = \"{split}\" }}"
            ),
        )
    };
    let train =
        |images: &str, rest: &str| stage("gan", &format!("[stage.train_gan]\nimages = \"{images}\"\n{rest}"));
    let own = |resize: &str| {
        stage(
            "own",
            &format!("[stage.import_images]\nsource.folder.path = \"photos\"\nresize = \"{resize}\""),
        )
    };
    let pixels =
        |of: &str| stage(&format!("{of}-pixels"), &format!("[stage.extract_features]\nimages = \"{of}\""));
    let cases = [
        (
            [shapes.clone(), set("train"), train("train", "training = { architecture = \"faces64\", batch_size = 8 }")].concat(),
            "stage `gan`, key `images`: expected colour pictures of 64×64, which faces64 takes, found 32×32",
        ),
        (
            [shapes.clone(), set("train"), train("train", "training = { architecture = \"svhn32\" }")].concat(),
            "stage `gan`, key `training.batch_size`: expected at most the number of pictures, 50, found 64",
        ),
        (
            [own("centre_crop(32)"), train("own", "training = { architecture = \"svhn32\", batch_size = 41 }")].concat(),
            "key `training.batch_size`: expected at most the number of pictures, 40, found 41",
        ),
        (
            [own("min_resize_centre_crop(64)"), train("own", "training = { architecture = \"svhn32\", batch_size = 8 }")].concat(),
            "key `images`: expected colour pictures of 32×32, which svhn32 takes, found 64×64",
        ),
        (
            [own("min_resize_centre_crop(16)"), stage("ae", "[stage.train_autoencoder]\nimages = \"own\"\ntraining.batch_size = 8")].concat(),
            "key `images`: expected square colour pictures of at least 32×32",
        ),
        (
            [own("min_resize_centre_crop(64)"), stage("ae", "[stage.train_autoencoder]\nimages = \"own\"")].concat(),
            "key `training.batch_size`: expected at most the number of pictures, 40, found 128",
        ),
        (
            [
                shapes.clone(),
                set("train"),
                set("test"),
                pixels("train"),
                pixels("test"),
                stage("svhn", "[stage.svhn_protocol]\ntrain = \"train-pixels\"\ntest = \"test-pixels\"\nprotocol.n_validation = 60"),
            ]
            .concat(),
            "key `protocol.n_validation`: expected fewer than the training pictures, 50",
        ),
        (
            [
                shapes,
                set("train"),
                own("min_resize_centre_crop(64)"),
                train("train", "training = { architecture = \"svhn32\", batch_size = 8 }"),
                stage("f", "[stage.extract_features]\nimages = \"own\"\nmodel = \"gan\"\nstatistics = \"train\""),
            ]
            .concat(),
            "stage `f`, key `images`: expected colour pictures of 32×32, which `gan` takes, found 64×64",
        ),
    ];
    for (stages, expected) in cases {
        std::fs::write(place.path("m.toml"), format!("name = \"m\"\n{stages}")).unwrap();
        for verb in ["check", "run"] {
            let message = place.fails(1, &[verb, "m.toml"]);
            assert!(message.contains(expected), "expected {expected:?} in {message}");
        }
        assert!(!place.path("runs").exists());
    }
    // A stage alone reads the store's meta.json.
    place.stdout(&[
        "stage",
        "import_images",
        "--out",
        "store",
        "source.folder.path=photos",
        "resize=centre_crop(32)",
    ]);
    let alone = ["stage", "train_gan", "--out", "o", "images=store"];
    let message =
        place.fails(1, &[&alone[..], &["training.architecture=faces64", "training.batch_size=8"]].concat());
    assert!(
        message.contains("argument `images=store`")
            && message.contains("64×64, which faces64 takes, found 32×32"),
        "{message}"
    );
    let message = place.fails(1, &[&alone[..], &["training.architecture=svhn32"]].concat());
    assert!(message.contains("at most the number of pictures, 40, found 64"), "{message}");
    assert!(!place.path("o").exists());
}

#[test]
fn imported_networks_of_even_kernels_are_not_trained_on_and_said_so_beforehand() {
    let trained = concat!(env!("CARGO_MANIFEST_DIR"), "/../gan/src/pytorch/testdata");
    let import = format!(
        "[[stage]]\nid = \"theirs\"\n[stage.import_weights]\nset = \"pytorch\"\ngenerator = \"{trained}/g.pth\"\n\
         discriminator = \"{trained}/d.pth\"\n"
    );
    let train = "[[stage]]\nid = \"own\"\n[stage.import_images]\nsource.folder.path = \"photos\"\n\
         resize = \"min_resize_centre_crop(SIDE)\"\nchannels = 1\n[[stage]]\nid = \"gan\"\n[stage.train_gan]\nimages = \"own\"\nfrom = \"theirs\"\n\
         training = { architecture = { size = SIDE, base = 4, channels = 1 }, batch_size = 4 }\n";
    let of_side = |side: &str| Place::new(&format!("name = \"m\"\n{import}{}", train.replace("SIDE", side)));
    let place = of_side("16");
    place.pictures("photos", 40);
    let told = place.fails(1, &["check", "m.toml"]);
    assert!(told.contains("stage `gan`, key `from`: expected networks with kernels of 5×5"), "{told}");
    assert!(told.contains("found kernels of 4×4") && told.contains("but are not trained on"), "{told}");
    let place = of_side("32");
    place.pictures("photos", 40);
    let told = place.fails(1, &["check", "m.toml"]);
    assert!(
        told.contains("expected networks of grey pictures of 32×32")
            && told.contains("found networks of grey pictures of 16×16"),
        "{told}"
    );
}
