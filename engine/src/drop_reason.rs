//! Reasons why a datagram that reached a worker was not delivered.

use std::fmt;

/// Reason why a datagram was not delivered, in the order in which the reasons are checked. A
/// datagram is counted under the first reason that applies, so that received = delivered + the sum
/// over all reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The kernel delivered a descriptor that is not of a chunk of the UMEM.
    BadDescriptor,
    /// A frame in several chunks that was never completed, or that has more chunks than any frame
    /// needs.
    IncompleteFrame,
    /// The outer headers end early or contradict each other.
    OuterMalformed,
    /// The outer headers are longer than a chunk. `memory.chunk_size` says how long chunks are.
    OuterTooLong,
    /// A fragment of an outer datagram that is kept until the others arrive. The counters of the
    /// reassembly tell its outcome; a completed datagram counts as the fragment that arrived last.
    FragmentKept,
    /// A fragment of an outer datagram that cannot be used: malformed, repeated, overlapping, or
    /// without room to wait. The counters of the reassembly tell which.
    FragmentRefused,
    /// The outer packet is not UDP.
    NotUdp,
    /// The datagram is too short for its tunnel headers: 8 bytes for VXLAN, 8 and the options for
    /// GENEVE.
    TunnelTruncated,
    /// The VXLAN header's I flag is not set, so it has no valid VNI (RFC 7348, section 5).
    VxlanWithoutVni,
    /// The GENEVE header has a version other than 0, or its options do not fit their length (RFC
    /// 8926, sections 3.4 and 3.5).
    GeneveMalformed,
    /// The tunnel carries a control message, or neither Ethernet nor IP.
    TunnelProtocol,
    /// The inner frame is too short for an Ethernet header of 14 bytes, or the inner packet for an
    /// IP header of 20.
    InnerTruncated,
    /// No session is declared for its source and VNI, and such traffic is configured to be dropped.
    UnknownSession,
    /// Traffic with Amazon's DNS server, and the session's filter does not list the service.
    AmazonDns,
    /// Its direction cannot be inferred, and such frames are configured to be dropped.
    DirectionUnknown,
    /// The first matching rule of the session's filter rejects it.
    RuleRejected,
    /// No rule of the session's filter matches.
    NoRuleMatched,
    /// No output is configured, or none for its session.
    NoOutput,
    /// The rings of all outputs that it is routed to were full.
    OutputFull,
}

impl DropReason {
    /// All reasons, in order.
    pub const ALL: [Self; 19] = [
        Self::BadDescriptor,
        Self::IncompleteFrame,
        Self::OuterMalformed,
        Self::OuterTooLong,
        Self::FragmentKept,
        Self::FragmentRefused,
        Self::NotUdp,
        Self::TunnelTruncated,
        Self::VxlanWithoutVni,
        Self::GeneveMalformed,
        Self::TunnelProtocol,
        Self::InnerTruncated,
        Self::UnknownSession,
        Self::AmazonDns,
        Self::DirectionUnknown,
        Self::RuleRejected,
        Self::NoRuleMatched,
        Self::NoOutput,
        Self::OutputFull,
    ];

    /// Reasons given by a session's filter.
    pub const OF_FILTERS: [Self; 4] =
        [Self::AmazonDns, Self::DirectionUnknown, Self::RuleRejected, Self::NoRuleMatched];

    /// Returns the name in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadDescriptor => "bad_descriptor",
            Self::IncompleteFrame => "incomplete_frame",
            Self::OuterMalformed => "outer_malformed",
            Self::OuterTooLong => "outer_too_long",
            Self::FragmentKept => "fragment_kept",
            Self::FragmentRefused => "fragment_refused",
            Self::NotUdp => "not_udp",
            Self::TunnelTruncated => "tunnel_truncated",
            Self::VxlanWithoutVni => "vxlan_without_vni",
            Self::GeneveMalformed => "geneve_malformed",
            Self::TunnelProtocol => "tunnel_protocol",
            Self::InnerTruncated => "inner_truncated",
            Self::UnknownSession => "unknown_session",
            Self::AmazonDns => "amazon_dns",
            Self::DirectionUnknown => "direction_unknown",
            Self::RuleRejected => "rule_rejected",
            Self::NoRuleMatched => "no_rule_matched",
            Self::NoOutput => "no_output",
            Self::OutputFull => "output_full",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A counter for each [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Counts one datagram.
    #[inline]
    pub(crate) const fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `number` datagrams.
    pub(crate) const fn add(&mut self, reason: DropReason, number: u64) {
        self.0[reason as usize] += number;
    }

    /// Returns the number of datagrams counted under `reason`.
    pub const fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Returns the number of datagrams counted under any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds other counters.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn counts_add_up() {
        let mut drops = Drops::default();
        drops.count(DropReason::OutputFull);
        let mut sum = drops;
        sum.merge(&drops);
        assert_eq!(
            (sum.get(DropReason::OutputFull), sum.get(DropReason::NotUdp), sum.total()),
            (2, 0, 2)
        );
    }
}
