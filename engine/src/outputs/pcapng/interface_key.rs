//! Keys and counts of the interface blocks of a capture.

use std::net::IpAddr;

use crate::config::Direction;
use crate::decap::Link;
use crate::ring::Frame;
use crate::session::{SourceVni, Vni};

/// The fields of a frame that select its interface block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKey {
    /// Number of the session: 0 is the default session, declared ones follow in their order.
    pub session: u32,
    /// Outer source address.
    pub source: IpAddr,
    /// VNI of the tunnel, 24 bits.
    pub vni: u32,
    /// Direction of the frame at the mirrored interface, if known.
    pub direction: Option<Direction>,
    /// First header of the frame. A packet without Ethernet header gets one.
    pub link: Link,
}

impl From<&Frame<'_>> for FrameKey {
    fn from(frame: &Frame<'_>) -> Self {
        Self {
            session: frame.session().0,
            source: frame.source(),
            vni: frame.vni().get(),
            direction: frame.direction(),
            link: frame.link(),
        }
    }
}

/// Meaning of an interface block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InterfaceKey {
    /// A declared session, by its number from 1 on.
    Session(u32),
    /// A pair of the default session.
    Pair {
        /// Outer source address.
        source: IpAddr,
        /// VNI of the tunnel.
        vni: u32,
    },
    /// All pairs of the default session after the first
    /// [`PAIRS_MAX`](super::interface_table::PAIRS_MAX).
    Other,
}

/// Statistics of an interface block, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceTotals {
    /// Received.
    pub received: u64,
    /// Received, accepted by the filter, and meant for the file.
    pub accepted: u64,
    /// Meant for the file, but lost.
    pub dropped: u64,
}

/// Returns the name of an undeclared pair.
pub(super) fn pair_name(source: IpAddr, vni: u32) -> String {
    let vni = Vni::new(vni).unwrap_or_default();
    SourceVni { source, vni }.to_string()
}

/// Time from the start to the end of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    /// Nanoseconds since 1970-01-01 UTC.
    pub start_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub end_ns: u64,
}
