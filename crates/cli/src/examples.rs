//! Examples below the help of verbs.

pub(crate) const INIT_EXAMPLES: &str = "\
Examples:
  dcgan init --folder ~/photos              writes my-images.toml
  dcgan init --folder ~/photos birds.toml   under another name
  dcgan run my-images.toml --to first-samples      a quick look, after about a minute
  dcgan run my-images.toml                         all of it

The pictures are counted, and the sizes of minibatches and the length of training are set to suit. The manifest begins with a
quick look at small pictures, then leaves out near-duplicates, trains the paper's 64×64 network on what stays, and ends in a
report. A file that exists is never overwritten.";

pub(crate) const SCHEMA_EXAMPLES: &str = "\
Example:
  dcgan schema > dcgan.schema.json

Then begin a manifest with the line

  #:schema ./dcgan.schema.json

and editors that know taplo (VS Code with Even Better TOML, Neovim, Helix) complete keys, show what they mean and
underline what is wrong; `taplo check my-images.toml` does so on the command line.";

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Examples (after another version is installed, do it again):
  dcgan completions bash > ~/.local/share/bash-completion/completions/dcgan
  dcgan completions zsh > ~/.zfunc/_dcgan
  dcgan completions fish > ~/.config/fish/completions/dcgan.fish

Ids of stages are completed behind --only, --from, --to and --force, keys and their values behind --set and `dcgan stage KIND`
(bash, which takes words apart at `=`, completes values behind the latter alone):
the shell asks the program, which reads the manifest that the line names.";

pub(crate) const RUN_EXAMPLES: &str = "\
Examples:
  dcgan run pipelines/svhn.toml                                 what is stale or missing
  dcgan run pipelines/svhn.toml --dry-run                       what would run, and why
  dcgan run pipelines/svhn.toml --set data=/mnt/data            another value for ${data}
  dcgan run pipelines/svhn.toml --set train.training.epochs=2   another value for a key of stage `train`
  dcgan run pipelines/svhn.toml --only samples --force samples  one stage, even if nothing changed
  dcgan run pipelines/svhn.toml --to train                      stage `train` and what it needs
  dcgan run pipelines/svhn.toml --set seed=[1,2,3] --jobs 2     for three seeds, two stages at once

Each stage writes into RUNS/<manifest's name>/<stage's id>/ when it is complete. A stage whose parameters, inputs,
outputs and code have not changed is skipped. Ctrl-C stops; the same command goes on. A stage that is replaced is kept in
RUNS/<manifest's name>/.dcgan: when its settings come back it is put back, and nothing runs.";

pub(crate) const GC_EXAMPLES: &str = "\
Examples:
  dcgan gc pipelines/svhn.toml                 what could go: renamed stages, cells that left the matrix, leftovers
  dcgan gc pipelines/*.toml --all --delete     also the runs of manifests that are not among these
  dcgan gc pipelines/svhn.toml --older-than 30d --delete     versions that were replaced, or left half done, before that
  dcgan gc out --max-size 20GB                 beside the folders out/… of stages run alone

A stage's output is deleted only if its record says that a stage made it; other files in its folder stay. Versions of stages
that others have replaced, and what interrupted runs have half done, are listed; they are deleted only where `--older-than`,
`--keep` or `--max-size` says so.";

pub(crate) const STAGE_EXAMPLES: &str = "\
Examples:
  dcgan stage --list
  dcgan stage import_images --help
  dcgan stage import_images --out work/test source.svhn.path=data/svhn/test_32x32.mat limit=1000
  dcgan stage extract_features --out work/pixels images=work/test

Inputs are folders of earlier stages. Values are TOML; a bare word is a string; dotted keys go into tables.";

/// Of `export`.
pub(crate) const EXPORT_EXAMPLES: &str = "\
Examples:
  dcgan export runs/svhn/train
  dcgan export runs/svhn/train --images runs/svhn/train-images --out for-torch
  dcgan export runs/svhn/train --to onnx --weights ema

Then, where torch and safetensors are installed:
  cd train-pytorch && python model.py      # draws 64 pictures into samples.png
  generator.load_state_dict(load_file(\"generator.safetensors\"))

README.md in the folder, a model card as the Hugging Face hub reads it, says how the networks are loaded. It is the stage
`export_networks`, which a manifest can hold as well: `dcgan stage export_networks --help`. The way back is
`dcgan stage import_weights set=pytorch`.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  dcgan run pipelines/quickstart.toml            the whole way on made-up pictures, under 3 minutes
  dcgan run pipelines/svhn-released.toml --set data=/path/to/data
  dcgan status pipelines/quickstart.toml         what is fresh, stale or missing, and why
  dcgan watch pipelines/quickstart.toml          the run in a browser, while it goes on
  dcgan stage --list                             the stage kinds
  dcgan stage train_gan --help                   all keys of one kind
  dcgan init --folder ~/photos                   a manifest for your own pictures

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

pub(crate) const WATCH_EXAMPLES: &str = "\
Examples:
  dcgan watch pipelines/svhn.toml         while `dcgan run` of it goes on elsewhere, or afterwards
  dcgan watch runs/svhn --port 0          what lies in a run's folder, at a free port

Prints the address to open. Only this machine can reach it, with all who work on it; nothing is changed. With a manifest it
also says what is stale. From elsewhere: `ssh -L 8600:127.0.0.1:8600 MACHINE`. Ctrl-C ends it.";
