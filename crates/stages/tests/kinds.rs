//! What every kind keeps to: its examples work, its help is right, its schema says what the program does, and each key is held
//! against the paper.
#![allow(clippy::unwrap_used, clippy::panic)]

use dcgan_engine::keys::KeyDefault;
use dcgan_engine::kind::Kind;
use dcgan_engine::manifest::{Manifest, parse_arguments, schema};
use dcgan_engine::paper::{Says, covers};
use dcgan_engine::stage::Artifact;
use dcgan_stages::KINDS;
use jsonschema::Validator;
use serde_json::Value;

/// The id that the folder of a stage has in its own run.
fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn arguments(list: &[&str]) -> Vec<String> {
    list.iter().map(|argument| (*argument).to_owned()).collect()
}

#[test]
fn examples_work() {
    for info in KINDS.kinds {
        let config = parse_arguments(info.name, &arguments(info.example), &KINDS);
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", info.name));
        assert_eq!(config.kind().name, info.name);
        assert!(config.problems().is_empty(), "{}", info.name);
    }
}

/// The command that a help prints, as a shell hands it over.
#[cfg(unix)]
fn printed_command(help: &str) -> Vec<String> {
    let start = help.find("  dcgan stage ").unwrap();
    let end = start + help[start..].find("\n\n").unwrap();
    let script = format!("dcgan() {{ printf '%s\\n' \"$@\"; }}\n{}", &help[start..end]);
    let told = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The stage of a manifest that a help prints, under an id.
fn printed_stage(help: &str, id: &str) -> String {
    let (_, stage) = help.split_once("In a manifest").unwrap();
    let lines: Vec<&str> = stage.lines().skip(1).collect();
    let own = lines.iter().find_map(|line| line.trim().strip_prefix("id = ")).unwrap();
    lines.join("\n").replacen(own, &format!("{id:?}"), 1) + "\n"
}

/// The example of a kind that yields an artifact.
fn maker(artifact: Artifact) -> &'static Kind {
    // `merge` hands on what its parts are.
    let yields = |kind: &&&'static Kind| {
        if kind.name == "merge" {
            return false;
        }
        let config = parse_arguments(kind.name, &arguments(kind.example), &KINDS).unwrap();
        artifact.is_among(&config.stage().yields())
    };
    let n_inputs = |kind: &&&'static Kind| {
        parse_arguments(kind.name, &arguments(kind.example), &KINDS).unwrap().stage().inputs().len()
    };
    KINDS.kinds.iter().filter(yields).min_by_key(n_inputs).unwrap()
}

/// The example of a kind as a stage, with stages for all that it reads, from the examples of other kinds.
fn with_inputs(info: &Kind, id: &str, manifest: &mut String, known: &mut Vec<String>) {
    let config = parse_arguments(info.name, &arguments(info.example), &KINDS).unwrap();
    for input in config.stage().inputs() {
        let id = id_of(input.name.as_str()).to_owned();
        if !known.contains(&id) {
            known.push(id.clone());
            with_inputs(maker(input.needs), &id, manifest, known);
        }
    }
    manifest.push_str(&printed_stage(&info.help(), id));
}

#[test]
fn every_printed_example_works_in_a_manifest() {
    for info in KINDS.kinds {
        let mut text = "name = \"m\"\n".to_owned();
        with_inputs(info, "the-example", &mut text, &mut Vec::new());
        let manifest = Manifest::parse("m.toml".as_ref(), text.clone(), &[], &KINDS);
        let manifest = manifest.unwrap_or_else(|error| panic!("{}: {error}\n{text}", info.name));
        assert_eq!(manifest.stage("the-example").unwrap().config.kind().name, info.name);
    }
}

#[cfg(unix)]
#[test]
fn every_printed_example_works_on_the_command_line() {
    for info in KINDS.kinds {
        let words = printed_command(&info.help());
        assert_eq!(words[..4], ["stage", info.name, "--out", "DIR"]);
        assert_eq!(words[4..], arguments(info.example), "{}", info.name);
    }
}

