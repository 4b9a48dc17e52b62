//! Manifests of real kinds: what is wrong with them is said with line, key and the nearest name.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use dcgan_engine::kind::StageConfig;
use dcgan_engine::manifest::{self, Manifest, Problems};
use dcgan_stages::KINDS;

fn parse_arguments(kind: &str, arguments: &[String]) -> anyhow::Result<StageConfig> {
    manifest::parse_arguments(kind, arguments, &KINDS)
}

/// Parses a manifest of the given text after `name = "m"` on line 1.
fn parse(text: &str, sets: &[&str]) -> Result<Manifest, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &sets, &KINDS)
        .map_err(|e| format!("{e:#}"))
}

fn problems(text: &str) -> Vec<String> {
    let error =
        Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &[], &KINDS).unwrap_err();
    error.downcast::<Problems>().unwrap().list.iter().map(ToString::to_string).collect()
}

const SHAPES: &str = "[[stage]]\nid = \"shapes\"\n[stage.synthesize.shapes]\nn_train = 100\n";

/// A stage with an id that reads images from another one, and yields features.
fn pixels(id: &str, images: &str) -> String {
    format!("[[stage]]\nid = \"{id}\"\n[stage.extract_features]\nimages = \"{images}\"\n")
}

#[test]
fn a_syntax_error_names_its_line() {
    assert!(problems("x = [1,\n\ny")[0].starts_with("m.toml:4: "), "{:?}", problems("x = [1,\n\ny"));
}

#[test]
fn unknown_keys_are_all_reported_with_line_and_nearest() {
    let found = problems(
        "[[stage]]\nid = \"t\"\n[stage.synthesize.shapes]\nn_trian = 1\nseeed = 2\nn_test = \"many\"\n",
    );
    assert_eq!(
        found,
        [
            "m.toml:5: stage `t`, key `shapes.n_trian`: unknown key `n_trian`; expected `n_train`, `n_test`, `seed`\
             \n    help: did you mean `n_train`?",
            "m.toml:6: stage `t`, key `shapes.seeed`: unknown key `seeed`; expected `n_train`, `n_test`, `seed`\
             \n    help: did you mean `seed`?",
            "m.toml:7: stage `t`, key `shapes.n_test`: invalid type: string \"many\", expected a whole number, \
             0 or more",
        ]
    );
}

#[test]
fn an_unknown_kind_gets_the_nearest_one() {
    let found = problems("[[stage]]\nid = \"t\"\n[stage.trian_gan]\n");
    assert!(found[0].starts_with("m.toml:4: stage `t`: unknown kind `trian_gan`; expected `synthesize`"));
    assert!(found[0].ends_with("did you mean `train_gan`?"));
}

#[test]
fn a_missing_key_and_a_stage_without_kind_are_reported() {
    let found =
        problems("[[stage]]\nid = \"a\"\n[[stage]]\nid = \"b\"\n[stage.fit_svm]\ntrain = \"a\"\nc = 1\n");
    assert!(found[0].starts_with("m.toml:3: stage `a`: a stage has an `id` and one table"), "{found:?}");
    assert!(found[1].starts_with("m.toml:6: stage `b`: key `test` is missing"), "{found:?}");
}

#[test]
fn a_string_that_is_one_variable_takes_its_type() {
    let text = format!(
        "[vars]\nseed = 7\ndir = \"shape\"\n{}seed = \"${{seed}}\"\n{}",
        SHAPES,
        pixels("x", "${dir}s")
            .replace("extract_features", "import_images.source.svhn")
            .replace("images =", "path =")
    );
    let manifest = parse(&text, &[]).unwrap();
    assert_eq!(manifest.stages[0].config.stage().seed(), Some(7));
    assert_eq!(manifest.stages[1].config.stage().external_paths()[0].path, Path::new("shapes"));
    let manifest = parse(&text, &["seed=9", "shapes.shapes.n_test=33", "dir=2024"]).unwrap();
    assert_eq!(manifest.stages[0].config.stage().seed(), Some(9));
    assert_eq!(manifest.stages[1].config.stage().external_paths()[0].path, Path::new("2024s"));
    let json = serde_json::to_value(&manifest.stages[0].config).unwrap();
    assert_eq!(json.pointer("/synthesize/shapes/n_test"), Some(&33.into()));
}

