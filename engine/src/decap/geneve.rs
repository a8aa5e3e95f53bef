//! The GENEVE header, RFC 8926 section 3.4, its options, and those of AWS's Gateway Load Balancer.
//!
//! ```text
//!   | Ver, 2 | Opt Len, 6, in words | O C reserved, 6 | protocol type, 16 |
//!   |              VNI, 24                             |   reserved, 8     |
//!   | option class, 16    | type, 8 | R R R, length, 5, in words | data ... |
//! ```

use vxtap_ebpf::parse;
use vxtap_ebpf::wire::Bytes;
use vxtap_ebpf::wire::ethernet::{IPV4, IPV6};

use super::{EncapFlags, Inner, Layer, PayloadSpan, Ports, vxlan};
use crate::drop_reason::DropReason;
use crate::vni::Vni;

/// The header without options, in bytes.
pub(crate) const GENEVE_LEN: usize = 8;
const OPTION_LEN: usize = 4;
/// Trans Ether Bridging: an Ethernet frame inside.
const ETHERNET: u16 = 0x6558;

/// Opens a GENEVE header. An unknown critical option does not drop the frame, as it would at a
/// tunnel endpoint: options do not change the frame's place, and a capture shows it.
pub(super) fn open(
    head: &[u8],
    layer: Layer,
    payload: PayloadSpan,
    ports: &Ports,
) -> Result<Inner, DropReason> {
    const IS_CONTROL: u8 = 0x80;
    let header: [u8; GENEVE_LEN] = payload.array(head).ok_or(DropReason::TunnelTruncated)?;
    if header[0] >> 6 != 0 {
        return Err(DropReason::GeneveMalformed);
    }
    let inside =
        payload.behind(GENEVE_LEN + options_len(header[0])).ok_or(DropReason::TunnelTruncated)?;
    let options =
        head.get(payload.start + GENEVE_LEN..inside.start).ok_or(DropReason::TunnelTruncated)?;
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

/// Opens the VXLAN tunnel in a packet that a Gateway Load Balancer has put into GENEVE. Returns
/// `None` for any other packet, which then is the mirrored one. The source is that of the packet
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
    let payload = PayloadSpan::of(&datagram, packet.end());
    let layer = Layer { source: datagram.source, outer_ip: layer.outer_ip };
    let inner = vxlan::open(head, layer, payload);
    Some(inner.map(|inner| Inner { encap: inner.encap.in_geneve(), ..inner }))
}

fn options_len(first: u8) -> usize {
    usize::from(first & 0x3f) * 4
}

/// Returns the options of a GENEVE header; none if it ends early.
pub(crate) fn options_of(header: &[u8]) -> GeneveOptions<'_> {
    let end = GENEVE_LEN + header.first().copied().map_or(0, options_len);
    GeneveOptions { bytes: header.get(GENEVE_LEN..end).unwrap_or_default() }
}

/// An option of a GENEVE header, RFC 8926 section 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneveOption<'a> {
    /// Namespace of the type, assigned by IANA.
    pub class: u16,
    /// Type of the option; the highest bit marks it as critical.
    pub kind: u8,
    /// Its data, 0 to 124 bytes, a multiple of 4.
    pub data: &'a [u8],
}

/// The options of a GENEVE header, in their order. The iterator ends at an option that reaches
/// beyond the header.
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

/// Option class that IANA has assigned to AWS.
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

    /// Returns the values of a Gateway Load Balancer; `None` if one of its three options is
    /// missing.
    pub fn gwlb(&self) -> Option<Gwlb> {
        let data = |kind| self.clone().find(|option| option.class == AWS && option.kind == kind);
        Some(Gwlb {
            endpoint_id: u64::from_be_bytes(data(1)?.data.array(0)?),
            attachment_id: u64::from_be_bytes(data(2)?.data.array(0)?),
            flow_cookie: u32::from_be_bytes(data(3)?.data.array(0)?),
        })
    }
}

/// Values that AWS's Gateway Load Balancer adds to a packet, in options of class 0x0108.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/integrate-appliances.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gwlb {
    /// Endpoint that the packet came through; option type 1.
    pub endpoint_id: u64,
    /// Attachment of a transit gateway, 0 without one; option type 2.
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
