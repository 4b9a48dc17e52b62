use super::*;

/// Parses a manifest of the given text after `name = "m"` on line 1.
fn parse(text: &str, sets: &[&str]) -> Result<Manifest, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &sets).map_err(|e| format!("{e:#}"))
}

fn problems(text: &str) -> Vec<String> {
    let error = Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &[]).unwrap_err();
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
fn unknown_keys_are_all_reported_with_line_and_suggestion() {
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
        ("shapes.shapes.n_test=[1", "--set shapes.shapes.n_test=[1: the value is no valid TOML"),
        (
            "shapes.shapes.sed=1",
            "--set shapes.shapes.sed=1: stage `shapes`, key `shapes.sed`: unknown key `sed`",
        ),
    ] {
        let error = Manifest::parse(Path::new("m.toml"), format!("name = \"m\"\n{text}"), &[set.to_owned()]);
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
    assert!(found[0].starts_with("m.toml:4: stage `shapes`, key `shapes`: "), "{found:?}");
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