/// What examples read is there under that name once the pipelines of the project have run or `fetch` has put it there.
#[test]
fn examples_read_what_the_pipelines_make() {
    let pipelines = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let fetched: Vec<String> = dcgan_fetch::Set::ALL
        .into_iter()
        .flat_map(dcgan_fetch::Set::files)
        .map(|file| format!("data/{}", file.install.path().display()))
        .collect();
    for info in KINDS.kinds {
        let config = parse_arguments(info.name, &arguments(info.example), &KINDS).unwrap();
        for input in config.stage().inputs() {
            let path = input.name.as_str();
            let Some((name, id)) = path.strip_prefix("runs/").and_then(|rest| rest.split_once('/')) else {
                assert!(path.starts_with("out/"), "{}: {path}", info.name);
                continue;
            };
            let manifest = Manifest::load(&pipelines.join(format!("{name}.toml")), &[], &KINDS).unwrap();
            let stage = manifest.stage(id).unwrap_or_else(|| panic!("{}: {path}", info.name));
            assert!(input.needs.is_among(&stage.config.stage().yields()), "{}: {path}", info.name);
        }
        for external in config.stage().external_paths() {
            let path = external.path.to_str().unwrap();
            let is_told = path == "photos" || path.starts_with("data/authors/");
            assert!(is_told || fetched.iter().any(|place| path.starts_with(place.as_str())), "{path}");
        }
    }
}

/// Defaults are read from the configuration's type; settings of a run that gives none of them are these.
#[test]
fn documented_defaults_are_the_real_ones() {
    let mut n_compared = 0;
    for kind in KINDS.kinds {
        let config = parse_arguments(kind.name, &arguments(kind.example), &KINDS).unwrap();
        let json = serde_json::to_value(&config).unwrap();
        for key in kind.keys() {
            let is_given = kind.example.iter().any(|argument| argument.starts_with(&format!("{}=", key.key)));
            let pointer = format!("/{}/{}", kind.name, key.key.replace('.', "/"));
            // Keys of the variants that the example does not choose are not there.
            let Some(real) = json.pointer(&pointer).filter(|_| !is_given) else { continue };
            let toml = match &key.default {
                KeyDefault::Required | KeyDefault::RequiredInTable => {
                    panic!("{}: {} is not in the example", kind.name, key.key)
                }
                KeyDefault::Optional => "".to_owned(),
                KeyDefault::Value(_) => key.default_text(),
            };
            let expected = match toml.as_str() {
                "" => Value::Null,
                toml => as_json(&format!("v = {toml}"))["v"].clone(),
            };
            let is_near =
                real.as_f64().zip(expected.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-7 * b);
            assert!(*real == expected || is_near, "{}: {} {real} {expected}", kind.name, key.key);
            n_compared += 1;
        }
    }
    assert!(n_compared > 100, "{n_compared}");
}

#[test]
fn every_key_has_a_meaning() {
    for kind in KINDS.kinds {
        for key in kind.keys() {
            let is_said = key.meaning.ends_with(['.', '…']) && !key.meaning.contains("[`");
            assert!(is_said, "{}: {}: {:?}", kind.name, key.key, key.meaning);
        }
    }
}

#[test]
fn help_teaches_with_an_example() {
    let help = KINDS.kind("svhn_protocol").unwrap().help();
    assert!(help.contains("protocol.n_validation  (whole number; default 10000)"), "{help}");
    assert!(help.contains("dcgan stage svhn_protocol --out DIR"), "{help}");
    assert!(help.contains("[stage.svhn_protocol]"), "{help}");
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema(&KINDS)).unwrap()
}

