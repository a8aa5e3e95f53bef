//! What the command line is made of.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use vxtap::config::{Capture, Problem};

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
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the engine on an interface until SIGINT or SIGTERM.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Checks a configuration and prints what the engine would do. Needs no privileges.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Takes the tunnel off the frames of a capture file. Needs no privileges.
    #[command(after_help = DECAP_EXAMPLES)]
    Decap(DecapArgs),
    /// Says of each frame of a capture file whose it is, which rule decides about it, and where it
    /// goes. Needs no privileges.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Makes a configuration of what AWS's own tools say about a mirror. Needs no privileges.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Tells a running engine to read its configuration file again.
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(ReloadArgs),
    /// Shows the frames that pass through a running engine: a line for each, or a capture for other
    /// programs.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(TailArgs),
    /// Prints a configuration to start from.
    Config(ConfigArgs),
}

const RUN_EXAMPLES: &str = "\
Without a configuration, or with one that has no output, every frame is written to the file
vxtap-INTERFACE-TIME.pcapng in the working directory, where TIME is the time of the start in UTC.

SIGHUP and `vxtap reload` read the configuration file again and take over its sessions, filters and outputs without losing
a frame. Without a configuration file SIGHUP ends the engine, as SIGINT and SIGTERM do. SIGUSR1 ends the files that are being
written and begins others.

Examples:
  vxtap run -i eth1                  Every session of eth1, to a file in the working directory.
  vxtap run -c vxtap.toml            What the configuration says.
  vxtap run -i eth2 -c vxtap.toml    The same on another interface.
  vxtap run -i eth1 -i eth2          Both interfaces, in one engine.";

const CHECK_EXAMPLES: &str = "\
Example:
  vxtap check -c vxtap.toml";

const DECAP_EXAMPLES: &str = "\
The configuration gives the sessions and the UDP ports; its interface and outputs are not used.

Examples:
  vxtap decap mirror.pcap -o original.pcapng
  vxtap decap mirror.pcapng -o original.pcapng -c vxtap.toml";

const EXPLAIN_EXAMPLES: &str = "\
The capture file holds mirrored frames, with their tunnel. The configuration is that of the engine; nothing is written.

Examples:
  vxtap explain mirror.pcap -c vxtap.toml           Frame by frame, then a summary.
  vxtap explain mirror.pcap -c vxtap.toml --flow    Flow by flow, then a summary.
  vxtap explain mirror.pcap -c vxtap.toml --json | jq 'select(.verdict == \"reject\")'";

const IMPORT_EXAMPLES: &str = "\
The configuration goes to standard output, what was left out of it to standard error. Files may come in any order, and
hold several JSON documents; without one, or as -, standard input is read.

Examples:
  vxtap import aws filters.json sessions.json interfaces.json > mirror.toml
      where each file is what `aws ec2 describe-traffic-mirror-filters`, `-sessions`, `describe-network-interfaces`,
      and if wanted `-filter-rules`, `-targets` and `describe-vpcs` printed
  vxtap import aws --target eni-0f9 *.json > mirror.toml     Only what is sent to this interface.
  terraform show -json | vxtap import terraform > mirror.toml
  vxtap import cloudformation template.yaml > mirror.toml";

const RELOAD_EXAMPLES: &str = "\
Prints what has changed, or why nothing has. The engine has to run in this network namespace, and to have been started with
a configuration file.

Examples:
  vxtap reload             The engine that runs here, if there is only one.
  vxtap reload -i eth1     The one that captures from eth1.";

const TAIL_EXAMPLES: &str = "\
The engine has to run in this network namespace, as this user or to be asked by root. Frames are shown that pass the filters of their
sessions, whatever outputs there are. Who is slow loses frames, and no output any; what was lost is said at the end.

Examples:
  vxtap tail                             A line for each frame on a terminal.
  vxtap tail -s web | tcpdump -nr -      The frames of one session.
  vxtap tail | wireshark -k -i -
  vxtap tail --format pcap | zeek -Cr -
  vxtap tail --count 1000 > some.pcapng";

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The interface that the engine captures from.
    #[arg(short, long, value_parser = interface_name)]
    pub(super) interface: Option<String>,
    /// Only the frames of the session with this name; once for each, if there are several.
    /// `default` is what no session declares.
    #[arg(short, long, value_name = "NAME", value_parser = session_name)]
    pub(super) session: Vec<String>,
    /// What is written: by default `text` on a terminal, else `pcapng`.
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<TailFormat>,
    /// Ends after so many frames.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
}

/// What `vxtap tail` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TailFormat {
    /// A capture, in which each session is an interface.
    Pcapng,
    /// A capture for programs that read nothing else.
    Pcap,
    /// A line for each frame.
    Text,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The interface that receives the mirrored traffic; once for each, if there are several. Takes
    /// precedence over `capture.interface`.
    #[arg(short, long, value_parser = interface_name)]
    pub(super) interface: Vec<String>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Reports once a second on standard output, for programs: a JSON object per line.
    #[arg(long, value_name = "FORMAT")]
    pub(super) progress: Option<ProgressFormat>,
}

/// How `vxtap run` reports while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressFormat {
    /// A JSON object per line, with counts since the start.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct DecapArgs {
    /// The capture file to read, pcap or pcapng.
    #[arg(value_name = "IN")]
    pub(super) input: PathBuf,
    /// The pcapng file to write.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: PathBuf,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The capture file to read, pcap or pcapng.
    #[arg(value_name = "CAPTURE")]
    pub(super) input: PathBuf,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Frames of one flow, in one session and direction, that meet the same fate are one line.
    #[arg(long, conflicts_with = "json")]
    pub(super) flow: bool,
    /// A JSON object per frame and line, and no summary.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Whose output it is.
    #[arg(value_name = "SOURCE")]
    pub(super) source: ImportSource,
    /// The files to read.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Only sessions that send to this target: its id, or the id or ARN of the interface, load
    /// balancer or endpoint.
    #[arg(long, value_name = "ID")]
    pub(super) target: Option<String>,
    /// Writes the configuration to this file, which appears when it is whole.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
}

/// What `vxtap import` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ImportSource {
    /// JSON of `aws ec2 describe-...`.
    Aws,
    /// JSON of `terraform show -json`.
    Terraform,
    /// CloudFormation templates, YAML or JSON.
    Cloudformation,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// The interface that the engine captures from.
    #[arg(short, long, value_parser = interface_name)]
    pub(super) interface: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Prints the example that the documentation explains.
    #[arg(long, required = true)]
    pub(super) example: bool,
}

fn session_name(name: &str) -> Result<String, &'static str> {
    if name.chars().any(char::is_control) {
        Err("names have no control characters")
    } else {
        Ok(name.to_owned())
    }
}

fn interface_name(name: &str) -> Result<String, Problem> {
    Capture::check_interface_name(name).map(|()| name.to_owned())
}
