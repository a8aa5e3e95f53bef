//! The outer headers of a frame, as a consumer reads them: IP, UDP and tunnel headers, still in
//! their chunk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vxtap_ebpf::parse::{self, Datagram};

use crate::decap::{
    EncapFlags, Encapsulation, GENEVE_LEN, GeneveOptions, Gwlb, UDP_LEN, VXLAN_LEN, options_of,
};
use crate::session::{SourceVni, Vni};

/// The outer headers of a frame: IP, UDP and tunnel headers, borrowed from the chunk that the frame
/// lies in. All fields are in network byte order.
#[derive(Clone, Copy, Debug)]
pub struct Outer<'a> {
    bytes: &'a [u8],
    encap: EncapFlags,
}

impl<'a> Outer<'a> {
    pub(crate) const fn new(bytes: &'a [u8], encap: EncapFlags) -> Self {
        Self { bytes, encap }
    }

    /// Returns all bytes from the start of the outermost IP header to the end of the last tunnel
    /// header. In [`CaptureMode::Socket`] the IP and UDP headers were made by vxtap from what the
    /// kernel says about the datagram.
    ///
    /// [`CaptureMode::Socket`]: crate::config::CaptureMode::Socket
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the kinds of tunnel headers.
    pub const fn encapsulation(&self) -> Encapsulation {
        self.encap.encapsulation()
    }

    /// Returns the VXLAN header: all 8 bytes of RFC 7348, section 5, the reserved bits as they
    /// came. `None` in GENEVE alone.
    pub const fn vxlan_header(&self) -> Option<[u8; VXLAN_LEN]> {
        match self.encapsulation() {
            Encapsulation::Vxlan | Encapsulation::GeneveVxlan => self.bytes.last_chunk().copied(),
            Encapsulation::Geneve => None,
        }
    }

    /// Returns the GENEVE header with its options (RFC 8926, section 3.4); empty without GENEVE.
    pub fn geneve_header(&self) -> &'a [u8] {
        if self.encapsulation() == Encapsulation::Vxlan {
            return &[];
        }
        let header = |datagram: Datagram| self.bytes.get(datagram.udp_offset + UDP_LEN..);
        let from = parse::udp_in_packet(self.bytes, 0).ok().and_then(header).unwrap_or_default();
        let options: usize = options_of(from).map(|option| 4 + option.data.len()).sum();
        from.get(..GENEVE_LEN + options).unwrap_or_default()
    }

    /// Returns the options of the GENEVE header, in their order; none without GENEVE.
    pub fn geneve_options(&self) -> GeneveOptions<'a> {
        options_of(self.geneve_header())
    }

    /// Returns the options of AWS's Gateway Load Balancer; `None` if the packet did not come
    /// through one.
    pub fn gwlb(&self) -> Option<Gwlb> {
        self.geneve_options().gwlb()
    }

    /// Returns the VNI by which the session is found: of the VXLAN header if there is one, else of
    /// the GENEVE header.
    pub fn vni(&self) -> Vni {
        let header = match self.vxlan_header() {
            Some(header) => header,
            None => self.geneve_header().first_chunk().copied().unwrap_or_default(),
        };
        Vni::from_bytes([header[4], header[5], header[6]])
    }

    /// Returns the source address by which the session is found: of the IP header around the VXLAN
    /// header if there is one, else around the GENEVE header.
    pub fn source(&self) -> IpAddr {
        let packet = match self.encapsulation() {
            Encapsulation::Vxlan | Encapsulation::Geneve => self.bytes,
            Encapsulation::GeneveVxlan => self.behind_geneve(),
        };
        let is_v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
        let v4 = || packet.get(12..)?.first_chunk::<4>();
        let v6 = || packet.get(8..)?.first_chunk::<16>();
        if is_v6 {
            v6().map_or(Ipv6Addr::UNSPECIFIED, |&address| Ipv6Addr::from(address)).into()
        } else {
            v4().map_or(Ipv4Addr::UNSPECIFIED, |&address| Ipv4Addr::from(address)).into()
        }
    }

    /// Returns source and VNI, which identify the mirror.
    pub fn source_vni(&self) -> SourceVni {
        SourceVni { source: self.source(), vni: self.vni() }
    }

    /// Returns the packet behind the GENEVE header.
    fn behind_geneve(&self) -> &'a [u8] {
        let header =
            |datagram: Datagram| Some(datagram.udp_offset + UDP_LEN + self.geneve_header().len());
        let start = parse::udp_in_packet(self.bytes, 0).ok().and_then(header);
        start.and_then(|start| self.bytes.get(start..)).unwrap_or_default()
    }
}
