//! The command line: arguments, exit codes and error messages.

mod check;
mod clock;
mod decap;
mod load;
mod progress;
mod run;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand};
use vxtap::config::{Capture, Config, OutputKind, Problem};
use vxtap::engine::Report;

/// Exit code of an engine that failed while it was running.
const FAILED: u8 = 1;
/// Exit code of a command that was not understood, or whose configuration is refused. clap uses the same.
const REFUSED: u8 = 2;

/// Receives mirrored VXLAN traffic and hands out the original frames.
#[derive(Debug, Parser)]
#[command(name = "vxtap", version, arg_required_else_help = true)]
#[command(
    long_about = "Receives mirrored VXLAN traffic through AF_XDP, takes the tunnel off, and hands the original \
                        frames to the tools that look at traffic."
)]
#[command(
    after_help = "Exit codes: 0 all went well, 1 it failed while running, 2 wrong usage or configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the engine on an interface until SIGINT or SIGTERM.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Checks a configuration and prints what the engine would do. Needs no privileges.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Takes the tunnel off the frames of a capture file. Needs no privileges.
    #[command(after_help = DECAP_EXAMPLES)]
    Decap(DecapArgs),
}

const RUN_EXAMPLES: &str = "\
Without a configuration, or with one that has no output, every frame is written to the file
vxtap-INTERFACE-TIME.pcapng in the working directory, where TIME is the time of the start in UTC.

Examples:
  vxtap run -i eth1                  Every session of eth1, to a file in the working directory.
  vxtap run -c vxtap.toml            What the configuration says.
  vxtap run -i eth2 -c vxtap.toml    The same on another interface.";

const CHECK_EXAMPLES: &str = "\
Example:
  vxtap check -c vxtap.toml";

const DECAP_EXAMPLES: &str = "\
The configuration gives the sessions and the UDP ports; its interface and outputs are not used.

Examples:
  vxtap decap mirror.pcap -o original.pcapng
  vxtap decap mirror.pcapng -o original.pcapng -c vxtap.toml";

#[derive(Debug, Args)]
struct RunArgs {
    /// The interface that receives the mirrored traffic. Takes precedence over `capture.interface`.
    #[arg(short, long, value_parser = interface_name)]
    interface: Option<String>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reports once a second on standard output, for programs: a JSON object per line.
    #[arg(long, value_name = "FORMAT")]
    progress: Option<ProgressFormat>,
}

/// How `vxtap run` reports while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ProgressFormat {
    /// A JSON object per line, with counts since the start.
    Json,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct DecapArgs {
    /// The capture file to read, pcap or pcapng.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The pcapng file to write.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// It was not understood or its configuration is refused; nothing was touched.
    Refused(anyhow::Error),
    /// It failed while it was running.
    Failed(anyhow::Error),
}

/// Runs the command that the arguments ask for. Wrong arguments end the process with [`REFUSED`] and a usage text.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => {
            let format = args.progress;
            load::for_run(args).and_then(|config| run::run(config, format))
        }
        Command::Check(args) => check(&args),
        Command::Decap(args) => load::for_decap(&args).and_then(|config| decap::decap(config, &args.input)),
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

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let config = load::read(&args.config)?;
    let text = check::describe(&config).map_err(|error| Failure::Refused(error.into()))?;
    print(&format!("{} is accepted.\n\n{text}", args.config.display()))
        .map_err(|error| Failure::Failed(anyhow!("cannot write to standard output: {error}")))
}

/// Prints a text. A reader that has gone away, as `head` does, had enough: that is no error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints the conservation table: on standard output, or on standard error if frames go to standard output.
fn print_table(report: &Report, stdout_is_taken: bool) -> Result<(), Failure> {
    let text = report.to_string();
    if stdout_is_taken {
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
        return Ok(());
    }
    print(&text).map_err(|error| Failure::Failed(anyhow!("cannot write to standard output: {error}")))
}

/// Whether an output's file is what standard output is connected to. Terminals and `/dev/null` take both.
fn writes_to_stdout(config: &Config) -> bool {
    let id = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        (!file.file_type().is_char_device()).then(|| (file.dev(), file.ino()))
    };
    let Some(stdout) = id(Path::new("/proc/self/fd/1")) else { return false };
    config.outputs.iter().any(|output| match &output.kind {
        OutputKind::Pcapng { path } => id(path) == Some(stdout),
        OutputKind::Consumer => false,
    })
}

fn interface_name(name: &str) -> Result<String, Problem> {
    Capture::check_interface_name(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }
}
