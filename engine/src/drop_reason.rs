//! Why a datagram that reached a worker was not delivered.

use std::fmt;

/// The reasons, in the order in which a frame can meet them. A datagram is counted under the first
/// that applies, and under one only, so that received = delivered + the sum over all reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The kernel handed over a descriptor that names no chunk of ours.
    BadDescriptor,
    /// A frame in several chunks that never became whole, or that lies in more chunks than any
    /// network's frame needs.
    FrameChain,
    /// Outer headers end early or contradict themselves.
    OuterMalformed,
    /// A fragment of an outer datagram that was kept until the others come. What has become of it
    /// is in the account of the fragments: the datagram, once it is whole, counts as the one of its
    /// fragments that came last.
    FragmentKept,
    /// A fragment of an outer datagram that is of no use: malformed, repeated, overlapping, or
    /// without room to wait; the account of the fragments says which.
    FragmentRefused,
    /// Not UDP outside.
    NotUdp,
    /// The datagram is too short for its tunnel headers: 8 bytes for VXLAN, 8 and the options for
    /// GENEVE.
    TunnelTruncated,
    /// The VXLAN header's I flag is not set, so it has no valid VNI (RFC 7348, section 5).
    VxlanWithoutVni,
    /// The GENEVE header has another version than 0, or options that do not fit the length that it
    /// says (RFC 8926, sections 3.4 and 3.5).
    GeneveMalformed,
    /// The tunnel carries a control message, or something that is neither Ethernet nor IP.
    TunnelProtocol,
    /// What is inside is too short for an Ethernet header of 14 bytes, or for an IP header of 20.
    InnerTruncated,
    /// No session is declared for its source and VNI, and such traffic is configured to be dropped.
    UnknownSession,
    /// Traffic with Amazon's DNS server, and the session's filter does not list the service.
    AmazonDns,
    /// Whether it goes to the mirrored interface or comes from it cannot be inferred, and such
    /// frames are configured to be dropped.
    DirectionUnknown,
    /// The first rule of the session's filter that it matches rejects it.
    RuleRejected,
    /// It matches no rule of the session's filter.
    NoRuleMatched,
    /// No output is configured, or none for its session.
    NoOutput,
    /// The ring of every output that was to get it was full.
    OutputFull,
}

impl DropReason {
    /// All reasons, in order.
    pub const ALL: [Self; 18] = [
        Self::BadDescriptor,
        Self::FrameChain,
        Self::OuterMalformed,
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

    /// Those that a session's filter gives.
    pub const OF_FILTERS: [Self; 4] =
        [Self::AmazonDns, Self::DirectionUnknown, Self::RuleRejected, Self::NoRuleMatched];

    /// The name used in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadDescriptor => "bad_descriptor",
            Self::FrameChain => "frame_chain",
            Self::OuterMalformed => "outer_malformed",
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

/// A count for each [`DropReason`].
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

    /// Datagrams counted under `reason`.
    pub const fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Datagrams counted under any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds the counts of another.
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
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
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
