//! Infers if a frame goes to the mirrored interface or comes from it.
//!
//! No header has the direction, unless the mirror marks its frames (a profile). The evidence, the
//! most reliable first:
//!
//! 1. the interface's MAC address is the source or the destination of the frame,
//! 2. one of the interface's addresses is the source or the destination of the packet,
//! 3. the address that the mirror sends from, which is the interface's primary one, is.
//!
//! Evidence that is on both sides, or on neither, is inconclusive, and the next one is used. The
//! MAC address is not learned from traffic: a sender to the mirrored interface could plant a wrong
//! one, and so choose the rules for its traffic.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Direction, Eni};
use crate::flow::{Addresses, Flow};
use crate::session::SessionKey;

/// Evidence that a direction was inferred from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionEvidence {
    /// The bit that the mirror sets in the VXLAN header, by its profile.
    Mark,
    /// The interface's MAC address.
    Mac,
    /// One of the interface's addresses or prefixes.
    Address,
    /// The address that the mirror sends from.
    OuterSource,
}

/// Addresses of a mirrored interface, in the form in which frames are compared with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Identity {
    mac: Option<[u8; 6]>,
    addresses: Box<[IpNet]>,
}

const MAC_LEN: usize = 6;

impl Identity {
    pub(crate) fn new(eni: &Eni) -> Self {
        Self { mac: eni.mac.map(|mac| mac.0), addresses: eni.addresses.clone().into() }
    }

    /// Infers the direction of an inner frame, and returns it with the evidence. `source` is the
    /// address that the mirror sends from.
    #[expect(clippy::inline_always, reason = "a call costs 34 instructions per filtered frame")]
    #[inline(always)]
    pub(crate) fn infer(
        &self,
        frame: &[u8],
        flow: Option<&Flow>,
        source: SessionKey,
    ) -> Option<(Direction, DirectionEvidence)> {
        if let Some(direction) = self.mac.and_then(|mac| by_mac(mac, frame)) {
            return Some((direction, DirectionEvidence::Mac));
        }
        let addresses = &flow?.addresses;
        if !self.addresses.is_empty()
            && let Some(direction) = self.by_address(addresses)
        {
            return Some((direction, DirectionEvidence::Address));
        }
        by_outer_source(source, addresses)
            .map(|direction| (direction, DirectionEvidence::OuterSource))
    }

    fn by_address(&self, addresses: &Addresses) -> Option<Direction> {
        let has = |address: IpAddr| self.addresses.iter().any(|prefix| prefix.contains(&address));
        one_side(has(addresses.source()), has(addresses.destination()))
    }
}

#[inline]
fn by_mac(mac: [u8; MAC_LEN], frame: &[u8]) -> Option<Direction> {
    let (destination, rest) = frame.split_first_chunk::<MAC_LEN>()?;
    one_side(*rest.first_chunk::<MAC_LEN>()? == mac, *destination == mac)
}

/// Infers the direction of a packet by the address that the mirror sends from.
#[inline]
pub(crate) fn by_outer_source(source: SessionKey, addresses: &Addresses) -> Option<Direction> {
    match *addresses {
        Addresses::V4 { source: from, destination: to } => {
            let outer = source.v4()?;
            one_side(from == outer, to == outer)
        }
        Addresses::V6 { source: from, destination: to } => {
            let outer = source.v6()?;
            one_side(from == outer, to == outer)
        }
    }
}

/// Returns the direction of a frame whose source, destination, both or neither match.
const fn one_side(at_source: bool, at_destination: bool) -> Option<Direction> {
    match (at_source, at_destination) {
        (true, false) => Some(Direction::Egress),
        (false, true) => Some(Direction::Ingress),
        _ => None,
    }
}
