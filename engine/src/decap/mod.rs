//! From the outer frame to the inner one. Which bytes of this datagram are the mirrored frame?
//!
//! Takes off VXLAN (RFC 7348, section 5), VXLAN-GPE, GENEVE (RFC 8926), and VXLAN in GENEVE, as
//! AWS's Gateway Load Balancer sends it. Looks at no checksum: AWS leaves the outer one at zero,
//! and inner ones of cut frames are not filled in. Says nothing about who may send or who wants the
//! frame.

mod body;
mod geneve;
mod ports;
mod shape;
#[cfg(test)]
mod tests;
mod vxlan;

use vxtap_ebpf::parse::{self, Refusal, Source};

use crate::config::Tunnel;
use crate::drop_reason::DropReason;
use crate::vni::Vni;
use body::PayloadSpan;
pub(crate) use geneve::{GENEVE_LEN, options_of};
pub use geneve::{GeneveOption, GeneveOptions, Gwlb};
pub(crate) use ports::Ports;
pub(crate) use shape::EncapFlags;
pub use shape::{Encapsulation, Link};
pub(crate) use vxlan::VXLAN_LEN;

/// UDP header in bytes.
pub(crate) const UDP_LEN: usize = 8;

/// Where the mirrored frame lies in the outer one. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    /// Who sent the mirror: source address of the IP header around the VXLAN header, or the GENEVE
    /// header if there is no other.
    pub(crate) source: Source,
    /// Which of its mirrors: of the same header.
    pub(crate) vni: Vni,
    /// What the tunnel is made of, and what is inside.
    pub(crate) shape: EncapFlags,
    /// Start of the outermost IP header in the outer frame.
    pub(crate) outer_ip: usize,
    /// Start of the inner frame in the outer frame. The last tunnel header ends here.
    pub(crate) start: usize,
    /// Length of the inner frame, as far as it is here.
    pub(crate) captured_len: usize,
    /// Length that the inner frame had before it was cut; never less than `captured_len`.
    pub(crate) original_len: usize,
}

/// Bytes of outer Ethernet, IPv4 without options, UDP, VXLAN and inner Ethernet header, and of an
/// inner IPv4 or IPv6 header up to and including its length field.
const PLAIN_LEN: usize = 14 + 20 + UDP_LEN + VXLAN_LEN + body::ETHERNET_LEN + 6;

/// Takes the VXLAN tunnel off what almost all mirrored traffic looks like, in a few instructions:
/// to `port`, untagged outside and inside, whole, IPv4 without options outside, no reserved bits
/// set, IP inside. `None` for everything else, the malformed included; never says anything else
/// than [`tunnel`] with VXLAN on that port.
#[inline]
pub(crate) fn plain_vxlan(outer: &[u8], port: u16) -> Option<Inner> {
    let head: &[u8; PLAIN_LEN] = outer.first_chunk()?;
    let be16 = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let be32 = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // EtherType, version and header length; then flags, fragment offset, TTL and protocol.
    let raw = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // EtherType, version and header length; then flags, fragment offset, TTL and protocol. Compared
    // as they lie in memory, and all at once: one branch.
    let odd = (raw(12) & 0xffff_ff00_u32.to_be() ^ 0x0800_4500_u32.to_be())
        | (raw(20) & 0x3fff_00ff_u32.to_be() ^ 0x0000_0011_u32.to_be())
        | (raw(42) ^ vxlan::ONLY_VNI.to_be())
        | u32::from(head[49]);
    let (ip_len, port_and_len) = (be16(16), be32(36));
    let udp_len = (port_and_len & 0xffff) as usize;
    let is_ours = port_and_len >> 16 == u32::from(port);
    if odd != 0 || !is_ours || udp_len + 20 > ip_len || udp_len + 34 < PLAIN_LEN {
        return None;
    }
    let original_len = match be16(62) {
        0x0800 => body::ETHERNET_LEN + be16(66),
        0x86dd if be16(68) > 0 => body::ETHERNET_LEN + 40 + be16(68),
        _ => return None,
    };
    let sent_len = udp_len - UDP_LEN - VXLAN_LEN;
    Some(Inner {
        source: Source::V4([head[26], head[27], head[28], head[29]]),
        vni: Vni::of_word(be32(46)),
        shape: EncapFlags::VXLAN,
        outer_ip: 14,
        start: 50,
        captured_len: sent_len.min(outer.len() - 50),
        original_len: original_len.max(sent_len),
    })
}

/// Takes the tunnel off an outer Ethernet frame. `head` has its headers, at least as far as they
/// are read: the whole frame, or the first chunk of one that has `here_len` bytes in all.
///
/// # Errors
///
/// The reason to count the datagram under.
pub(crate) fn tunnel(head: &[u8], here_len: usize, ports: &Ports) -> Result<Inner, DropReason> {
    let datagram = parse::udp_datagram(head).map_err(|refusal| match refusal {
        Refusal::NotUdp => DropReason::NotUdp,
        Refusal::Fragment => DropReason::FragmentRefused,
        Refusal::Malformed | Refusal::TooManyExtensions => DropReason::OuterMalformed,
    })?;
    let outer = Layer { source: datagram.source, outer_ip: datagram.ip_offset };
    let body = PayloadSpan::of(&datagram, here_len);
    match ports.tunnel(datagram.destination_port) {
        Tunnel::Vxlan => vxlan::open(head, outer, body),
        Tunnel::VxlanGpe => vxlan::open_gpe(head, outer, body),
        Tunnel::Geneve => geneve::open(head, outer, body, ports),
    }
}

/// The IP header in front of a tunnel header.
#[derive(Clone, Copy, Debug)]
struct Layer {
    source: Source,
    /// Start of the outermost IP header in the outer frame.
    outer_ip: usize,
}
