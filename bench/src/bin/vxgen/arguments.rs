//! The command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use vxtap_bench::profile::{Ipv6Checksum, OuterHeaders, ProtocolMix, Sizes};
use vxtap_bench::{MirrorSession, Pace, Profile};

use crate::send_method::{LiveArguments, SendMethod};

/// Makes mirrored VXLAN traffic from a seed, plays capture files, and verifies what arrived.
#[derive(Debug, Parser)]
#[command(name = "vxgen", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generates traffic, to an interface or to a capture file.
    Run(RunArguments),
    /// Plays a pcap or pcapng file to an interface.
    Play(PlayArguments),
    /// Checks inner frames in capture files against the profile that made them.
    ///
    /// Give the seed, sessions, flows, mix, IPv6 share and sizes of `vxgen run`. Exit code 0: every
    /// frame arrived as it was sent; 1: not so.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    #[command(flatten)]
    pub(crate) outer: OuterArguments,
    #[command(flatten)]
    pub(crate) sink: SinkArguments,
    #[command(flatten)]
    pub(crate) live: LiveArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Frames per second (2500, 100kpps, 1mpps), or full
    #[arg(long, default_value = "full")]
    pub(crate) rate: Pace,
    /// Prints the totals as one JSON object; bytes include the tunnel's, the time is in nanoseconds
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlayArguments {
    /// Capture file of Ethernet frames, sent as they are
    pub(crate) file: PathBuf,
    /// Interface to send on, in this network namespace
    #[arg(long, short)]
    pub(crate) interface: String,
    /// Frames per second (2500, 100kpps, 1mpps), full, or recorded: as the file has them
    #[arg(long, default_value = "recorded")]
    pub(crate) rate: Pace,
    /// Number of times to play it
    #[arg(long, default_value = "1")]
    pub(crate) loops: NonZeroU32,
    /// Time to stop after, as 10s, 500ms or 2m
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Frames that were sent; without it, losses at the end of a flow stay unseen
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Capture files with inner frames, as vxtap writes them
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Parameters of the inner frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traffic")]
pub(crate) struct ProfileArguments {
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of mirror sessions; addresses and VNIs go up by one
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    sessions: u32,
    /// Outer source address of the first session, IPv4 or IPv6
    #[arg(long, value_name = "ADDRESS", default_value = "10.0.1.1")]
    outer_source: IpAddr,
    /// VNI of the first session
    #[arg(long, value_name = "VNI", default_value_t = 100)]
    first_vni: u32,
    /// One session as SOURCE=VNI, instead of numbered ones; may be repeated
    #[arg(long = "session", value_name = "SOURCE=VNI")]
    #[arg(conflicts_with_all = ["sessions", "outer_source", "first_vni"])]
    listed: Vec<MirrorSession>,
    /// Inner flows per session, 1 to 16384
    #[arg(long, default_value_t = 16)]
    flows: u32,
    /// Lengths of the inner frames: imix (7:4:1 of 60, 590 and 1514 bytes), one length, or several
    /// in turn
    ///
    /// Frames too short for their headers and the payload tag are made longer: 74 bytes for UDP
    /// over IPv4, 165 for a DNS response over IPv6.
    #[arg(long, default_value = "imix")]
    sizes: Sizes,
    /// Shares of the protocols among the flows
    #[arg(long, default_value = "tcp=60,udp=25,dns=10,icmp=5")]
    mix: ProtocolMix,
    /// Share of the flows with IPv6 inside, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    ipv6_percent: u8,
}

impl ProfileArguments {
    pub(crate) fn profile(&self, outer: OuterHeaders, count: Option<u64>) -> Profile {
        let Self {
            seed,
            sessions,
            outer_source,
            first_vni,
            listed,
            flows,
            sizes,
            mix,
            ipv6_percent,
        } = self;
        let sessions = if listed.is_empty() {
            MirrorSession::numbered(*sessions, *outer_source, *first_vni)
        } else {
            listed.clone()
        };
        Profile {
            seed: *seed,
            sessions,
            flows_per_session: *flows,
            mix: *mix,
            ipv6_percent: *ipv6_percent,
            sizes: sizes.clone(),
            count,
            outer,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tunnel")]
pub(crate) struct OuterArguments {
    /// Outer destination of sessions with an IPv4 source
    #[arg(long, value_name = "ADDRESS", default_value = "10.0.0.2")]
    outer_destination: Ipv4Addr,
    /// Outer destination of sessions with an IPv6 source
    #[arg(long, value_name = "ADDRESS", default_value = "fd00::2")]
    outer_destination_v6: Ipv6Addr,
    /// Outer UDP destination port
    #[arg(long, default_value_t = 4789)]
    port: u16,
    /// Outer destination MAC address
    #[arg(long, value_name = "MAC", default_value = "02:00:00:00:00:02", value_parser = mac)]
    dst_mac: [u8; 6],
    /// Outer source MAC address
    #[arg(long, value_name = "MAC", default_value = "02:00:00:00:00:01", value_parser = mac)]
    src_mac: [u8; 6],
    /// Leaves out the outer UDP checksum over IPv6 too (RFC 6935)
    #[arg(long)]
    zero_checksum_v6: bool,
}

impl OuterArguments {
    pub(crate) const fn outer(&self) -> OuterHeaders {
        let ipv6_checksum =
            if self.zero_checksum_v6 { Ipv6Checksum::Zero } else { Ipv6Checksum::Computed };
        OuterHeaders {
            destination_mac: self.dst_mac,
            source_mac: self.src_mac,
            ipv4_destination: self.outer_destination,
            ipv6_destination: self.outer_destination_v6,
            port: self.port,
            ipv6_checksum,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Destination")]
pub(crate) struct SinkArguments {
    #[command(flatten)]
    pub(crate) target: SendTarget,
    /// Method of sending
    #[arg(long, value_enum, default_value = "packet", conflicts_with = "write")]
    pub(crate) via: SendMethod,
    /// Time of the first frame in the file, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1_700_000_000,
        conflicts_with = "interface"
    )]
    pub(crate) epoch: u64,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SendTarget {
    /// Interface to send on, in this network namespace
    #[arg(long, short)]
    pub(crate) interface: Option<String>,
    /// Capture file to write; the rate decides the times in it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
#[group(required = true, multiple = true)]
pub(crate) struct LimitArguments {
    /// Frames to make
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Time to stop after, as 10s, 500ms or 2m
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

/// Ends the program with clap's exit code for wrong usage.
pub(crate) fn usage(message: &str) -> ! {
    Arguments::command().error(ErrorKind::ArgumentConflict, message).exit()
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit());
    let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| is_byte(part));
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "write six bytes in hexadecimal, as 02:00:00:00:00:02".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    let total = number
        .parse()
        .ok()
        .and_then(|n: u64| n.checked_mul(milliseconds))
        .filter(|&total| total > 0);
    total
        .map(Duration::from_millis)
        .ok_or_else(|| "write a time above 0 as 10s, 500ms or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit_and_a_length() {
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["10", "0s", "s", "1h", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_other_than_six_bytes_are_refused() {
        assert_eq!(mac("02:00:00:00:00:fF"), Ok([2, 0, 0, 0, 0, 0xFF]));
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "+2:00:00:00:00:00", "2:0:0:0:0:0"]
        {
            assert!(mac(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_needs_a_target_and_an_end() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert!(parse("vxgen run --write x.pcap --count 1").is_ok());
        assert!(parse("vxgen run --interface x --duration 1s").is_ok());
        assert!(parse("vxgen run --count 1").is_err());
        assert!(parse("vxgen run --write x.pcap").is_err());
        assert!(parse("vxgen run --write x.pcap --interface x --count 1").is_err());
        assert!(parse("vxgen run --write x --count 1 --session 10.0.0.1=1 --sessions 2").is_err());
        assert!(parse("vxgen run --write x --count 1 --via live").is_err());
    }
}
