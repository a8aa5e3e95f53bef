//! Description of the traffic to make.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

pub use crate::mirror_session::{MirrorSession, SessionTextError};
use crate::outer_headers;
pub use crate::outer_headers::{Ipv6Checksum, OuterHeaders};
pub use crate::sizes::{MAX_INNER_LEN, Sizes, SizesError};

/// Most flows in a session. Each has a client port of its own out of the 16 384 of the dynamic
/// range (49152-65535, RFC 6335 section 6), which IANA does not assign, so that dissectors seldom
/// take the filler for another protocol.
pub const MAX_FLOWS_PER_SESSION: u32 = 16_384;

/// Most flows of a profile; each takes about 100 bytes in the generator and again in the verifier.
pub const MAX_FLOWS: u64 = 1 << 22;

/// Most sessions of a profile: the payload tag's session index has 16 bits.
pub const MAX_SESSIONS: usize = 1 << 16;

/// Traffic to make; the same profile gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Addresses, ports, filler and the order of flows follow from it.
    pub seed: u64,
    /// The mirror sessions, 1 to [`MAX_SESSIONS`] different ones.
    pub sessions: Vec<MirrorSession>,
    /// Inner flows in each session, 1 to [`MAX_FLOWS_PER_SESSION`].
    pub flows_per_session: u32,
    /// Weights of the protocols.
    pub mix: ProtocolMix,
    /// Share of the flows that use IPv6 inside, in percent, 0 to 100.
    pub ipv6_percent: u8,
    /// Lengths of the inner frames.
    pub sizes: Sizes,
    /// Frames to make before the traffic ends; `None`: it does not end by itself.
    pub count: Option<u64>,
    /// The tunnel around the inner frames.
    pub outer: OuterHeaders,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            seed: 1,
            sessions: MirrorSession::numbered(8, IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 100),
            flows_per_session: 16,
            mix: ProtocolMix::default(),
            ipv6_percent: 20,
            sizes: Sizes::Imix,
            count: None,
            outer: OuterHeaders::default(),
        }
    }
}

impl Profile {
    /// Checks every limit of the fields.
    ///
    /// # Errors
    /// The first violated limit.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.sessions.is_empty() || self.sessions.len() > MAX_SESSIONS {
            return Err(ProfileError::Sessions { count: self.sessions.len() });
        }
        if !(1..=MAX_FLOWS_PER_SESSION).contains(&self.flows_per_session) {
            return Err(ProfileError::FlowsPerSession { count: self.flows_per_session });
        }
        let flows = self.sessions.len() as u64 * u64::from(self.flows_per_session);
        if flows > MAX_FLOWS {
            return Err(ProfileError::Flows { count: flows });
        }
        if self.ipv6_percent > 100 {
            return Err(ProfileError::Ipv6Percent { percent: self.ipv6_percent });
        }
        if self.mix.total() == 0 {
            return Err(ProfileError::EmptyMix);
        }
        self.sizes.check()?;
        self.check_sessions()
    }

    /// Returns the least MTU, in bytes, of an interface that takes the longest frame.
    pub fn mtu_min(&self) -> usize {
        let inner = self.sizes.lengths().iter().copied().max().unwrap_or_default();
        let outer = self.sessions.iter().map(|session| outer_headers::len(session.source)).max();
        // Without the outer Ethernet header.
        outer.unwrap_or_default() + usize::from(inner) - 14
    }

    fn check_sessions(&self) -> Result<(), ProfileError> {
        let mut seen = HashSet::new();
        for session in &self.sessions {
            if session.vni > 0xFF_FFFF {
                return Err(ProfileError::Vni { vni: session.vni });
            }
            if !seen.insert(session) {
                return Err(ProfileError::SessionTwice { session: *session });
            }
        }
        Ok(())
    }
}

/// Shares of the protocols among the flows, as weights: of every `total` flows, `tcp` speak TCP and
/// so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolMix {
    /// TCP segments with plain payload.
    pub tcp: u16,
    /// UDP datagrams with plain payload.
    pub udp: u16,
    /// DNS queries to the VPC resolver and its responses.
    pub dns: u16,
    /// ICMP or `ICMPv6` echo requests and replies.
    pub icmp: u16,
}

impl Default for ProtocolMix {
    fn default() -> Self {
        Self { tcp: 60, udp: 25, dns: 10, icmp: 5 }
    }
}

impl ProtocolMix {
    /// Sum of the weights.
    pub fn total(&self) -> u32 {
        let Self { tcp, udp, dns, icmp } = *self;
        [tcp, udp, dns, icmp].into_iter().map(u32::from).sum()
    }
}

impl FromStr for ProtocolMix {
    type Err = ProfileError;

    /// Reads `tcp=60,udp=25,dns=10,icmp=5`; a protocol that is not named has no flows.
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let unreadable = |part: &str| ProfileError::MixText { text: part.to_owned() };
        let mut mix = Self { tcp: 0, udp: 0, dns: 0, icmp: 0 };
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or_else(|| unreadable(part))?;
            let weight = weight.trim().parse().ok().ok_or_else(|| unreadable(part))?;
            match name.trim() {
                "tcp" => mix.tcp = weight,
                "udp" => mix.udp = weight,
                "dns" => mix.dns = weight,
                "icmp" => mix.icmp = weight,
                _ => return Err(unreadable(part)),
            }
        }
        if mix.total() == 0 { Err(ProfileError::EmptyMix) } else { Ok(mix) }
    }
}

/// Reason why a profile cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProfileError {
    /// No session, or more than the payload tag can number.
    #[error("{count} sessions: give 1 to {MAX_SESSIONS}")]
    Sessions {
        /// The given number.
        count: usize,
    },
    /// No flow, or more than there are client ports.
    #[error("{count} flows per session: give 1 to {MAX_FLOWS_PER_SESSION}")]
    FlowsPerSession {
        /// The given number.
        count: u32,
    },
    /// More flows than the generator's table holds.
    #[error("{count} flows in all: sessions times flows per session may be {MAX_FLOWS} at most")]
    Flows {
        /// Sessions times flows per session.
        count: u64,
    },
    /// More than everything.
    #[error("{percent} percent of IPv6: give 0 to 100")]
    Ipv6Percent {
        /// The value given.
        percent: u8,
    },
    /// All weights are zero.
    #[error("the protocol mix has no weight above 0: name at least one of tcp, udp, dns, icmp")]
    EmptyMix,
    /// A part of the mix that is not `protocol=weight`.
    #[error(
        "`{text}` is no part of a protocol mix: write for example tcp=60,udp=25 (weights 0 to 65535)"
    )]
    MixText {
        /// The part.
        text: String,
    },
    /// A VNI of more than 24 bits.
    #[error("VNI {vni} does not fit 24 bits: the largest is 16777215")]
    Vni {
        /// The value given.
        vni: u32,
    },
    /// Two identical sessions.
    #[error("the session {session} is given twice: each pair of source and VNI may be given once")]
    SessionTwice {
        /// The session.
        session: MirrorSession,
    },
    /// Frame lengths that cannot be used.
    #[error(transparent)]
    Sizes(#[from] SizesError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_mtu_takes_the_longest_frame_with_its_tunnel() {
        let mut profile = Profile::default();
        assert_eq!(profile.mtu_min(), 1550, "1514 bytes in VXLAN over IPv4");
        profile.sizes = Sizes::Fixed(100);
        profile.sessions.extend(MirrorSession::numbered(1, "fd00::1".parse().expect("valid"), 1));
        assert_eq!(profile.mtu_min(), 100 + 40 + 8 + 8);
    }
}
