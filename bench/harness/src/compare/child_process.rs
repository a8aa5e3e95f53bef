//! A child process with line-based input and output.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use vxtap_tests::Process;

use super::interrupt::{Interrupt, POLL_INTERVAL};

/// Bytes of its standard error that are kept: the last ones.
const STDERR_MAX: usize = 8192;

/// Longest time to read the rest of an ended process's standard error.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A running process with its three pipes; killed when dropped.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    name: String,
    process: Process,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    /// Ends with the standard error of the process.
    stderr_reader: thread::JoinHandle<()>,
    interrupt: Interrupt,
}

impl ChildProcess {
    /// Starts `command`; `name` is its name in messages.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(name: &str, command: &mut Command, interrupt: &Interrupt) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C reaches the instrument alone, which then ends its children in order.
        command.process_group(0);
        let mut process = Process::spawn(name, command)?;
        let child = process.child();
        let input = child.stdin.take();
        let stdout = child.stdout.take().context("a child without standard output")?;
        let stderr = child.stderr.take().context("a child without standard error")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let kept = Arc::new(Mutex::new(String::new()));
        let tail = Arc::clone(&kept);
        let stderr_reader = thread::spawn(move || keep_tail(stderr, &tail));
        let interrupt = interrupt.clone();
        let name = name.to_owned();
        Ok(Self { name, process, input, lines, stderr: kept, stderr_reader, interrupt })
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When the process has ended; the error holds the end of its standard error.
    pub(crate) fn write_line(&mut self, line: &str) -> Result<()> {
        let written = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        match written {
            Some(Ok(())) => Ok(()),
            _ => bail!("{} has closed its standard input{}", self.name, self.stderr_tail()),
        }
    }

    /// Returns its next line; `what` names the expected content in errors.
    ///
    /// # Errors
    /// When there is none within `timeout`, the process has ended, or a signal has come.
    pub(crate) fn read_line(&mut self, what: &str, timeout: Duration) -> Result<String> {
        let end = Instant::now() + timeout;
        loop {
            self.interrupt.check()?;
            match self.lines.recv_timeout(POLL_INTERVAL) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended without {what}{}", self.name, self.stderr_tail())
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => {
                    bail!(
                        "{} did not give {what} within {timeout:?}{}",
                        self.name,
                        self.stderr_so_far()
                    )
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits until its standard error contains `words`.
    ///
    /// # Errors
    /// As [`ChildProcess::read_line`].
    pub(crate) fn wait_for_stderr(&mut self, words: &str, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        while !self.stderr().contains(words) {
            self.interrupt.pause(POLL_INTERVAL)?;
            if let Some(status) = self.process.ended()? {
                bail!("{} ended ({status}){}", self.name, self.stderr_tail());
            }
            if Instant::now() >= end {
                bail!(
                    "{} did not print `{words}` to standard error within {timeout:?}{}",
                    self.name,
                    self.stderr_so_far()
                );
            }
        }
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Closes its standard input, waits for its end and returns its exit status and standard error.
    ///
    /// # Errors
    /// When it does not end within `timeout`.
    pub(crate) fn end(mut self, timeout: Duration) -> Result<(ExitStatus, String)> {
        drop(self.input.take());
        let status = self.process.wait(timeout)?;
        self.drain();
        Ok((status, self.stderr()))
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Standard error so far, formatted for an error message while the process runs.
    fn stderr_so_far(&self) -> String {
        let stderr = self.stderr();
        if stderr.trim().is_empty() { String::new() } else { format!(":\n{}", stderr.trim()) }
    }

    /// End of the standard error, formatted for an error message after the process has ended.
    fn stderr_tail(&self) -> String {
        self.drain();
        self.stderr_so_far()
    }

    fn drain(&self) {
        let end = Instant::now() + DRAIN_TIMEOUT;
        while !self.stderr_reader.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Reads to the end and keeps the last [`STDERR_MAX`] bytes or somewhat more.
fn keep_tail(mut from: impl Read, to: &Mutex<String>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut text = to.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if text.len() > 2 * STDERR_MAX {
            let cut = (text.len() - STDERR_MAX..text.len()).find(|&at| text.is_char_boundary(at));
            text.drain(..cut.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> ChildProcess {
        ChildProcess::start("sh", Command::new("sh").args(["-c", script]), &Interrupt::default())
            .expect("sh is there")
    }

    #[test]
    fn a_line_said_is_answered() {
        let mut child = shell("while read line; do echo \"<$line>\"; done; echo bye >&2");
        child.write_line("mark").expect("it listens");
        assert_eq!(child.read_line("an answer", SOON).expect("it answers"), "<mark>");
        let (status, stderr) = child.end(SOON).expect("its input is closed");
        assert!(status.success());
        assert_eq!(stderr, "bye\n");
    }

    #[test]
    fn the_standard_error_of_an_ended_process_is_in_the_error() {
        let mut child = shell("echo cannot open the door >&2; exit 1");
        let error = child.read_line("a report", SOON).expect_err("it prints nothing");
        assert_eq!(error.to_string(), "sh ended without a report:\ncannot open the door");
    }

    #[test]
    fn a_silent_process_is_not_waited_for_for_ever() {
        let mut child = shell("exec sleep 100");
        let error =
            child.read_line("a report", Duration::from_millis(30)).expect_err("it prints nothing");
        assert_eq!(error.to_string(), "sh did not give a report within 30ms");
        let error =
            child.wait_for_stderr("ready", Duration::from_millis(30)).expect_err("nor there");
        assert_eq!(error.to_string(), "sh did not print `ready` to standard error within 30ms");
    }

    #[test]
    fn words_on_the_standard_error_are_waited_for() {
        let mut child = shell("echo listening on vxlan0 >&2; exec sleep 100");
        child.wait_for_stderr("listening on", SOON).expect("it prints it");
        child.signal(Signal::SIGTERM).expect("it runs");
        assert!(!child.end(SOON).expect("it ends").0.success());
    }

    #[test]
    fn of_a_flood_the_end_is_kept() {
        let flood = "x".repeat(100_000) + "the end";
        let kept = Mutex::new(String::new());
        keep_tail(flood.as_bytes(), &kept);
        let kept = kept.into_inner().expect("no panic");
        assert!(kept.ends_with("the end") && kept.len() < 3 * STDERR_MAX);
    }
}
