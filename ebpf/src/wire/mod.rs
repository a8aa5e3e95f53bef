//! The headers in front of a payload: Ethernet with VLAN tags, IPv4, IPv6 with its extension
//! headers, and the ports behind them.
//!
//! One set of readers serves the XDP program, decapsulation, flow hashing and reassembly. They
//! check only what is needed to find the next header; the callers decide what they refuse. All
//! offsets and lengths are in bytes, offsets from the first byte of the frame or packet.

pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod plain;
pub mod transport;

/// Read access to the bytes of a frame: a slice on the host, two pointers with bounds checks in the
/// kernel.
pub trait Bytes {
    /// Returns the `N` bytes at `offset`, or `None` if the frame ends before.
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    #[inline]
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// Returns the IP version of the packet at `offset`, or whatever its first four bits say; `None` if
/// the frame ends before.
#[inline]
pub fn ip_version<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<u8> {
    let [first] = bytes.array(offset)?;
    Some(first >> 4)
}

/// Returns the `EtherType` that belongs to the version of the IP packet at `offset`; `None` if it
/// is none.
#[inline]
pub fn ip_ether_type<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<u16> {
    match ip_version(bytes, offset)? {
        4 => Some(ethernet::IPV4),
        6 => Some(ethernet::IPV6),
        _ => None,
    }
}

/// Returns the length of the packet at `offset` as its header states it, which may reach beyond the
/// bytes that are present. `None` if `ether_type` is not that of IP, or if the length field is cut
/// off or zero (an IPv6 jumbogram has its length elsewhere).
#[inline]
pub fn ip_len<B: Bytes + ?Sized>(bytes: &B, offset: usize, ether_type: u16) -> Option<usize> {
    let len = match ether_type {
        ethernet::IPV4 => u16_at(bytes, offset + ipv4::TOTAL_LEN_AT)?.into(),
        ethernet::IPV6 => match u16_at(bytes, offset + ipv6::PAYLOAD_LEN_AT)? {
            0 => 0,
            payload_len => ipv6::HEADER_LEN + usize::from(payload_len),
        },
        _ => 0,
    };
    (len > 0).then_some(len)
}

#[inline]
fn u16_at<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<u16> {
    bytes.array(offset).map(u16::from_be_bytes)
}
