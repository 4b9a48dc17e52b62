//! The `dcgan` binary: parse the command line, do the verb, print, exit.

mod args;
mod bench;
mod bench_pipeline;
#[cfg(target_os = "linux")]
mod bus_error;
mod complete;
mod doctor;
mod examples;
mod export;
mod getting_started;
mod values;
mod verbs;
mod watch;
use std::process::ExitCode;

use args::{Cli, NewArgs, Verb};
use clap::{CommandFactory as _, Parser as _};
use dcgan_engine::interrupt::{Interrupt, Interrupted};
use dcgan_engine::manifest::Problems;
use dcgan_engine::progress::Progress;
use dcgan_engine::terminal::{hook_panics, say};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    hook_panics();
    #[cfg(target_os = "linux")]
    bus_error::explain();
    // Where a shell asks for completions, that is all.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error),
    };
    dcgan_engine::memory::keep_freed();
    let interrupt = Interrupt::default();
    listen(&interrupt);
    let progress = Progress::new(cli.verbosity(), interrupt.clone());
    let done = dcgan_files::threads::start_all().map_err(Into::into).and_then(|()| work(cli.verb, &progress));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::from(if interrupt.is_requested() { INTERRUPTED } else { code(&error) })
        }
    }
}

fn work(verb: Verb, progress: &Progress) -> anyhow::Result<()> {
    match verb {
        Verb::Run(args) => verbs::run(&args, progress),
        Verb::Check(args) => verbs::check(&args, progress),
        Verb::Status(args) => verbs::status(&args, progress),
        Verb::Watch(args) => watch::watch(&args, progress),
        Verb::Dag(args) => verbs::dag(&args),
        Verb::Gc(args) => verbs::gc(&args, progress),
        Verb::Compare(args) => verbs::compare(&args),
        Verb::Stage(args) => verbs::stage(&args, progress),
        Verb::Export(args) => export::export(args, progress),
        Verb::Bench(args) => bench::bench(&args, progress),
        Verb::Init(args) => getting_started::init(&args, progress),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Schema => getting_started::print_schema(),
        Verb::Completions { shell } => getting_started::completions(shell),
        Verb::New(NewArgs::StageConfig { kind }) => getting_started::stage_config(&kind),
        Verb::TrainPart { number, count, device } => dcgan_stages::train_gan::follow(number, count, device),
        Verb::Man => getting_started::man(),
    }
}

/// Help, where it was asked for; else what is wrong with the command line, which may hold anything.
fn unparsed(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        say(error.render().to_string().trim_end());
        return ExitCode::from(USAGE);
    }
    // Whoever closed the pipe wants no help.
    let _ = error.print();
    ExitCode::SUCCESS
}

/// Ctrl-C asks the running stage to stop; a second one exits at once.
fn listen(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    let handler = move || {
        if interrupt.request() {
            say("\nstopping; Ctrl-C again stops at once");
        } else {
            std::process::exit(INTERRUPTED.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say(format_args!("warning: Ctrl-C will not be handled: {error}"));
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        INTERRUPTED
    } else if error.is::<verbs::Usage>() || error.downcast_ref::<Problems>().is_some_and(|p| p.is_usage) {
        USAGE
    } else {
        FAILED
    }
}
