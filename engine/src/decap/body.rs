//! Bytes behind a header: how many were sent, how many are here, and how many there were before
//! somebody cut them.

use vxtap_ebpf::parse::{Bytes, Datagram};

use super::{EncapFlags, Inner, Layer, Link, UDP_LEN};
use crate::drop_reason::DropReason;
use crate::vni::Vni;

pub(super) const ETHERNET_LEN: usize = 14;
const VLAN_TAG_LEN: usize = 4;
/// RFC 791 section 3.1, without options.
const IPV4_LEN: usize = 20;
/// RFC 8200 section 3.
const IPV6_LEN: usize = 40;

/// A stretch of an outer frame. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadSpan {
    /// Where it starts in the outer frame.
    pub(super) start: usize,
    /// How much of it is here; at most `sent`.
    here: usize,
    /// How much of it was sent.
    sent: usize,
}

impl PayloadSpan {
    /// The payload of a datagram in a frame of which `here_len` bytes are here.
    pub(super) fn of(datagram: &Datagram, here_len: usize) -> Self {
        let start = datagram.udp_offset + UDP_LEN;
        let sent = usize::from(datagram.udp_len).saturating_sub(UDP_LEN);
        Self { start, here: here_len.saturating_sub(start).min(sent), sent }
    }

    /// As much of it as `outer` has.
    pub(super) const fn end(&self) -> usize {
        self.start + self.here
    }

    /// What follows the header of `len` bytes that it begins with; `None` if not all of the header
    /// is here.
    pub(super) fn behind(self, len: usize) -> Option<Self> {
        let here = self.here.checked_sub(len)?;
        Some(Self { start: self.start + len, here, sent: self.sent - len })
    }

    /// Its first bytes; `None` if they are not all here.
    pub(super) fn array<const N: usize>(&self, head: &[u8]) -> Option<[u8; N]> {
        if self.here < N { None } else { head.array(self.start) }
    }

    /// The inner frame, if that is what this is.
    ///
    /// # Errors
    ///
    /// [`DropReason::InnerTruncated`] if there is not even a link or IP header.
    pub(super) fn inner(
        self,
        head: &[u8],
        layer: Layer,
        vni: Vni,
        shape: EncapFlags,
    ) -> Result<Inner, DropReason> {
        let len_min = match shape.link() {
            Link::Ethernet => ETHERNET_LEN,
            Link::Ip => IPV4_LEN,
        };
        if self.here < len_min {
            return Err(DropReason::InnerTruncated);
        }
        let frame = &head[self.start.min(head.len())..self.end().min(head.len())];
        let original = match shape.link() {
            Link::Ethernet => ip_end(frame),
            Link::Ip => ip_len(frame, 0, ether_type_of(frame)),
        };
        Ok(Inner {
            source: layer.source,
            vni,
            shape,
            outer_ip: layer.outer_ip,
            start: self.start,
            captured_len: self.here,
            original_len: original.unwrap_or(0).max(self.sent),
        })
    }
}

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

/// Where the IP packet in an Ethernet frame ends by its own account, counted from the start of the
/// frame, which may be beyond the bytes that are here. `None` if it is not IP, or its length field
/// is cut off or zero (an IPv6 jumbogram says its length elsewhere).
#[inline]
fn ip_end(frame: &[u8]) -> Option<usize> {
    const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

    let mut ip = ETHERNET_LEN;
    let mut ether_type = u16::from_be_bytes(frame.array(ip - 2)?);
    for _ in 0..2 {
        if !VLAN.contains(&ether_type) {
            break;
        }
        ip += VLAN_TAG_LEN;
        ether_type = u16::from_be_bytes(frame.array(ip - 2)?);
    }
    ip_len(frame, ip, ether_type).map(|len| ip + len)
}

/// Length of the IP packet at `ip` by its own account, as for [`ip_end`].
fn ip_len(frame: &[u8], ip: usize, ether_type: u16) -> Option<usize> {
    let len = match ether_type {
        IPV4 => usize::from(u16::from_be_bytes(frame.array(ip + 2)?)),
        IPV6 => match u16::from_be_bytes(frame.array(ip + 4)?) {
            0 => 0,
            payload => IPV6_LEN + usize::from(payload),
        },
        _ => 0,
    };
    (len > 0).then_some(len)
}

/// The `EtherType` that belongs to the version of an IP packet; 0 if it is none.
fn ether_type_of(packet: &[u8]) -> u16 {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => IPV4,
        Some(6) => IPV6,
        _ => 0,
    }
}
