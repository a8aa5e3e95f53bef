//! The VXLAN header, RFC 7348 section 5, and VXLAN-GPE, which names the inner protocol.
//!
//! ```text
//!   0               1               2               3
//!   | R R R R I R R R |          reserved, 24 bits               |
//!   |          VNI, 24 bits                        | reserved, 8 |
//! ```

use vxtap_ebpf::wire::plain::{self, Pattern};

use super::{EncapFlags, Inner, Layer, PayloadSpan, UDP_LEN};
use crate::drop_reason::DropReason;
use crate::vni::Vni;

pub(crate) const VXLAN_LEN: usize = 8;

/// The first word of a header of which only the I flag is set: the VNI field is valid.
const ONLY_VNI: u32 = 0x0800_0000;
/// [`ONLY_VNI`] behind a plain UDP header.
pub(super) const ONLY_VNI_IS_SET: Pattern =
    Pattern::new(plain::TRANSPORT_OFFSET + UDP_LEN, u32::MAX, ONLY_VNI);
const VNI_IS_VALID: u8 = 0x08;

/// Opens a VXLAN header. "The I flag MUST be set to 1 for a valid VXLAN Network ID"; the other bits
/// are "ignored on receipt": they are noted in the flags and change nothing else.
pub(super) fn open(head: &[u8], layer: Layer, payload: PayloadSpan) -> Result<Inner, DropReason> {
    let (header, inside) = header(head, payload)?;
    let reserved = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) ^ ONLY_VNI;
    let encap = if reserved == 0 && header[7] == 0 {
        EncapFlags::VXLAN
    } else {
        EncapFlags::VXLAN.with_reserved_bits()
    };
    inside.inner(head, layer, vni(header), encap)
}

/// Opens a VXLAN-GPE header (draft-ietf-nvo3-vxlan-gpe-12, section 3): flags `R R Ver I P B O`, and
/// the inner protocol in the fourth byte. Without the P flag it is VXLAN.
pub(super) fn open_gpe(
    head: &[u8],
    layer: Layer,
    payload: PayloadSpan,
) -> Result<Inner, DropReason> {
    const VERSION: u8 = 0x30;
    const HAS_PROTOCOL: u8 = 0x04;
    const IS_CONTROL: u8 = 0x01;
    let (header, inside) = header(head, payload)?;
    if header[0] & HAS_PROTOCOL == 0 {
        return open(head, layer, payload);
    }
    if header[0] & (VERSION | IS_CONTROL) != 0 {
        return Err(DropReason::TunnelProtocol);
    }
    let encap = match header[3] {
        1 | 2 => EncapFlags::VXLAN.with_ip(),
        3 => EncapFlags::VXLAN,
        _ => return Err(DropReason::TunnelProtocol),
    };
    inside.inner(head, layer, vni(header), encap)
}

fn header(head: &[u8], payload: PayloadSpan) -> Result<([u8; VXLAN_LEN], PayloadSpan), DropReason> {
    let header: [u8; VXLAN_LEN] = payload.array(head).ok_or(DropReason::TunnelTruncated)?;
    let inside = payload.behind(VXLAN_LEN).ok_or(DropReason::TunnelTruncated)?;
    if header[0] & VNI_IS_VALID == 0 {
        return Err(DropReason::VxlanWithoutVni);
    }
    Ok((header, inside))
}

const fn vni(header: [u8; VXLAN_LEN]) -> Vni {
    Vni::from_bytes([header[4], header[5], header[6]])
}
