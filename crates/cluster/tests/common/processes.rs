//! Schedulers and executors, each a process that ends with the test.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub struct Process(Child);

impl Process {
    pub fn start(arguments: &[&str], variables: &[(&str, &Path)], log: &Path) -> Self {
        let log = fs_err::File::create(log).unwrap().into_parts().0;
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcgan-cluster"));
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap())
    }

    /// Sends a signal, and waits for the end: the exit code.
    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.0.wait().unwrap().code()
    }

    /// Waits until it ends by itself: the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let clock = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(clock.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let clock = Instant::now();
    while !is_there() {
        assert!(clock.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn scheduler(dir: &Path, port: u16) -> Process {
    let arguments = ["scheduler", "--host", "127.0.0.1", "--port", &port.to_string(), "--timeout", "6"];
    let process = Process::start(&arguments, &[], &dir.join("scheduler.log"));
    wait_for("scheduler", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}

/// With variables of the environment.
pub fn executor(dir: &Path, scheduler: u16, k: usize, variables: &[(&str, &Path)]) -> Process {
    let (port, task_port) = (free_port(), free_port());
    let work = dir.join(format!("executor-{k}-{port}"));
    let process = Process::start(
        &[
            "executor",
            "--host",
            "127.0.0.1",
            "--name",
            "127.0.0.1",
            "--tasks",
            "2",
            "--memory",
            "256MB",
            "--scheduler",
            &format!("127.0.0.1:{scheduler}"),
            "--port",
            &port.to_string(),
            "--task-port",
            &task_port.to_string(),
            "--work",
            &work.display().to_string(),
        ],
        variables,
        &dir.join(format!("executor-{k}-{port}.log")),
    );
    wait_for("executor", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}
