//! What the XDP program does, for frames from a capture file: the same parser, without a kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use vxtap_ebpf::maps::Outcome;
use vxtap_ebpf::parse::{self, Refusal, Source};

use crate::config::TunnelPort;

/// What the program would do with the frame.
pub(crate) fn steer(frame: &[u8], ports: &[TunnelPort], allowed: &[IpNet]) -> Outcome {
    let datagram = match parse::udp_datagram(frame) {
        Ok(datagram) => datagram,
        Err(Refusal::NotUdp) => return Outcome::NotOurs,
        Err(Refusal::Fragment) => return Outcome::Fragment,
        Err(Refusal::Malformed) => return Outcome::Malformed,
        Err(Refusal::TooManyExtensions) => return Outcome::TooManyExtensions,
    };
    if !ports.iter().any(|port| port.number == datagram.destination_port) {
        return Outcome::NotOurs;
    }
    let source = match datagram.source {
        Source::V4(address) => IpAddr::from(address),
        Source::V6(address) => IpAddr::from(address),
    };
    if !allowed.is_empty() && !allowed.iter().any(|prefix| prefix.contains(&source)) {
        return Outcome::SourceNotAllowed;
    }
    Outcome::Redirected
}

/// The name of the counter that stands for the outcome.
pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Redirected => "redirected",
        Outcome::NotOurs => "not_ours",
        Outcome::NoSocket => "no_socket",
        Outcome::Fragment => "fragment",
        Outcome::Malformed => "malformed",
        Outcome::TooManyExtensions => "too_many_extensions",
        Outcome::SourceNotAllowed => "source_not_allowed",
        Outcome::Unstamped => "unstamped",
    }
}
