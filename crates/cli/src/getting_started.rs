//! The verbs that help one in: a first manifest, completions, the manual page, the schema for editors.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use dcgan_engine::manifest::schema;
use dcgan_engine::progress::Progress;
use dcgan_files::words::counted;
use dcgan_stages::{KINDS, init};

use crate::args::{Cli, InitArgs};
use crate::verbs::{kind_of, print, print_json};

pub(crate) fn init(args: &InitArgs, progress: &Progress) -> anyhow::Result<()> {
    let suited = init::write(&args.file, &args.folder)?;
    let (file, folder) = (args.file.display(), args.folder.display());
    if !args.folder.is_dir() {
        progress.warn(format_args!(
            "{folder} is no folder yet; put your pictures there, or change `photos` in {file}"
        ));
    }
    if let Some(warning) = suited.warning() {
        progress.warn(format_args!("{folder} {warning}"));
    }
    let found = suited.n_pictures.map(|n| format!(", for {}", counted(n, "picture"))).unwrap_or_default();
    progress.note(format_args!(
        "wrote {file}{found}; next:\n  dcgan run {file} --to first-samples   a quick look, after about a minute\n  dcgan run {file}"
    ));
    print(&format!("{}\n", args.file.display()))
}

/// Bash makes three words of `KEY=VALUE`, and puts in what stands behind the `=` alone.
const IN_BASH: &str = r#"
_dcgan() {
    local words=() word current i at=0
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        # Up to the cursor.
        if ((i == COMP_CWORD)) && [[ $word != "=" ]]; then word=$2; fi
        if ((i > 0)) && [[ $word == "=" || ${COMP_WORDS[i - 1]} == "=" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        if ((i == COMP_CWORD)); then at=$((${#words[@]} - 1)); fi
    done
    current=${words[at]}
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$at
    _clap_complete_dcgan "$1" "$current" "$3"
    if [[ $current == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${current%=*}="}"); fi
}
complete -o nospace -o bashdefault -F _dcgan dcgan
"#;

pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::PowerShell => &Powershell,
        Shell::Zsh => &Zsh,
        other => anyhow::bail!("expected bash, elvish, fish, powershell or zsh, found {other}"),
    };
    shell.write_registration("COMPLETE", "dcgan", "dcgan", "dcgan", &mut script)?;
    if shell.name() == Bash.name() {
        script.extend(IN_BASH.as_bytes());
    }
    print(&String::from_utf8(script)?)
}

pub(crate) fn stage_config(kind: &str) -> anyhow::Result<()> {
    print(&kind_of(kind)?.commented())
}

pub(crate) fn man() -> anyhow::Result<()> {
    let program = Cli::command().disable_help_subcommand(true);
    let mut page = Vec::new();
    clap_mangen::Man::new(program.clone()).render(&mut page)?;
    let mut page = String::from_utf8(page)?;
    for verb in program.get_subcommands() {
        let name = format!("dcgan {}", verb.get_name());
        // What the verb's own page would say; there is none, so that references to it lead nowhere.
        let man = clap_mangen::Man::new(verb.clone().bin_name(&name));
        let mut sections = Vec::new();
        man.render_description_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        man.render_extra_section(&mut sections)?;
        let sections = String::from_utf8(sections)?.replace(".SH ", ".SS ");
        page = page.replace(&format!("dcgan\\-{}(1)", verb.get_name()), &name);
        page += &format!(".SH \"{}\"\n{sections}", name.to_uppercase());
    }
    let page = page.replace("EXTRA", "EXAMPLES");
    print(&page)
}

pub(crate) fn print_schema() -> anyhow::Result<()> {
    print_json(&schema(&KINDS))
}