#[test]
fn a_variable_that_is_not_given_is_reported_once() {
    let found = problems(&format!("[vars]\nsed = 1\n{SHAPES}seed = \"${{seed}}\"\n"));
    assert_eq!(
        found,
        [
            "m.toml:8: stage `shapes`: `${seed}`: variable `seed` is not given in [vars]\n    help: did you mean `sed`?"
        ]
    );
}

#[test]
fn wrong_sets_are_problems_of_usage() {
    let text = format!("[vars]\nseed = 1\n{SHAPES}");
    for (set, told) in [
        (
            "sed=2",
            "--set sed=2: the manifest has no variable `sed`; it has `seed`\n    help: did you mean `seed`?",
        ),
        ("seed=x", "--set seed=x: variable `seed` is of type integer, found string"),
        (
            "shape.shapes.seed=1",
            "--set shape.shapes.seed=1: the manifest has no stage `shape`; it has `shapes`",
        ),
        ("seed", "--set seed: `seed` is not of the form KEY=VALUE"),
        (
            "shapes.shapes.n_test=[1",
            "--set shapes.shapes.n_test=[1: stage `shapes`, key `shapes.n_test`: the value is no valid TOML",
        ),
        ("seed=[1", "--set seed=[1: the value is no valid TOML"),
        (
            "shapes.shapes.sed=1",
            "--set shapes.shapes.sed=1: stage `shapes`, key `shapes.sed`: unknown key `sed`",
        ),
    ] {
        let error =
            Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &[set.to_owned()], &KINDS);
        let problems = error.unwrap_err().downcast::<Problems>().unwrap();
        assert!(problems.is_usage, "{set}");
        assert!(problems.to_string().starts_with(told), "{set}: {problems}");
    }
}

#[test]
fn inputs_must_exist_and_yield_what_is_needed() {
    let text = format!("{SHAPES}{}{}", pixels("a", "shapes"), pixels("b", "shaps"));
    assert_eq!(
        problems(&text),
        [
            "m.toml:9: stage `a`, key `images`: expected a stage that yields images, but `shapes` (synthesize) \
             yields a data set",
            "m.toml:13: stage `b`, key `images`: there is no stage `shaps`",
        ]
    );
}

#[test]
fn repeated_and_malformed_ids_are_reported() {
    let found = problems(&format!("{SHAPES}{SHAPES}{}", SHAPES.replace("\"shapes\"", "\"../x\"")));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "m.toml:7: the id `shapes` is used by another stage before");
    assert!(found[1].starts_with("m.toml:11: `../x` is not an id; expected a letter"));
}

#[test]
fn a_cycle_is_told_in_order() {
    let svm = |id: &str, train: &str| {
        format!(
            "[[stage]]\nid = \"{id}\"\n[stage.import_images]\nfrom = \"{train}\"\nsource.svhn.path = \"x\"\n"
        )
    };
    let found = problems(&format!("{}{}", svm("a", "b"), svm("b", "a")));
    assert!(found.iter().any(|told| told.contains("these stages wait for each other: ")), "{found:?}");
    assert!(found.iter().any(|told| told.contains("→ a") || told.contains("→ b")), "{found:?}");
}

#[test]
fn goals_must_exist() {
    let found = problems(&format!("goals = [\"shaps\"]\n{SHAPES}"));
    assert_eq!(found, ["m.toml:2: key `goals`: there is no stage `shaps`\n    help: did you mean `shapes`?"]);
}

#[test]
fn ranges_are_checked_before_anything_runs() {
    let found = problems(&SHAPES.replace("100", "60000"));
    assert!(found[0].starts_with("m.toml:5: stage `shapes`, key `shapes.n_train`: "), "{found:?}");
}

