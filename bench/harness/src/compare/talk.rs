//! A child process that is talked to line by line.

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

use super::interrupt::{Interrupt, TURN};

/// How much of its standard error is kept, in bytes: the end of it.
const COMPLAINT_MAX: usize = 8192;

/// How long the last words of an ended process may take through their pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running process with its three pipes; killed when dropped.
#[derive(Debug)]
pub(crate) struct Talker {
    name: String,
    process: Process,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaint: Arc<Mutex<String>>,
    /// Ends with the standard error of the process.
    listener: thread::JoinHandle<()>,
    interrupt: Interrupt,
}

impl Talker {
    /// Starts `command`; `name` is how messages call it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(name: &str, command: &mut Command, interrupt: &Interrupt) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C reaches the instrument alone, which then ends the others in order.
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
        let complaint = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&complaint);
        let listener = thread::spawn(move || keep_the_end(stderr, &kept));
        let interrupt = interrupt.clone();
        Ok(Self { name: name.to_owned(), process, input, lines, complaint, listener, interrupt })
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When it has ended, with what it complained about.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let written = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        match written {
            Some(Ok(())) => Ok(()),
            _ => bail!("{} does not listen any more{}", self.name, self.last_words()),
        }
    }

    /// Returns its next line; `what` says what it should be.
    ///
    /// # Errors
    /// When there is none within `timeout`, it has ended, or a signal has come.
    pub(crate) fn line(&mut self, what: &str, timeout: Duration) -> Result<String> {
        let end = Instant::now() + timeout;
        loop {
            self.interrupt.check()?;
            match self.lines.recv_timeout(TURN) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended without {what}{}", self.name, self.last_words())
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => {
                    bail!("{} did not give {what} within {timeout:?}{}", self.name, self.so_far())
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits until its standard error has `words`.
    ///
    /// # Errors
    /// As [`Talker::line`].
    pub(crate) fn wait_for_complaint(&mut self, words: &str, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        while !self.complaint().contains(words) {
            self.interrupt.pause(TURN)?;
            if let Some(status) = self.process.ended()? {
                bail!("{} ended ({status}){}", self.name, self.last_words());
            }
            if Instant::now() >= end {
                bail!("{} did not say `{words}` within {timeout:?}{}", self.name, self.so_far());
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

    /// Closes its standard input, waits for its end and returns how it ended and its standard
    /// error.
    ///
    /// # Errors
    /// When it does not end within `timeout`.
    pub(crate) fn end(mut self, timeout: Duration) -> Result<(ExitStatus, String)> {
        drop(self.input.take());
        let status = self.process.wait(timeout)?;
        self.hear_out();
        Ok((status, self.complaint()))
    }

    fn complaint(&self) -> String {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it complained about, for an error message while it runs.
    fn so_far(&self) -> String {
        let complaint = self.complaint();
        if complaint.trim().is_empty() { String::new() } else { format!(":\n{}", complaint.trim()) }
    }

    /// What it complained about, for an error message when it has ended.
    fn last_words(&self) -> String {
        self.hear_out();
        self.so_far()
    }

    fn hear_out(&self) {
        let end = Instant::now() + LAST_WORDS;
        while !self.listener.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Reads to the end and keeps the last [`COMPLAINT_MAX`] bytes or somewhat more.
fn keep_the_end(mut from: impl Read, to: &Mutex<String>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut text = to.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if text.len() > 2 * COMPLAINT_MAX {
            let cut =
                (text.len() - COMPLAINT_MAX..text.len()).find(|&at| text.is_char_boundary(at));
            text.drain(..cut.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Talker {
        Talker::start("sh", Command::new("sh").args(["-c", script]), &Interrupt::default())
            .expect("sh is there")
    }

    #[test]
    fn a_line_said_is_answered() {
        let mut talker = shell("while read line; do echo \"<$line>\"; done; echo bye >&2");
        talker.say("mark").expect("it listens");
        assert_eq!(talker.line("an answer", SOON).expect("it answers"), "<mark>");
        let (status, complaint) = talker.end(SOON).expect("its input is closed");
        assert!(status.success());
        assert_eq!(complaint, "bye\n");
    }

    #[test]
    fn the_last_words_of_an_ended_process_are_in_the_error() {
        let mut talker = shell("echo cannot open the door >&2; exit 1");
        let error = talker.line("a report", SOON).expect_err("it says nothing");
        assert_eq!(error.to_string(), "sh ended without a report:\ncannot open the door");
    }

    #[test]
    fn a_silent_process_is_not_waited_for_for_ever() {
        let mut talker = shell("exec sleep 100");
        let error =
            talker.line("a report", Duration::from_millis(30)).expect_err("it says nothing");
        assert_eq!(error.to_string(), "sh did not give a report within 30ms");
        let error =
            talker.wait_for_complaint("ready", Duration::from_millis(30)).expect_err("nor there");
        assert_eq!(error.to_string(), "sh did not say `ready` within 30ms");
    }

    #[test]
    fn words_on_the_standard_error_are_waited_for() {
        let mut talker = shell("echo listening on vxlan0 >&2; exec sleep 100");
        talker.wait_for_complaint("listening on", SOON).expect("it says so");
        talker.signal(Signal::SIGTERM).expect("it runs");
        assert!(!talker.end(SOON).expect("it ends").0.success());
    }

    #[test]
    fn of_a_flood_the_end_is_kept() {
        let flood = "x".repeat(100_000) + "the end";
        let kept = Mutex::new(String::new());
        keep_the_end(flood.as_bytes(), &kept);
        let kept = kept.into_inner().expect("nobody panicked");
        assert!(kept.ends_with("the end") && kept.len() < 3 * COMPLAINT_MAX);
    }
}