fn as_json(toml: &str) -> Value {
    serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn every_manifest_of_the_project_is_valid() {
    let validator = validator();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let mut n_manifests = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&as_json(&text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        n_manifests += 1;
    }
    assert!(n_manifests >= 5);
}

#[test]
fn what_the_program_refuses_is_invalid() {
    let validator = validator();
    let good = "name = \"m\"\n[[stage]]\nid = \"s\"\n[stage.fit_svm]\ntrain = \"a\"\ntest = \"b\"\nc = 1.0\n";
    assert!(validator.is_valid(&as_json(good)));
    for (from, to) in [
        ("name = \"m\"", "nmae = \"m\""),
        ("name = \"m\"", "name = \"a b\""),
        ("name = \"m\"", "name = \"m\"\ngoals = 3"),
        ("name = \"m\"", "name = \"m\"\nvars = {a = []}"),
        ("fit_svm", "fit_svn"),
        ("id = \"s\"", "id = 3"),
        ("id = \"s\"\n", ""),
        ("c = 1.0", "c = \"1\""),
        ("c = 1.0", "C = 1.0"),
        ("c = 1.0", "c = -1.0"),
        ("c = 1.0\n", ""),
        ("c = 1.0", "c = 1.0\nloss = \"hinges\""),
        ("c = 1.0", "c = 1.0\n[stage.report]\nresults = [\"s\"]"),
    ] {
        let broken = good.replace(from, to);
        assert_ne!(broken, good);
        assert!(!validator.is_valid(&as_json(&broken)), "{broken}");
        assert!(Manifest::parse("m.toml".as_ref(), broken.clone(), &[], &KINDS).is_err(), "{broken}");
    }
    assert!(validator.is_valid(&as_json(&good.replace("1.0", "\"${c}\""))));
}

/// For every key, values of all types: what cannot be read is invalid, and what is invalid the program refuses.
#[test]
fn types_and_ranges_are_those_of_the_program() {
    let validator = validator();
    let values = ["\"zzz\"", "3", "0", "-3", "9999999", "0.5", "true", "[0.5]", "[\"zzz\"]", "{}"];
    let mut n_compared = 0;
    for info in KINDS.kinds {
        let example: Vec<String> = info.example.iter().map(|argument| (*argument).to_owned()).collect();
        for key in info.keys() {
            let table = key.key.rsplit_once('.').map_or("", |(table, _)| table);
            // A table that may stand for a name, which the example gives.
            if example.iter().any(|argument| argument.starts_with(&format!("{table}="))) {
                continue;
            }
            let is_choice = table.starts_with("source") || info.name == "synthesize";
            // Of several data sets only the example's can be tried: each asks for keys of its own.
            if is_choice && !example.iter().any(|argument| argument.starts_with(&format!("{table}."))) {
                continue;
            }
            for value in values {
                let mut arguments = example.clone();
                arguments.retain(|argument| !argument.starts_with(&format!("{}=", key.key)));
                arguments.push(format!("{}={value}", key.key));
                let manifest = stage(info.name, &arguments);
                let table = manifest["stage"][0][info.name].clone();
                let config = KINDS.recorded(&serde_json::json!({ info.name: table }));
                let errors: Vec<String> = validator
                    .iter_errors(&manifest)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                let what = format!("{} {}={value}: {errors:?}", info.name, key.key);
                match config {
                    None => assert!(!errors.is_empty(), "{what}"),
                    Some(config) => {
                        assert!(errors.is_empty() || !config.problems().is_empty(), "{what}");
                    }
                }
                n_compared += 1;
            }
        }
    }
    assert!(n_compared > 500, "{n_compared}");
}

/// A manifest of one stage with the arguments.
fn stage(kind: &str, arguments: &[String]) -> Value {
    let head = format!("name = \"m\"\n[[stage]]\nid = \"s\"\n[stage.{kind}]\n");
    as_json(&(head + &lines(arguments)))
}

/// The arguments as lines of the kind's table.
fn lines(arguments: &[String]) -> String {
    let mut text = String::new();
    for argument in arguments {
        let (key, value) = argument.split_once('=').unwrap();
        let is_toml = format!("v = {value}").parse::<toml::Table>().is_ok();
        let value = if is_toml { value.to_owned() } else { format!("{value:?}") };
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

#[test]
fn every_key_of_every_kind_is_held_against_the_paper_or_said_not_to_be() {
    for info in KINDS.kinds {
        for key in info.keys() {
            let of = info.paper.iter().filter(|stated| covers(stated.key, &key.key)).count();
            assert_eq!(of, 1, "{}: {} in `paper`", info.name, key.key);
        }
        for stated in info.paper {
            assert!(
                info.keys().iter().any(|key| covers(stated.key, &key.key)),
                "{}: {}",
                info.name,
                stated.key
            );
            let is_compared = matches!(stated.says, Says::Value(_) | Says::Depends | Says::Above0);
            assert_eq!(is_compared, !stated.place.is_empty(), "{}: {}", info.name, stated.key);
            if let Says::Value(json) = stated.says {
                assert!(serde_json::from_str::<Value>(json).is_ok(), "{}: {json}", info.name);
            }
        }
    }
}

/// `dcgan new stage-config KIND`: the example's settings, and every other key as a comment that can be taken out.
#[test]
fn a_printed_table_has_every_key_and_the_examples_settings() {
    let table = |text: &str, kind: &str| -> toml::Table {
        let parsed: toml::Table = text.parse().unwrap_or_else(|error| panic!("{kind}: {error}\n{text}"));
        parsed["stage"][0][kind].as_table().unwrap().clone()
    };
    for info in KINDS.kinds {
        let text = info.commented();
        let example = printed_stage(&info.help(), "my-stage");
        assert_eq!(table(&text, info.name), table(&example, info.name), "{text}");
        for key in info.keys() {
            let is_there = |line: &str| {
                line.trim_start_matches("# ")
                    .strip_prefix(&key.key)
                    .is_some_and(|rest| rest.starts_with(" ="))
            };
            assert!(text.lines().any(is_there), "{} has no {}:\n{text}", info.name, key.key);
        }
    }
}
