//! Ethernet with up to two VLAN tags.

use super::{Bytes, u16_at};

/// Length of an Ethernet header without VLAN tags.
pub const HEADER_LEN: usize = 14;
/// Length of the two addresses, in front of the `EtherType`.
pub const ADDRESSES_LEN: usize = 12;

/// `EtherType` of IPv4.
pub const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub const IPV6: u16 = 0x86dd;

/// `EtherType`s of VLAN tags: IEEE 802.1Q, `IEEE 802.1ad` (the outer tag of two), and the value
/// that equipment used for the outer tag before 802.1ad.
pub const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG_LEN: usize = 4;
const VLAN_TAGS_MAX: usize = 2;

/// The payload of an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `EtherType` behind the VLAN tags.
    pub ether_type: u16,
    /// Start of the payload.
    pub offset: usize,
}

/// Returns the payload behind up to two VLAN tags; `None` if the frame ends before. A third tag is
/// the payload.
#[inline]
pub fn payload<B: Bytes + ?Sized>(frame: &B) -> Option<Payload> {
    let mut offset = ADDRESSES_LEN;
    let mut ether_type = u16_at(frame, offset)?;
    for _ in 0..VLAN_TAGS_MAX {
        if !VLAN.contains(&ether_type) {
            break;
        }
        offset += VLAN_TAG_LEN;
        ether_type = u16_at(frame, offset)?;
    }
    Some(Payload { ether_type, offset: offset + 2 })
}

/// Returns the start of the IP header in a frame; `None` if it carries neither IPv4 nor IPv6.
pub fn ip_offset<B: Bytes + ?Sized>(frame: &B) -> Option<usize> {
    let Payload { ether_type, offset } = payload(frame)?;
    matches!(ether_type, IPV4 | IPV6).then_some(offset)
}