#[test]
fn a_key_without_the_name_of_its_table_is_found() {
    let error = parse_arguments("train_gan", &["images=a".to_owned(), "epochs=3".to_owned()]).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("unknown key `epochs`") && told.contains("did you mean `training.epochs`?"),
        "{told}"
    );
    let arguments = ["source.cifar10={path='x', splt='test'}".to_owned()];
    let told = parse_arguments("import_images", &arguments).unwrap_err().to_string();
    assert!(told.contains("unknown key `splt`") && told.contains("did you mean `split`?"), "{told}");
    let told =
        parse_arguments("import_images", &["source.cifar.path='x'".to_owned()]).unwrap_err().to_string();
    assert!(told.contains("did you mean `cifar10`?") && !told.contains("elements"), "{told}");
}

#[test]
fn settings_of_a_stage_alone_are_checked_before_it_runs() {
    let arguments = ["shapes.n_test=100".to_owned(), "shapes.n_train=3".to_owned()];
    let error = parse_arguments("synthesize", &arguments).unwrap_err();
    let problems = error.downcast_ref::<Problems>().unwrap();
    assert!(problems.is_usage, "{error}");
    assert!(error.to_string().contains("argument `shapes.n_"), "{error}");
}

#[test]
fn arguments_of_a_stage_alone_are_toml_or_bare_words() {
    let arguments = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|argument| (*argument).to_owned()).collect();
        parse_arguments("import_images", &list).map_err(|error| format!("{error:#}"))
    };
    let config = arguments(&["source.cifar10.path=a b/c", "source.cifar10.split=test", "limit=5"]).unwrap();
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(json.pointer("/import_images/source/cifar10/path"), Some(&"a b/c".into()));
    assert_eq!(json.pointer("/import_images/limit"), Some(&5.into()));
    let error = arguments(&["source.svhn.path=x", "limti=5"]).unwrap_err();
    assert!(error.starts_with("argument `limti=5`: key `limti`: unknown key `limti`"), "{error}");
    let error = arguments(&["limit=5"]).unwrap_err();
    assert!(error.contains("key `source` is missing"), "{error}");
}

/// Two seeds of a data set; pictures of each; one stage that reads both, by a list.
const MATRIX: &str = r#"
[matrix]
seed = [1, 2]
limit = [5, 7]
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 100
seed = "${seed}"
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "few"
[stage.import_images]
from = "shapes"
limit = "${limit}"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "all"
[stage.extract_features]
images = "images"
[[stage]]
id = "part"
[stage.extract_features]
images = "few"
[[stage]]
id = "svm"
[stage.fit_svm]
train = "all"
test = "part"
c = 1
[[stage]]
id = "report"
[stage.report]
results = ["svm"]
"#;

fn ids(manifest: &Manifest) -> Vec<&str> {
    manifest.stages.iter().map(|stage| stage.id.as_str()).collect()
}

/// The ids a stage reads.
fn reads(manifest: &Manifest, id: &str) -> Vec<String> {
    let stage = manifest.stage(id).unwrap_or_else(|| panic!("no {id} in {:?}", ids(manifest)));
    stage.config.stage().inputs().iter().map(|input| input.name.as_str().to_owned()).collect()
}

#[test]
fn a_matrix_repeats_what_depends_on_it_and_no_more() {
    let manifest = parse(MATRIX, &[]).unwrap();
    assert_eq!(
        ids(&manifest),
        [
            "shapes@seed=1",
            "shapes@seed=2",
            "images@seed=1",
            "images@seed=2",
            "few@seed=1,limit=5",
            "few@seed=1,limit=7",
            "few@seed=2,limit=5",
            "few@seed=2,limit=7",
            "all@seed=1",
            "all@seed=2",
            "part@seed=1,limit=5",
            "part@seed=1,limit=7",
            "part@seed=2,limit=5",
            "part@seed=2,limit=7",
            "svm@seed=1,limit=5",
            "svm@seed=1,limit=7",
            "svm@seed=2,limit=5",
            "svm@seed=2,limit=7",
            "report",
        ]
    );
    assert_eq!(reads(&manifest, "svm@seed=2,limit=7"), ["all@seed=2", "part@seed=2,limit=7"]);
    assert_eq!(reads(&manifest, "report").len(), 4);
    assert_eq!(manifest.stage("shapes@seed=2").unwrap().config.stage().seed(), Some(2));
    let cell = &manifest.stage("few@seed=1,limit=7").unwrap().cell;
    assert_eq!(*cell, [("seed".to_owned(), "1".to_owned()), ("limit".to_owned(), "7".to_owned())]);
}

