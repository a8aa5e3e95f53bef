//! Decapsulation: finds the mirrored frame in an outer one.
//!
//! Handles VXLAN (RFC 7348, section 5), VXLAN-GPE, GENEVE (RFC 8926), and VXLAN in GENEVE, as AWS's
//! Gateway Load Balancer sends it. No checksum is verified: AWS leaves the outer one at zero, and
//! inner ones of cut frames are not filled in. Allowed sources, sessions and filters are decided
//! elsewhere.

mod encapsulation;
mod geneve;
mod payload_span;
mod ports;
#[cfg(test)]
mod tests;
mod vxlan;

use vxtap_ebpf::parse::{self, Refusal, Source};
use vxtap_ebpf::wire::plain::{self, Pattern};
pub(crate) use vxtap_ebpf::wire::transport::UDP_HEADER_LEN as UDP_LEN;
use vxtap_ebpf::wire::{ethernet, ipv4, ipv6};

use crate::config::Tunnel;
use crate::drop_reason::DropReason;
use crate::vni::Vni;
pub(crate) use encapsulation::EncapFlags;
pub use encapsulation::{Encapsulation, Link};
pub(crate) use geneve::{GENEVE_LEN, options_of};
pub use geneve::{GeneveOption, GeneveOptions, Gwlb};
use payload_span::PayloadSpan;
pub(crate) use ports::Ports;
pub(crate) use vxlan::VXLAN_LEN;

/// Place of the mirrored frame in the outer one. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    /// Source address of the IP header around the VXLAN header, or around the GENEVE header if
    /// there is no VXLAN header.
    pub(crate) source: Source,
    /// VNI of the same tunnel header.
    pub(crate) vni: Vni,
    /// Tunnel headers and kind of inner frame.
    pub(crate) encap: EncapFlags,
    /// Start of the outermost IP header in the outer frame.
    pub(crate) outer_ip: usize,
    /// Start of the inner frame in the outer frame. The last tunnel header ends here.
    pub(crate) start: usize,
    /// Bytes of the inner frame that are present.
    pub(crate) captured_len: usize,
    /// Length that the inner frame had before it was cut; never less than `captured_len`.
    pub(crate) original_len: usize,
}

/// Bytes of outer Ethernet, IPv4 without options, UDP, VXLAN and inner Ethernet header, and of an
/// inner IPv4 or IPv6 header up to and including its length field.
const PLAIN_LEN: usize = plain::TRANSPORT_OFFSET + UDP_LEN + VXLAN_LEN + ethernet::HEADER_LEN + 6;

/// Decapsulates VXLAN for almost all mirrored traffic, in a few instructions: to `port`, untagged
/// outside and inside, whole, IPv4 without options outside, no reserved bits set, IP inside.
/// Returns `None` for everything else, malformed frames included, and otherwise the result of
/// [`tunnel`] with VXLAN on that port.
#[inline]
pub(crate) fn plain_vxlan(outer: &[u8], port: u16) -> Option<Inner> {
    let head: &[u8; PLAIN_LEN] = outer.first_chunk()?;
    let be16 = |at| usize::from(plain::be16(head, at));
    let be32 = |at| plain::be32(head, at);
    // All at once, for a single branch.
    let difference = Pattern::IPV4_WITHOUT_OPTIONS.difference(head)
        | Pattern::WHOLE_UDP.difference(head)
        | vxlan::ONLY_VNI_IS_SET.difference(head)
        | u32::from(head[49]);
    let (ip_len, port_and_len) = (be16(16), be32(36));
    let udp_len = (port_and_len & 0xffff) as usize;
    let is_ours = port_and_len >> 16 == u32::from(port);
    if difference != 0
        || !is_ours
        || udp_len + ipv4::HEADER_LEN_MIN > ip_len
        || udp_len + plain::TRANSPORT_OFFSET < PLAIN_LEN
    {
        return None;
    }
    let original_len = match plain::be16(head, 62) {
        ethernet::IPV4 => ethernet::HEADER_LEN + be16(66),
        ethernet::IPV6 if be16(68) > 0 => ethernet::HEADER_LEN + ipv6::HEADER_LEN + be16(68),
        _ => return None,
    };
    let sent_len = udp_len - UDP_LEN - VXLAN_LEN;
    Some(Inner {
        source: Source::V4([head[26], head[27], head[28], head[29]]),
        vni: Vni::of_word(be32(46)),
        encap: EncapFlags::VXLAN,
        outer_ip: plain::IP_OFFSET,
        start: 50,
        captured_len: sent_len.min(outer.len() - 50),
        original_len: original_len.max(sent_len),
    })
}

/// Decapsulates an outer Ethernet frame. `head` holds all headers that are read: the whole frame,
/// or the first chunk of one that has `here_len` bytes in all.
///
/// # Errors
///
/// The drop reason of the datagram.
pub(crate) fn tunnel(head: &[u8], here_len: usize, ports: &Ports) -> Result<Inner, DropReason> {
    let datagram = parse::udp_datagram(head).map_err(|refusal| match refusal {
        Refusal::NotUdp => DropReason::NotUdp,
        Refusal::Fragment => DropReason::FragmentRefused,
        Refusal::Malformed | Refusal::TooManyExtensions => DropReason::OuterMalformed,
    })?;
    let outer = Layer { source: datagram.source, outer_ip: datagram.ip_offset };
    let payload = PayloadSpan::of(&datagram, here_len);
    match ports.tunnel(datagram.destination_port) {
        Tunnel::Vxlan => vxlan::open(head, outer, payload),
        Tunnel::VxlanGpe => vxlan::open_gpe(head, outer, payload),
        Tunnel::Geneve => geneve::open(head, outer, payload, ports),
    }
}

/// The IP header in front of a tunnel header.
#[derive(Clone, Copy, Debug)]
struct Layer {
    source: Source,
    /// Start of the outermost IP header in the outer frame.
    outer_ip: usize,
}
