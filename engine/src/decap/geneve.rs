//! The GENEVE header, RFC 8926 section 3.4, its options, and what AWS's Gateway Load Balancer says
//! in them.
//!
//! ```text
//!   | Ver, 2 | Opt Len, 6, in words | O C reserved, 6 | protocol type, 16 |
//!   |              VNI, 24                             |   reserved, 8     |
//!   | option class, 16    | type, 8 | R R R, length, 5, in words | data ... |
//! ```

use vxtap_ebpf::parse::{self, Bytes};

use super::body::{IPV4, IPV6};
use super::{EncapFlags, Inner, Layer, PayloadSpan, Ports, vxlan};
use crate::drop_reason::DropReason;
use crate::vni::Vni;

/// The header without options, in bytes.
pub(crate) const GENEVE_LEN: usize = 8;
const OPTION_LEN: usize = 4;
/// Trans Ether Bridging: an Ethernet frame inside.
const ETHERNET: u16 = 0x6558;

/// Opens a GENEVE header. A critical option that nobody here knows does not keep the frame away, as
/// it would have to from a tunnel's end: options change nothing about where the frame lies, and who
/// listens wants to see it.
pub(super) fn open(
    head: &[u8],
    layer: Layer,
    body: PayloadSpan,
    ports: &Ports,
) -> Result<Inner, DropReason> {
    const IS_CONTROL: u8 = 0x80;
    let header: [u8; GENEVE_LEN] = body.array(head).ok_or(DropReason::TunnelTruncated)?;
    if header[0] >> 6 != 0 {
        return Err(DropReason::GeneveMalformed);
    }
    let inside =
        body.behind(GENEVE_LEN + options_len(header[0])).ok_or(DropReason::TunnelTruncated)?;
    let options =
        head.get(body.start + GENEVE_LEN..inside.start).ok_or(DropReason::TunnelTruncated)?;
    let options = GeneveOptions { bytes: options };
    if !options.is_well_formed() {
        return Err(DropReason::GeneveMalformed);
    }
    if header[1] & IS_CONTROL != 0 {
        return Err(DropReason::TunnelProtocol);
    }
    let vni = Vni::from_bytes([header[4], header[5], header[6]]);
    match u16::from_be_bytes([header[2], header[3]]) {
        ETHERNET => inside.inner(head, layer, vni, EncapFlags::GENEVE),
        IPV4 | IPV6 if options.are_from_aws() => match nested(head, layer, &inside, ports) {
            Some(inner) => inner,
            None => inside.inner(head, layer, vni, EncapFlags::GENEVE.with_ip()),
        },
        IPV4 | IPV6 => inside.inner(head, layer, vni, EncapFlags::GENEVE.with_ip()),
        _ => Err(DropReason::TunnelProtocol),
    }
}

/// The VXLAN tunnel in a packet that a Gateway Load Balancer has put into GENEVE; `None` if the
/// packet is something else, which then is what was mirrored. The mirror is who sent the packet
/// inside, not the load balancer.
fn nested(
    head: &[u8],
    layer: Layer,
    packet: &PayloadSpan,
    ports: &Ports,
) -> Option<Result<Inner, DropReason>> {
    let datagram = parse::udp_in_packet(head, packet.start).ok()?;
    if !ports.is_vxlan(datagram.destination_port) {
        return None;
    }
    let body = PayloadSpan::of(&datagram, packet.end());
    let layer = Layer { source: datagram.source, outer_ip: layer.outer_ip };
    let inner = vxlan::open(head, layer, body);
    Some(inner.map(|inner| Inner { shape: inner.shape.in_geneve(), ..inner }))
}

fn options_len(first: u8) -> usize {
    usize::from(first & 0x3f) * 4
}

/// The options of a GENEVE header; empty if it ends early.
pub(crate) fn options_of(header: &[u8]) -> GeneveOptions<'_> {
    let end = GENEVE_LEN + header.first().copied().map_or(0, options_len);
    GeneveOptions { bytes: header.get(GENEVE_LEN..end).unwrap_or_default() }
}

/// An option of a GENEVE header, RFC 8926 section 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneveOption<'a> {
    /// Who defines the type: a number that IANA assigns.
    pub class: u16,
    /// What the option is. The highest bit says that it is critical.
    pub kind: u8,
    /// Its data, 0 to 124 bytes, a multiple of 4.
    pub data: &'a [u8],
}

/// The options of a GENEVE header, in their order. Ends at an option that reaches beyond the
/// header.
#[derive(Clone, Debug)]
pub struct GeneveOptions<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for GeneveOptions<'a> {
    type Item = GeneveOption<'a>;

    fn next(&mut self) -> Option<GeneveOption<'a>> {
        let &[class_high, class_low, kind, len] = self.bytes.first_chunk::<OPTION_LEN>()?;
        let end = OPTION_LEN + usize::from(len & 0x1f) * 4;
        let data = self.bytes.get(OPTION_LEN..end)?;
        self.bytes = &self.bytes[end..];
        Some(GeneveOption { class: u16::from_be_bytes([class_high, class_low]), kind, data })
    }
}

/// IANA's class of AWS.
const AWS: u16 = 0x0108;

impl GeneveOptions<'_> {
    fn is_well_formed(&self) -> bool {
        let mut options = self.clone();
        options.by_ref().for_each(drop);
        options.bytes.is_empty()
    }

    fn are_from_aws(&self) -> bool {
        self.clone().any(|option| option.class == AWS)
    }

    /// What a Gateway Load Balancer says; `None` if one of its three options is missing.
    pub fn gwlb(&self) -> Option<Gwlb> {
        let data = |kind| self.clone().find(|option| option.class == AWS && option.kind == kind);
        Some(Gwlb {
            endpoint_id: u64::from_be_bytes(data(1)?.data.array(0)?),
            attachment_id: u64::from_be_bytes(data(2)?.data.array(0)?),
            flow_cookie: u32::from_be_bytes(data(3)?.data.array(0)?),
        })
    }
}

/// What AWS's Gateway Load Balancer says about a packet, in options of class 0x0108.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/integrate-appliances.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gwlb {
    /// Which endpoint it came through; option type 1.
    pub endpoint_id: u64,
    /// Which attachment of a transit gateway; 0 without one. Option type 2.
    pub attachment_id: u64,
    /// The same for all packets of a flow; option type 3.
    pub flow_cookie: u32,
}

/// `endpoint 0123456789abcdef, attachment 0000000000000000, flow cookie 01234567`.
impl std::fmt::Display for Gwlb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint_id, attachment_id, flow_cookie } = self;
        write!(
            f,
            "endpoint {endpoint_id:016x}, attachment {attachment_id:016x}, flow cookie {flow_cookie:08x}"
        )
    }
}
