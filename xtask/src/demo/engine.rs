//! The vxtap process of the demo: its progress while it runs, its conservation table when it stops.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use vxtap_tests::{Process, Side};

use super::INTERRUPTED;
use super::files::Files;
use super::progress::Progress;

/// Longest time until the first report of the engine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time to drain, flush and detach.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time that [`Engine::next_progress`] waits.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Engine<'a> {
    process: Process,
    lines: Receiver<String>,
    files: &'a Files,
}

impl<'a> Engine<'a> {
    /// Starts `vxtap run`, from the directory of the `programs`, on the interface and waits for its
    /// first report: the XDP program is attached by then.
    pub(super) fn start(
        programs: &Path,
        side: &Side,
        files: &'a Files,
        interrupted: &AtomicBool,
    ) -> Result<Self> {
        let mut command = side.netns.command(programs.join("vxtap"));
        command.args(["run", "--progress", "json", "-i", side.interface, "-c"]).arg(files.config());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(files.engine_log()?);
        // Ctrl-C reaches the demo alone, which then stops the engine in order.
        command.process_group(0);
        let mut process = Process::spawn("vxtap", &mut command)?;
        let stdout = process.child().stdout.take().context("vxtap has no output")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut engine = Self { process, lines, files };
        engine.wait_for_start(interrupted)?;
        Ok(engine)
    }

    fn wait_for_start(&mut self, interrupted: &AtomicBool) -> Result<()> {
        let start = Instant::now();
        while self.next_progress()?.is_none() {
            ensure!(!interrupted.load(Ordering::Relaxed), INTERRUPTED);
            if start.elapsed() > START_TIMEOUT {
                bail!(
                    "vxtap did not start within {START_TIMEOUT:?}:\n{}",
                    self.files.engine_log_text()
                );
            }
        }
        Ok(())
    }

    /// Returns the next report, or `None` when none came within a short time.
    ///
    /// # Errors
    /// When the engine has ended, with its messages.
    pub(super) fn next_progress(&mut self) -> Result<Option<Progress>> {
        match self.lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => Ok(Progress::parse(&line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait(STOP_TIMEOUT)?;
                bail!("vxtap ended by itself ({status}):\n{}", self.files.engine_log_text())
            }
        }
    }

    /// Asks the engine to stop, as Ctrl-C does, and returns its conservation table, the end of its
    /// messages.
    ///
    /// # Errors
    /// When it does not stop in time or reports a failure.
    pub(super) fn stop(mut self) -> Result<String> {
        self.process.signal(Signal::SIGINT)?;
        let status = self.process.wait(STOP_TIMEOUT)?;
        ensure!(
            status.success(),
            "vxtap failed while stopping ({status}):\n{}",
            self.files.engine_log_text()
        );
        let log = self.files.engine_log_text();
        let table = log.split_inclusive('\n').skip_while(|line| line.starts_with("vxtap: "));
        Ok(table.collect())
    }
}
