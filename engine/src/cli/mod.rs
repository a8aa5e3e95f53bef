//! The command line: arguments, exit codes and error messages.

mod args;
mod check;
mod control;
mod decap;
mod explain;
mod files;
mod import;
mod load;
mod progress;
mod run;
mod tail;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser as _;
use vxtap::config::{Config, OutputKind, StreamTarget};
use vxtap::engine::Report;

use args::{CheckArgs, Cli, Command};

/// Exit code of an engine that failed while it was running.
const FAILED: u8 = 1;
/// Exit code of a command that was not understood, or whose configuration is refused. clap uses the
/// same.
const REFUSED: u8 = 2;

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// It was not understood or its configuration is refused; nothing was touched.
    Refused(anyhow::Error),
    /// It failed while it was running.
    Failed(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) | Self::Failed(error) => error.fmt(f),
        }
    }
}

/// Runs the command that the arguments ask for. Wrong arguments end the process with [`REFUSED`]
/// and a usage text.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
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
        Command::Reload(args) => control::reload(args.interface.as_deref()),
        Command::Tail(args) => tail::tail(&args),
        Command::Config(_) => example(),
    };
    let (code, error) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(error)) => (REFUSED, error),
        Err(Failure::Failed(error)) => (FAILED, error),
    };
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    let _ = writeln!(io::stderr(), "vxtap: {error}");
    ExitCode::from(code)
}

/// The configuration that the documentation explains, with its comments.
const EXAMPLE: &str = include_str!("../../examples/vxtap.toml");

fn example() -> Result<(), Failure> {
    print(EXAMPLE).map_err(cannot_print)
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let config = load::read(&args.config)?;
    let text = check::describe(&config).map_err(|error| Failure::Refused(error.into()))?;
    print(&format!("{} is accepted.\n\n{text}", args.config.display())).map_err(cannot_print)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn cannot_print(error: io::Error) -> Failure {
    Failure::Failed(anyhow!("cannot write to standard output: {error}"))
}

/// Prints a text. A reader that has gone away, as `head` does, had enough: that is no error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// A line for the operator, on standard error.
fn say(line: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "vxtap: {line}");
}

/// Prints the conservation table: on standard output, or on standard error if frames go to standard
/// output.
fn print_table(report: &Report, stdout_is_taken: bool) -> Result<(), Failure> {
    let text = report.to_string();
    if stdout_is_taken {
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
        return Ok(());
    }
    print(&text).map_err(cannot_print)
}

/// Whether frames go to standard output. Of a file that an output writes, terminals and `/dev/null`
/// take both.
fn writes_to_stdout(config: &Config) -> bool {
    let id = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        (!file.file_type().is_char_device()).then(|| (file.dev(), file.ino()))
    };
    let stdout = id(Path::new("/proc/self/fd/1"));
    config.outputs.iter().any(|output| match &output.kind {
        OutputKind::Stream(stream) => stream.target == StreamTarget::Stdout,
        kind => stdout.is_some() && kind.only_file().and_then(|path| id(&path)) == stdout,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
