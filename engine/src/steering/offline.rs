//! Steers frames from a capture file as the XDP program does, by the same parsers, without a
//! kernel.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;
use vxtap_ebpf::fragment::{self, FragmentKey};
use vxtap_ebpf::maps::{FRAGMENTS_MAX, Outcome};
use vxtap_ebpf::parse::{self, Refusal, Source};

use crate::config::{Capture, FragmentMode, TunnelPort};

/// Steers frames as the program would.
#[derive(Debug)]
pub(crate) struct Offline {
    ports: Vec<TunnelPort>,
    allowed: Vec<IpNet>,
    steers_fragments: bool,
    /// Packets whose first fragment was steered, and the order in which they are forgotten.
    remembered: HashSet<FragmentKey>,
    order: VecDeque<FragmentKey>,
    /// Frames to other UDP ports, by port.
    other_ports: HashMap<u16, u64>,
}

impl Offline {
    pub(crate) fn new(capture: &Capture) -> Self {
        Self {
            ports: capture.ports.clone(),
            allowed: capture.allowed_sources.clone(),
            steers_fragments: capture.fragments == FragmentMode::Reassemble,
            remembered: HashSet::new(),
            order: VecDeque::new(),
            other_ports: HashMap::new(),
        }
    }

    /// Returns the outcome that the program would count for the frame.
    pub(crate) fn steer(&mut self, frame: &[u8]) -> Outcome {
        let source = match parse::udp_datagram(frame) {
            Ok(datagram) if self.is_ours(datagram.destination_port) => datagram.source,
            Ok(datagram) => {
                *self.other_ports.entry(datagram.destination_port).or_default() += 1;
                return Outcome::NotOurs;
            }
            Err(Refusal::NotUdp) => return Outcome::NotOurs,
            Err(Refusal::Fragment) => match self.source_of_fragment(frame) {
                Some(source) => source,
                None => return Outcome::Fragment,
            },
            Err(Refusal::Malformed) => return Outcome::Malformed,
            Err(Refusal::TooManyExtensions) => return Outcome::TooManyExtensions,
        };
        let source = match source {
            Source::V4(address) => IpAddr::from(address),
            Source::V6(address) => IpAddr::from(address),
        };
        if !self.allowed.is_empty() && !self.allowed.iter().any(|prefix| prefix.contains(&source)) {
            return Outcome::SourceNotAllowed;
        }
        Outcome::Redirected
    }

    /// Returns the UDP ports of frames that went to none of ours, with their numbers of frames, the
    /// most frequent port first.
    pub(crate) fn other_ports(&self) -> Vec<(u16, u64)> {
        let mut ports: Vec<_> =
            self.other_ports.iter().map(|(port, frames)| (*port, *frames)).collect();
        ports.sort_unstable_by_key(|&(port, frames)| (Reverse(frames), port));
        ports
    }

    fn is_ours(&self, port: u16) -> bool {
        self.ports.iter().any(|ours| ours.number == port)
    }

    /// Returns the source of a fragment that is to be steered.
    fn source_of_fragment(&mut self, frame: &[u8]) -> Option<Source> {
        let fragment = fragment::fragment(frame).filter(|_| self.steers_fragments)?;
        let is_ours = match fragment.destination_port {
            Some(port) if self.is_ours(port) => {
                self.remember(fragment.key);
                true
            }
            Some(_) => {
                if self.remembered.remove(&fragment.key) {
                    self.order.retain(|key| *key != fragment.key);
                }
                false
            }
            None => self.remembered.contains(&fragment.key),
        };
        is_ours.then_some(fragment.source)
    }

    fn remember(&mut self, key: FragmentKey) {
        if self.remembered.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > FRAGMENTS_MAX as usize
            && let Some(oldest) = self.order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
    }
}
