//! Bytes behind a header: the number that was sent, the number that is present, and the number
//! before the frame was cut.

use vxtap_ebpf::parse::Datagram;
use vxtap_ebpf::wire::{Bytes, ethernet, ip_ether_type, ip_len, ipv4};

use super::{EncapFlags, Inner, Layer, Link, UDP_LEN};
use crate::drop_reason::DropReason;
use crate::vni::Vni;

/// A stretch of an outer frame. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadSpan {
    /// Start in the outer frame.
    pub(super) start: usize,
    /// Number of bytes that are present; at most `sent`.
    here: usize,
    /// Number of bytes that were sent.
    sent: usize,
}

impl PayloadSpan {
    /// Returns the payload of a datagram in a frame of which `here_len` bytes are present.
    pub(super) fn of(datagram: &Datagram, here_len: usize) -> Self {
        let start = datagram.udp_offset + UDP_LEN;
        let sent = usize::from(datagram.udp_len).saturating_sub(UDP_LEN);
        Self { start, here: here_len.saturating_sub(start).min(sent), sent }
    }

    /// Returns the end of the bytes that are present.
    pub(super) const fn end(&self) -> usize {
        self.start + self.here
    }

    /// Returns the bytes behind the header of `len` bytes that it begins with; `None` if the header
    /// is cut.
    pub(super) fn behind(self, len: usize) -> Option<Self> {
        let here = self.here.checked_sub(len)?;
        Some(Self { start: self.start + len, here, sent: self.sent - len })
    }

    /// Returns its first bytes; `None` if they are not all present.
    pub(super) fn array<const N: usize>(&self, head: &[u8]) -> Option<[u8; N]> {
        if self.here < N { None } else { head.array(self.start) }
    }

    /// Returns the inner frame that these bytes are.
    ///
    /// # Errors
    ///
    /// [`DropReason::InnerTruncated`] if there is not even a link or IP header.
    pub(super) fn inner(
        self,
        head: &[u8],
        layer: Layer,
        vni: Vni,
        encap: EncapFlags,
    ) -> Result<Inner, DropReason> {
        let len_min = match encap.link() {
            Link::Ethernet => ethernet::HEADER_LEN,
            Link::Ip => ipv4::HEADER_LEN_MIN,
        };
        if self.here < len_min {
            return Err(DropReason::InnerTruncated);
        }
        let frame = &head[self.start.min(head.len())..self.end().min(head.len())];
        let original = match encap.link() {
            Link::Ethernet => ip_end(frame),
            Link::Ip => ip_ether_type(frame, 0).and_then(|ether_type| ip_len(frame, 0, ether_type)),
        };
        Ok(Inner {
            source: layer.source,
            vni,
            encap,
            outer_ip: layer.outer_ip,
            start: self.start,
            captured_len: self.here,
            original_len: original.unwrap_or(0).max(self.sent),
        })
    }
}

/// Returns the end of the IP packet in an Ethernet frame as its header states it, counted from the
/// start of the frame; it may be beyond the bytes that are present. `None` as for [`ip_len`].
#[inline]
fn ip_end(frame: &[u8]) -> Option<usize> {
    let payload = ethernet::payload(frame)?;
    ip_len(frame, payload.offset, payload.ether_type).map(|len| payload.offset + len)
}
