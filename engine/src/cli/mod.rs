//! The command line: arguments, exit codes and error messages.

mod account;
mod args;
mod capture;
mod check;
mod control_socket;
mod decap;
mod engines;
mod explain;
mod import;
mod load;
mod progress;
mod run;
mod tail;
mod usage;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vxtap::config::{Config, Output, OutputKind, StreamTarget};
use vxtap::engine::Report;

use args::{CheckArgs, Command};

/// Exit code for a failure while running.
const FAILED: u8 = 1;
/// Exit code for wrong usage or a refused configuration; clap uses the same.
const REFUSED: u8 = 2;

/// Error that ends a command.
#[derive(Debug)]
enum CommandError {
    /// Wrong usage or refused configuration; nothing has changed.
    Refused(anyhow::Error),
    /// Failure while running.
    Failed(anyhow::Error),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) | Self::Failed(error) => error.fmt(f),
        }
    }
}

/// Runs the command that the arguments name. Wrong arguments end the process with [`REFUSED`] and a
/// usage text.
pub(crate) fn main() -> ExitCode {
    let outcome = match usage::parse().command {
        Command::Run(args) => {
            let format = args.progress;
            run::run(&load::Loader::new(args), format)
        }
        Command::Check(args) => check(&args),
        Command::Decap(args) => {
            load::for_decap(&args).and_then(|config| decap::decap(config, &args.input))
        }
        Command::Explain(args) => explain::explain(&args),
        Command::Import(args) => import::import(&args),
        Command::Reload(args) => control_socket::reload(args.interface.as_deref()),
        Command::Tail(args) => tail::tail(&args),
        Command::Config(_) => example(),
    };
    let (code, error) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Refused(error)) => (REFUSED, error),
        Err(CommandError::Failed(error)) => (FAILED, error),
    };
    // If standard error is closed, the exit code still reports the failure.
    let _ = writeln!(io::stderr(), "vxtap: {error}");
    ExitCode::from(code)
}

/// Example configuration of the documentation, with comments.
const EXAMPLE: &str = include_str!("../../examples/vxtap.toml");

fn example() -> Result<(), CommandError> {
    print(EXAMPLE).map_err(cannot_print)
}

fn check(args: &CheckArgs) -> Result<(), CommandError> {
    let config = load::read(&args.config)?;
    let text = check::describe(&config).map_err(|error| CommandError::Refused(error.into()))?;
    let path = load::input_name(&args.config).display();
    print(&format!("{path} is accepted.\n\n{text}")).map_err(cannot_print)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn cannot_print(error: io::Error) -> CommandError {
    CommandError::Failed(anyhow!("cannot write to standard output: {error}"))
}

/// Prints a text. A reader that has closed the pipe, as `head` does, is no error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints a line for the operator on standard error.
fn log(line: &str) {
    // A closed standard error must not stop the engine.
    let _ = writeln!(io::stderr(), "vxtap: {line}");
}

/// Prints the conservation table: on standard output, or on standard error if frames or progress go
/// to standard output.
fn print_table(report: &Report, stdout_is_taken: bool) -> Result<(), CommandError> {
    let text = report.to_string();
    if stdout_is_taken {
        // A closed standard error must not stop the engine.
        let _ = io::stderr().write_all(text.as_bytes());
        return Ok(());
    }
    print(&text).map_err(cannot_print)
}

/// Outputs that write to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StdoutOutputs {
    /// There is one.
    is_taken: bool,
    /// There is no other output.
    is_all: bool,
}

/// Returns the outputs that write to standard output. A terminal or `/dev/null` does not count: it
/// takes both the frames and the table.
fn stdout_outputs(config: &Config) -> StdoutOutputs {
    let id = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        (!file.file_type().is_char_device()).then(|| (file.dev(), file.ino()))
    };
    let stdout = id(Path::new("/proc/self/fd/1"));
    let is_stdout = |output: &&Output| match &output.kind {
        OutputKind::Stream(stream) => stream.target == StreamTarget::Stdout,
        kind => stdout.is_some() && kind.only_file().and_then(|path| id(&path)) == stdout,
    };
    let count = config.outputs.iter().filter(is_stdout).count();
    StdoutOutputs { is_taken: count > 0, is_all: count > 0 && count == config.outputs.len() }
}

/// Returns whether the reader of standard output has gone.
fn is_stdout_closed() -> bool {
    let stdout = io::stdout();
    let mut entries = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut entries, Some(&now)).is_ok()
        && entries[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use args::Cli;

    use super::*;

    #[test]
    fn the_arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_example_is_valid_and_has_every_table() {
        let config = Config::from_toml(Path::new("example"), EXAMPLE)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !config.enis.is_empty()
                && !config.filters.is_empty()
                && !config.filters[0].rules.is_empty()
        );
        assert!(!config.sessions.is_empty() && !config.outputs.is_empty());
    }
}
