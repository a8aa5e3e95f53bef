//! Arguments and help texts of the command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use vxtap::config::{Capture, Problem};

/// Receives mirrored VXLAN traffic and delivers the original frames.
#[derive(Debug, Parser)]
#[command(name = "vxtap", version, arg_required_else_help = true)]
#[command(
    long_about = "Receives mirrored VXLAN traffic through AF_XDP, removes the tunnel headers, and delivers the \
                     original frames to traffic analysis tools."
)]
#[command(
    after_help = "Exit codes: 0 all went well, 1 failed while running, 2 wrong usage or configuration, or a missing input."
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
    /// Removes the tunnel headers from the frames of a capture file. Needs no privileges.
    #[command(after_help = DECAP_EXAMPLES)]
    Decap(DecapArgs),
    /// Explains for each frame of a capture file its session, the rule that decides, and its
    /// outputs. Needs no privileges.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Makes a configuration from the output of AWS CLI, Terraform or CloudFormation. Needs no
    /// privileges.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Tells a running engine to read its configuration file again.
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(ReloadArgs),
    /// Shows the frames of a running engine: one line for each, or a capture for other programs.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(TailArgs),
    /// Prints a configuration to start from.
    Config(ConfigArgs),
}

const RUN_EXAMPLES: &str = "\
Without a configuration, or with one that has no output, every frame is written to the file
vxtap-INTERFACE-TIME.pcapng in the working directory, where TIME is the time of the start in UTC.

SIGHUP and `vxtap reload` read the configuration file again and apply its sessions, filters and outputs without losing a
frame. Without a configuration file SIGHUP ends the engine, as SIGINT and SIGTERM do. SIGUSR1 rotates the pcapng files.

Examples:
  vxtap run -i eth1                  Every session on eth1, to a file in the working directory.
  vxtap run -c vxtap.toml            As configured.
  vxtap run -i eth2 -c vxtap.toml    The same on another interface.
  vxtap run -i eth1 -i eth2          Both interfaces, in one engine.";

const CHECK_EXAMPLES: &str = "\
Example:
  vxtap check -c vxtap.toml";

const DECAP_EXAMPLES: &str = "\
The configuration gives the sessions and the UDP ports; its interface and outputs are not used.

Examples:
  vxtap decap mirror.pcap -o original.pcapng
  vxtap decap mirror.pcapng.gz -o original.pcapng -c vxtap.toml
  ssh monitor cat mirror.pcap | vxtap decap - -o - | tcpdump -nr -";

const EXPLAIN_EXAMPLES: &str = "\
The capture file holds mirrored frames with their tunnel headers. The configuration is that of the engine; no output is
written. With --live the frames are those that arrive at a running engine, until a signal, and the configuration is its own
unless another one is given.

Examples:
  vxtap explain mirror.pcap -c vxtap.toml           Frame by frame, then a summary.
  vxtap explain mirror.pcap -c vxtap.toml --flow    Flow by flow, then a summary.
  vxtap explain mirror.pcap -c vxtap.toml --json | jq 'select(.verdict == \"reject\")'
  vxtap explain --live --count 100                  Frames that arrive now.";

const IMPORT_EXAMPLES: &str = "\
The configuration goes to standard output, a list of the parts that were left out to standard error. Files may be given in
any order and may hold several JSON documents; without a file, or with -, standard input is read.

Examples:
  vxtap import aws filters.json sessions.json interfaces.json > mirror.toml
      with the output of `aws ec2 describe-traffic-mirror-filters`, `-sessions`, `describe-network-interfaces`,
      and optionally `-filter-rules`, `-targets` and `describe-vpcs`
  vxtap import aws --target eni-0f9 *.json > mirror.toml     Only sessions that send to this interface.
  terraform show -json | vxtap import terraform > mirror.toml
  vxtap import cloudformation template.yaml > mirror.toml";

const RELOAD_EXAMPLES: &str = "\
Prints the changes, or the reason why nothing has changed. The engine has to run in this network namespace and to have been
started with a configuration file.

Examples:
  vxtap reload             The only engine of this network namespace.
  vxtap reload -i eth1     The engine that captures from eth1.";