#[test]
fn a_matrix_can_be_set_and_an_input_can_name_one_cell() {
    let manifest = parse(MATRIX, &["seed=2", "limit=[9]", "svm.test=part@seed=2,limit=9"]).unwrap();
    assert_eq!(ids(&manifest).len(), 7);
    assert_eq!(reads(&manifest, "svm@seed=2"), ["all@seed=2", "part@seed=2,limit=9"]);
    // A plain variable becomes an axis by a list.
    let text = MATRIX.replace("[matrix]\nseed = [1, 2]\nlimit = [5, 7]", "[vars]\nseed = 1\nlimit = 5");
    assert_eq!(ids(&parse(&text, &[]).unwrap()).len(), 7);
    assert_eq!(ids(&parse(&text, &["seed=[3,4]"]).unwrap()).len(), 13);
    let goals = format!("goals = [\"all\"]\n{MATRIX}");
    assert_eq!(parse(&goals, &[]).unwrap().goals, ["all@seed=1", "all@seed=2"]);
}

#[test]
fn an_input_may_be_named_by_the_matrix() {
    let text = format!(
        "[matrix]\nof = [\"shapes\", \"others\"]\n{SHAPES}{}{}",
        SHAPES.replace("\"shapes\"", "\"others\""),
        "[[stage]]\nid = \"images\"\n[stage.import_images]\nfrom = \"${of}\"\n\
         source.cifar10 = { path = \"cifar-10-batches-bin\", split = \"train\" }\n"
    );
    let manifest = parse(&text, &[]).unwrap();
    assert_eq!(ids(&manifest), ["shapes", "others", "images@of=shapes", "images@of=others"]);
    assert_eq!(reads(&manifest, "images@of=others"), ["others"]);
}

#[test]
fn what_is_wrong_with_a_matrix_is_told_once_with_its_line() {
    let found =
        problems(&MATRIX.replace("n_train", "n_trian").replace("images = \"few\"", "images = \"fwe\""));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("m.toml:9: stage `shapes@seed=1`, key `shapes.n_trian`: unknown key"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("m.toml:29: stage `part`, key `images`: there is no stage `fwe`"),
        "{found:?}"
    );
    for (matrix, told) in [
        (
            "seed = 1",
            "m.toml:4: key `matrix.seed`: expected a list of values, such as [1, 2, 3], found integer",
        ),
        ("seed = []", "m.toml:4: key `matrix.seed`: expected at least one value, found an empty list"),
        ("seed = [1, 1]", "m.toml:4: key `matrix.seed`: the value 1 is there twice"),
        ("seed = [\"a/b\"]", "m.toml:4: key `matrix.seed`: expected numbers, true or false, or words"),
        ("seed = [1]\nsede = [2]", "m.toml:5: key `matrix.sede`: no stage uses `${sede}`"),
        ("seed = [1]\n[vars]\nseed = 1", "m.toml:4: key `matrix.seed`: is also in [vars]"),
    ] {
        let found = problems(
            &MATRIX
                .replace("seed = [1, 2]\nlimit = [5, 7]", &format!("{matrix}\n[vars]\nlimit = 5"))
                .replace("[vars]\nseed = 1\n[vars]\n", "[vars]\nseed = 1\n"),
        );
        assert!(found.iter().any(|problem| problem.starts_with(told)), "{matrix}: {found:?}");
    }
    let error = parse(MATRIX, &["seed=[1,\"x\"]"]).unwrap_err();
    assert!(
        error.starts_with("--set seed=[1,\"x\"]: variable `seed` is of type integer, found string"),
        "{error}"
    );
}
