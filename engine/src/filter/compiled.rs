//! Finds the first rule that matches a packet, in a time that hardly depends on the number of
//! rules.
//!
//! Bit vectors: each of the five fields of a packet has a row of bits, one for each rule that its
//! value satisfies (`rows`). The lowest bit that is set in all five rows is the first rule that
//! matches. In long rows a summary word has a bit for each word that is not zero, so that only
//! words in which all five rows have bits are read.
//!
//! T. V. Lakshman and D. Stiliadis, High-Speed Policy-based Packet Forwarding Using Efficient
//! Multi-dimensional Range Matching, SIGCOMM 1998; F. Baboescu and G. Varghese, Scalable Packet
//! Classification, SIGCOMM 2001.

use ipnet::IpNet;

use super::ranges;
use super::rows::{Bounds, ByAddress, ByPort, ByProtocol, lowest_common_bit};
use crate::config::{Action, PortRange, Rule};
use crate::flow::{Addresses, Flow};

/// The rules of one direction.
#[derive(Debug)]
pub(crate) struct Compiled {
    v4: Option<Family<u32>>,
    v6: Option<Family<u128>>,
}

/// The rule that decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Index in the order of evaluation.
    pub(crate) index: u32,
    /// Its action.
    pub(crate) action: Action,
}

/// The rules of one address family.
#[derive(Debug)]
struct Family<A> {
    protocol: ByProtocol,
    source: ByAddress<A>,
    destination: ByAddress<A>,
    source_ports: ByPort,
    destination_ports: ByPort,
    /// By bit.
    matches: Box<[Match]>,
}

impl Compiled {
    /// Compiles rules that are valid and in the order of evaluation, at most
    /// [`crate::config::RULES_MAX`].
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let is_v4 = |rule: &&(u32, &Rule)| matches!(rule.1.source, IpNet::V4(_));
        let (v4, v6): (Vec<_>, Vec<_>) = (0..).zip(rules).partition(|rule| is_v4(&rule));
        Self { v4: Family::new(&v4, ranges::v4), v6: Family::new(&v6, ranges::v6) }
    }

    /// Returns the first rule that matches.
    #[inline]
    pub(crate) fn first_match(&self, flow: &Flow) -> Option<Match> {
        match flow.addresses {
            Addresses::V4 { source, destination } => {
                self.v4.as_ref()?.first_match(flow, source, destination)
            }
            Addresses::V6 { source, destination } => {
                self.v6.as_ref()?.first_match(flow, source, destination)
            }
        }
    }
}

impl<A: Copy + Ord + Bounds> Family<A> {
    /// Returns `None` if there is no rule.
    fn new(rules: &[(u32, &Rule)], range: fn(&IpNet) -> (A, A)) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let addresses =
            |of: fn(&Rule) -> &IpNet| ByAddress::new(&each(rules, |rule| range(of(rule))));
        let ports = |of: fn(&Rule) -> Option<PortRange>| {
            ByPort::new(&each(rules, |rule| ranges::ports(of(rule))))
        };
        Some(Self {
            protocol: ByProtocol::new(&each(rules, |rule| ranges::protocol(rule.protocol))),
            source: addresses(|rule| &rule.source),
            destination: addresses(|rule| &rule.destination),
            source_ports: ports(|rule| rule.source_ports),
            destination_ports: ports(|rule| rule.destination_ports),
            matches: rules
                .iter()
                .map(|&(index, rule)| Match { index, action: rule.action })
                .collect(),
        })
    }

    #[inline]
    fn first_match(&self, flow: &Flow, source: A, destination: A) -> Option<Match> {
        let rows = [
            self.protocol.row(flow.protocol),
            self.source.row(source),
            self.destination.row(destination),
            self.source_ports.row(flow.ports.map(|ports| ports.source)),
            self.destination_ports.row(flow.ports.map(|ports| ports.destination)),
        ];
        lowest_common_bit(rows).map(|bit| self.matches[bit])
    }
}

/// Returns the range of one field of each rule.
fn each<V>(rules: &[(u32, &Rule)], of: impl Fn(&Rule) -> (V, V)) -> Vec<(V, V)> {
    rules.iter().map(|(_, rule)| of(rule)).collect()
}