const TAIL_EXAMPLES: &str = "\
The engine has to run in this network namespace and as this user, unless root asks. The frames shown
are those that pass the filters of their sessions, independently of the outputs; with --outer, all
that reach the engine. A slow reader loses frames, the outputs do not; the number of lost frames is
printed at the end.

Examples:
  vxtap tail                             A line for each frame on a terminal.
  vxtap tail -s web | tcpdump -nr -      The frames of one session.
  vxtap tail -s vni-102@10.0.1.3         Those of a pair that no session declares.
  vxtap tail | wireshark -k -i -
  vxtap tail --format pcap | zeek -Cr -
  vxtap tail --count 1000 > some.pcapng
  vxtap tail --outer > mirror.pcapng     With tunnel headers, and what was dropped.";

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The interface that the engine captures from.
    #[arg(short, long, value_parser = interface_name)]
    pub(super) interface: Option<String>,
    /// Only the frames of the session with this name; may be repeated. `default` is the session of
    /// undeclared traffic, `vni-102@10.0.1.3` the traffic with this VNI and outer source address.
    #[arg(short, long, value_name = "NAME", value_parser = session_name)]
    pub(super) session: Vec<String>,
    /// The outer frames as they arrived, dropped ones included, with the drop reason in the comment
    /// of the packet: a capture for `vxtap explain`.
    #[arg(long, conflicts_with = "session")]
    pub(super) outer: bool,
    /// Output format; by default `text` on a terminal, else `pcapng`.
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<TailFormat>,
    /// Ends after this number of frames.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Refused with the option that is meant: tail(1) has it.
    #[arg(short = 'n', hide = true, value_parser = instead_of_lines)]
    lines: Option<String>,
}

/// Output format of `vxtap tail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TailFormat {
    /// A pcapng capture in which each session is an interface.
    Pcapng,
    /// A pcap capture, without session names.
    Pcap,
    /// One line for each frame.
    Text,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The interface that receives the mirrored traffic; may be repeated. Takes precedence over
    /// `capture.interface`.
    #[arg(short, long, value_parser = interface_name)]
    pub(super) interface: Vec<String>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Reports counts every second on standard output, for programs: one JSON object per line, and
    /// a last one with the whole account; the table goes to standard error.
    #[arg(long, value_name = "FORMAT")]
    pub(super) progress: Option<ProgressFormat>,
}

/// Format of the progress reports of `vxtap run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressFormat {
    /// One JSON object per line, with counts since the start.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct DecapArgs {
    /// The capture file to read, pcap or pcapng, also compressed with gzip or zstd; `-` is standard
    /// input.
    #[arg(value_name = "IN")]
    pub(super) input: PathBuf,
    /// The pcapng file to write; `-` is standard output.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: PathBuf,
    /// The configuration file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The capture file to read, pcap or pcapng, also compressed with gzip or zstd; `-` is standard
    /// input.
    #[arg(value_name = "CAPTURE", required_unless_present = "live")]
    pub(super) input: Option<PathBuf>,
    /// The configuration file; `-` is standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "live")]
    pub(super) config: Option<PathBuf>,
    /// Reads the outer frames of a running engine instead of a file, as `vxtap tail --outer` shows
    /// them.
    #[arg(long, conflicts_with = "input")]
    pub(super) live: bool,
    /// With --live, the interface that the engine captures from.
    #[arg(short, long, value_parser = interface_name, requires = "live")]
    pub(super) interface: Option<String>,
    /// With --live, ends after this number of frames.
    #[arg(long, value_name = "NUMBER", requires = "live", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// One line for all frames of a flow with the same session, direction and outcome.
    #[arg(long, conflicts_with = "json")]
    pub(super) flow: bool,
    /// One JSON object per frame and line, without a summary.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Tool whose output is read.
    #[arg(value_name = "SOURCE")]
    pub(super) source: ImportSource,
    /// The files to read.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Only sessions that send to this target: its id, or the id or ARN of the interface, load
    /// balancer or endpoint.
    #[arg(long, value_name = "ID")]
    pub(super) target: Option<String>,
    /// Writes the configuration to this file, which is replaced atomically.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
}

/// Tool whose output `vxtap import` reads.
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

fn instead_of_lines(number: &str) -> Result<String, String> {
    let frames = if number == "1" { "frame" } else { "frames" };
    Err(format!("to end after {number} {frames}, say --count {number}"))
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
