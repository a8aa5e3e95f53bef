//! Processes that end when their guard is dropped.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait_until;

/// A running process; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command`; messages call it `name`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        let child =
            command.spawn().with_context(|| format!("cannot start {name} ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Process id. That of the program inside the namespace, since `ip netns exec` replaces itself
    /// by it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child process, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended before {signal} could be sent: {status}", self.name);
        }
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Returns the exit status, or `None` while the process runs.
    ///
    /// # Errors
    /// When waitpid(2) fails.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let mut status = None;
        wait_until(&format!("the end of {}", self.name), timeout, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status.context("no exit status")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has already been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails; the text has the command and its standard error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    output_of(command, &output)
}

/// As [`capture`], for a command that reads `input`.
pub(crate) fn capture_with_input(command: &mut Command, input: &str) -> Result<String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut stdin = child.stdin.take().context("its standard input is a pipe")?;
    // One that fails early does not read all of it, and says why.
    let written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = output_of(command, &child.wait_with_output()?)?;
    written.with_context(|| format!("{command:?} does not read its input"))?;
    Ok(output)
}

fn output_of(command: &Command, output: &Output) -> Result<String> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::TIMEOUT;

    #[test]
    fn a_dropped_process_is_gone() {
        let process =
            Process::spawn("sleep", Command::new("sleep").arg("1000")).expect("sleep is there");
        let entry = format!("/proc/{}", process.id());
        assert!(Path::new(&entry).exists());
        drop(process);
        assert!(!Path::new(&entry).exists());
    }

    #[test]
    fn a_signal_ends_a_process_and_the_next_one_is_refused() {
        let mut process =
            Process::spawn("sleep", Command::new("sleep").arg("1000")).expect("sleep is there");
        process.signal(Signal::SIGTERM).expect("it runs");
        let status = process.wait(TIMEOUT).expect("it ends");
        assert!(!status.success());
        let error = process.signal(Signal::SIGTERM).expect_err("the process is gone");
        assert_eq!(
            error.to_string(),
            "sleep ended before SIGTERM could be sent: signal: 15 (SIGTERM)"
        );
    }

    #[test]
    fn a_failed_command_is_reported_with_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]))
            .expect_err("fails");
        assert!(error.to_string().ends_with("failed (exit status: 3): no such thing"), "{error}");
    }
}
