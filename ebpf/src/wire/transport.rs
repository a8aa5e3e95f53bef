//! The transport header behind the IP headers.

use super::Bytes;

/// IANA's number of TCP.
pub const TCP: u8 = 6;
/// IANA's number of UDP.
pub const UDP: u8 = 17;
/// IANA's number of SCTP.
pub const SCTP: u8 = 132;

/// Length of a UDP header, RFC 768.
pub const UDP_HEADER_LEN: usize = 8;

/// Source and destination port, host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl Ports {
    /// Reads the ports of the TCP, UDP or SCTP header at `offset`, which are its first four bytes;
    /// `None` if the frame ends before.
    #[inline]
    pub fn read<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<Self> {
        let [s0, s1, d0, d1] = bytes.array(offset)?;
        Some(Self {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
        })
    }
}

/// A UDP header.
#[derive(Clone, Copy, Debug)]
pub struct UdpHeader([u8; UDP_HEADER_LEN]);

impl UdpHeader {
    /// Reads the header at `offset`; `None` if it ends early.
    #[inline]
    pub fn read<B: Bytes + ?Sized>(bytes: &B, offset: usize) -> Option<Self> {
        bytes.array(offset).map(Self)
    }

    /// Returns the destination port, host byte order.
    #[inline]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Returns the length field: header and payload, as sent. A valid one is at least 8.
    #[inline]
    pub const fn datagram_len(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }
}
