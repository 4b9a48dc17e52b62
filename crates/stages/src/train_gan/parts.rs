//! The processes of a training on several devices.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dcgan_gan::GanError;
use dcgan_nn::device::DeviceChoice;
use dcgan_nn::parts::{Link, Part};

/// The verb of the program's that a part runs.
const VERB: &str = "train-part";
/// How long a part that has ended may take to be gone.
const GONE: Duration = Duration::from_secs(2);
/// Between two looks at the other processes.
const EVERY: Duration = Duration::from_millis(200);

/// All parts but the first, which is this process.
pub(super) struct Others {
    processes: Arc<Processes>,
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
    let others = Others { processes: Arc::new(Mutex::new(processes)), part: Arc::new(Part::first(links)) };
    watch(&others)?;
    Ok(Some(others))
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

    /// Sees the others to their end: of themselves after a training that went well, else at once. Where it went wrong since one of them
    /// has died, the error says how.
    pub(super) fn end<T>(self, trained: Result<T, GanError>) -> anyhow::Result<T> {
        let Self { processes, part } = self;
        let error = match trained {
            Ok(trained) => {
                drop(part);
                for (_, process) in locked(&processes).iter_mut() {
                    process.wait()?;
                }
                return Ok(trained);
            }
            Err(error) => error,
        };
        let is_lost = matches!(error, GanError::Nn(_) | GanError::Candle(_));
        let told = if is_lost { how_one_died(&processes) } else { None };
        drop(part);
        for (_, process) in locked(&processes).iter_mut() {
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

type Processes = Mutex<Vec<(DeviceChoice, Child)>>;

fn locked(processes: &Processes) -> MutexGuard<'_, Vec<(DeviceChoice, Child)>> {
    processes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first that did not end well, if there is one.
fn dead(processes: &Processes) -> Option<String> {
    locked(processes).iter_mut().enumerate().find_map(|(i, (device, process))| match process.try_wait() {
        Ok(Some(status)) if !status.success() => Some(format!("part {}, on {device}: {status}", i + 1)),
        _ => None,
    })
}

/// The same, of one that may take a moment to be gone.
fn how_one_died(processes: &Processes) -> Option<String> {
    let deadline = Instant::now() + GONE;
    loop {
        match dead(processes) {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            told => return told,
        }
    }
}

/// Starts a thread that ends what waits for a process that has died.
fn watch(others: &Others) -> std::io::Result<()> {
    let (processes, part) = (others.processes.clone(), Arc::downgrade(&others.part));
    let look = move || {
        while let Some(part) = part.upgrade() {
            if dead(&processes).is_some() {
                part.abort();
                return;
            }
            drop(part);
            std::thread::sleep(EVERY);
        }
    };
    std::thread::Builder::new().name("parts".into()).spawn(look).map(|_| ())
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
