//! The processes of a training on several devices.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dcgan_nn::NnError;
use dcgan_nn::device::DeviceChoice;
use dcgan_nn::parts::{Link, Part};

/// The verb of the program's that a part runs.
const VERB: &str = "train-part";
/// How long a part that has ended may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// All parts but the first, which is this process.
pub(super) struct Others {
    processes: Vec<(DeviceChoice, Child)>,
    part: Arc<Part>,
}

/// Starts a process for each device but the first; none where there is one alone.
pub(super) fn start(devices: &[DeviceChoice]) -> anyhow::Result<Option<Others>> {
    if devices.len() < 2 {
        return Ok(None);
    }
    let program = std::env::current_exe().context("the program's own file")?;
    let threads = rayon_threads(devices);
    let (mut processes, mut links) = (Vec::new(), Vec::new());
    for (number, device) in devices.iter().enumerate().skip(1) {
        let mut command = Command::new(&program);
        command.args([VERB, &number.to_string(), &devices.len().to_string(), &device.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(threads.iter().map(|n| ("RAYON_NUM_THREADS", n)));
        // Ctrl-C in a terminal is for the first part, which tells the others.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().with_context(|| format!("starting part {number} on {device}"))?;
        if let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) {
            links.push(Link { from: Box::new(from), to: Box::new(to) });
        }
        processes.push((*device, process));
    }
    Ok(Some(Others { processes, part: Arc::new(Part::first(links)) }))
}

/// The cores are shared by the parts that compute on them.
fn rayon_threads(devices: &[DeviceChoice]) -> Option<String> {
    let is_cpu = devices.iter().all(|device| *device == DeviceChoice::Cpu);
    let n = std::thread::available_parallelism().map_or(1, |n| n.get());
    is_cpu.then(|| (n / devices.len()).max(1).to_string())
}

impl Others {
    /// The first part.
    pub(super) fn part(&self) -> Arc<Part> {
        self.part.clone()
    }

    /// Sees the others to their end: of themselves after a training that went well, else at once. An error that is theirs says how they
    /// ended.
    pub(super) fn end<T>(self, trained: Result<T, dcgan_gan::GanError>) -> anyhow::Result<T> {
        let Self { mut processes, part } = self;
        let error = match trained {
            Ok(trained) => {
                drop(part);
                for (_, process) in &mut processes {
                    process.wait()?;
                }
                return Ok(trained);
            }
            Err(error) => error,
        };
        let lost = match &error {
            dcgan_gan::GanError::Nn(NnError::Part { part, .. }) => part.checked_sub(1),
            _ => None,
        };
        let told = lost.and_then(|i| processes.get_mut(i)).map(|(device, process)| {
            let deadline = Instant::now() + GONE;
            loop {
                match process.try_wait() {
                    Ok(Some(status)) => break format!("on {device}, {status}"),
                    Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                    _ => break format!("on {device}, it no longer answers"),
                }
            }
        });
        drop(part);
        for (_, process) in &mut processes {
            // One that has ended by itself cannot be.
            let _ = process.kill();
            process.wait()?;
        }
        match told {
            Some(told) => Err(anyhow::anyhow!("{error} ({told})")),
            None => Err(error.into()),
        }
    }
}

/// Takes part in a training that another process of this program leads, through standard input and output.
///
/// # Errors
/// Where the device cannot be opened, or the training goes wrong here.
pub fn follow(number: usize, count: usize, device: DeviceChoice) -> anyhow::Result<()> {
    let link = Link { from: Box::new(std::io::stdin()), to: Box::new(std::io::stdout()) };
    let place = || format!("part {number}, on {device}");
    let opened = device.open().with_context(place)?;
    dcgan_gan::train::follow(Part::other(number, count, link), &opened).with_context(place)
}
