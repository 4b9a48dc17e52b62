use std::path::Path;

use super::*;
use crate::interrupt::Interrupt;
use crate::progress::Verbosity;
use crate::record::Record;
use crate::toy::TOYS;

const TEXT: &str = r#"
name = "m"
[vars]
n = 3
[[stage]]
id = "count"
[stage.count]
n = "${n}"
[[stage]]
id = "twice"
[stage.double]
of = "count"
[[stage]]
id = "sum"
[stage.add]
of = ["count", "twice"]
"#;

fn run_it(runs: &Path, sets: &[&str]) -> RunSummary {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let manifest = Manifest::parse("m.toml".as_ref(), TEXT.to_owned(), &sets, &TOYS).unwrap();
    let options = RunOptions {
        selection: Selection::default(),
        device: None,
        runs: runs.to_owned(),
        verifies: false,
        policy: Policy { jobs: 1, keeps_going: false },
    };
    run(&manifest, &options, &Progress::new(Verbosity::Quiet, Interrupt::default())).unwrap()
}

#[test]
fn only_what_changed_runs_and_what_was_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let sum = || std::fs::read_to_string(folder.path().join("m/sum/sum.txt")).unwrap();
    let first = run_it(folder.path(), &[]);
    assert_eq!((first.n_run, first.n_fresh, sum().as_str()), (3, 0, "9"));
    assert_eq!((first.stages.len(), first.stages[2].kind, first.stages[2].is_read), (3, "add", false));
    let again = run_it(folder.path(), &[]);
    assert_eq!((again.n_run, again.n_fresh), (0, 3));
    let other = run_it(folder.path(), &["n=4"]);
    assert_eq!((other.n_run, sum().as_str()), (3, "18"));
    let back = run_it(folder.path(), &["n=3"]);
    assert_eq!((back.n_run, back.n_restored, sum().as_str()), (0, 3, "9"));
    let record = Record::read(&folder.path().join("m/count")).unwrap().unwrap();
    assert_eq!((record.kind.as_str(), record.equal), ("count", vec!["n 3".to_owned()]));
}

#[test]
fn help_and_messages_come_from_the_configurations_type() {
    let help = TOYS.kind("count").unwrap().help();
    assert!(help.contains("  n  (whole number, at least 1; default 3)\n      How many.\n"), "{help}");
    assert!(help.contains("  id = \"my-count\"\n  [stage.count]\n  n = 3\n"), "{help}");
    let message = |text: &str| {
        Manifest::parse("m.toml".as_ref(), format!("name = \"m\"\n{text}"), &[], &TOYS)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message("[[stage]]\nid = \"a\"\n[stage.count]\nsede = 1\n"),
        "m.toml:5: stage `a`, key `sede`: unknown key `sede`; expected `n`, `seed`\n    help: did you mean `seed`?"
    );
    assert_eq!(
        message("[[stage]]\nid = \"a\"\n[stage.cuont]\n"),
        "m.toml:4: stage `a`: unknown kind `cuont`; expected `count`, `read`, `double`, `add`\n    help: did you mean `count`?"
    );
    let schema = jsonschema::validator_for(&crate::manifest::schema(&TOYS)).unwrap();
    let manifest =
        |n: serde_json::Value| serde_json::json!({"name": "m", "stage": [{"id": "a", "count": {"n": n}}]});
    assert!(schema.is_valid(&manifest(5.into())) && schema.is_valid(&manifest("${n}".into())));
    assert!(!schema.is_valid(&manifest(0.into())) && !schema.is_valid(&manifest("five".into())));
}
