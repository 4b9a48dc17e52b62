//! The `dcgan-cluster` binary: parse the command line, do the job, print what it found, exit.

mod args;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser as _;
use dcgan_cluster::group::{GroupJob, group};
use dcgan_cluster::hash::{HashJob, hash};
use dcgan_cluster::remove::{RemoveJob, remove};
use dcgan_cluster::service::{ExecutorJob, SchedulerJob, executor, scheduler};
use dcgan_cluster::session::Session;
use dcgan_cluster::{ClusterError, Result};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_engine::interrupt::Interrupt;
use dcgan_engine::terminal::{hook_panics, say};
use serde::Serialize;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    hook_panics();
    let cli = Cli::parse();
    let interrupt = Interrupt::default();
    match work(cli.verb, &interrupt) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("error: {}", told(&error)));
            ExitCode::from(if interrupt.is_requested() { INTERRUPTED } else { FAILED })
        }
    }
}

/// An error with what caused it, of which the engine's are told already.
fn told(error: &ClusterError) -> String {
    let mut text = error.to_string();
    if !matches!(error, ClusterError::Engine { .. }) {
        let mut cause = std::error::Error::source(error);
        while let Some(why) = cause {
            let why_text = why.to_string();
            if !text.contains(&why_text) {
                text += &format!(": {why_text}");
            }
            cause = why.source();
        }
    }
    text
}

fn work(verb: Verb, interrupt: &Interrupt) -> Result<u8> {
    match verb {
        Verb::Scheduler(args) => {
            scheduler(&SchedulerJob { host: args.host, port: args.port, timeout_seconds: args.timeout })?;
        }
        Verb::Executor(args) => executor(&ExecutorJob {
            scheduler: args.scheduler,
            host: args.host,
            external_host: args.name,
            ports: [args.port, args.task_port],
            n_tasks: args
                .tasks
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            memory: args.memory,
            work: args.work,
        })?,
        Verb::Hash(args) => {
            let Some(config) = said(args.config()) else { return Ok(USAGE) };
            let session = open(&args.place, interrupt)?;
            let job = HashJob {
                source: args.source,
                autoencoder: args.autoencoder.join(AUTOENCODER),
                config,
                n_parts: args.parts,
                work: args.place.work(),
                out: args.place.out,
            };
            print(&hash(&session, &job)?);
        }
        Verb::Group(args) => {
            let Some(config) = said(args.config()) else { return Ok(USAGE) };
            let session = open(&args.place, interrupt)?;
            let job = GroupJob { hashed: args.codes, config, work: args.place.work(), out: args.place.out };
            print(&group(&session, &job)?);
        }
        Verb::Remove(args) => {
            let session = open(&args.place, interrupt)?;
            let (work, out) = (args.place.work(), args.place.out);
            print(&remove(
                &session,
                &RemoveJob { hashed: args.codes, groups: args.groups, tars: args.tars, out, work },
            )?);
        }
    }
    Ok(0)
}

/// Settings; none, and why is said, where they are wrong.
fn said<T>(settings: std::result::Result<T, String>) -> Option<T> {
    settings.inspect_err(|message| say(format_args!("error: {message}"))).ok()
}

/// Connects to the engine. From here on Ctrl-C asks the job to stop, the second time ends the program.
fn open(args: &args::PlaceArgs, interrupt: &Interrupt) -> Result<Session> {
    let asked = interrupt.clone();
    let listened = ctrlc::set_handler(move || {
        if !asked.request() {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    listened.map_err(|error| ClusterError::Io(std::io::Error::other(error)))?;
    if args.attended {
        let unattended = interrupt.clone();
        std::thread::spawn(move || {
            // Nothing is said there: it ends with whoever started this program, or when they want no more.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            unattended.request();
        });
    }
    Session::open(&args.place(), interrupt.clone())
}

/// Counts go to stdout.
#[allow(clippy::print_stdout)]
fn print(report: &impl Serialize) {
    println!("{}", serde_json::to_string_pretty(report).unwrap_or_default());
}
