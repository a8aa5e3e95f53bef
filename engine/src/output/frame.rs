//! Frames as a consumer sees them: borrowed from the chunk they arrived in.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::descriptor::Descriptor;
use super::ring::Reader;
use crate::decap::VXLAN_LEN;
use crate::session::{Pair, SessionId, Vni};

/// Some frames of one worker, in order of arrival at its queue. Dropping it gives their memory back to the worker, so
/// a consumer holds on to it no longer than it needs.
#[derive(Debug)]
pub struct Batch<'a> {
    reader: &'a mut Reader,
    /// Descriptors, not frames.
    count: u64,
}

impl<'a> Batch<'a> {
    /// Up to `max` available descriptors, cut where a frame ends; more if one frame alone has more.
    pub(super) fn new(reader: &'a mut Reader, max: u64) -> Self {
        let available = reader.available();
        let mut count = available.min(max);
        while count > 0 && count < available && reader.descriptor(count - 1).continues() {
            count += 1;
        }
        Self { reader, count }
    }

    /// The frames, oldest first.
    pub const fn iter(&self) -> Frames<'_> {
        Frames { reader: self.reader, next: 0, end: self.count }
    }
}

impl<'a> IntoIterator for &'a Batch<'_> {
    type Item = Frame<'a>;
    type IntoIter = Frames<'a>;

    fn into_iter(self) -> Frames<'a> {
        self.iter()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.reader.release(self.count);
    }
}

/// Iterator over the frames of a [`Batch`].
#[derive(Debug)]
pub struct Frames<'a> {
    reader: &'a Reader,
    next: u64,
    end: u64,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        if self.next >= self.end {
            return None;
        }
        let frame =
            Frame { reader: self.reader, first: self.reader.descriptor(self.next), position: self.next };
        self.next += frame.descriptors().count() as u64;
        Some(frame)
    }
}

/// A mirrored frame without its tunnel, from the first byte of its Ethernet header on. No frame check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    reader: &'a Reader,
    first: Descriptor,
    position: u64,
}

impl<'a> Frame<'a> {
    /// The positions of the frame's descriptors in its ring, and what they say.
    fn descriptors(&self) -> impl Iterator<Item = (u64, Descriptor)> + use<'a> {
        let (reader, mut next) = (self.reader, Some(self.position));
        std::iter::from_fn(move || {
            let position = next?;
            let descriptor = reader.descriptor(position);
            next = descriptor.continues().then_some(position + 1);
            Some((position, descriptor))
        })
    }

    /// The bytes, in one piece for each chunk that the frame lies in.
    pub fn segments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let reader = self.reader;
        self.descriptors().map(move |(position, _)| reader.segment(position))
    }

    /// All bytes in one piece: borrowed if the frame lies in one chunk, else copied.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        if self.first.continues() {
            Cow::Owned(self.segments().flatten().copied().collect())
        } else {
            Cow::Borrowed(self.reader.segment(self.position))
        }
    }

    /// Length of the bytes that are here.
    pub fn captured_len(&self) -> u32 {
        self.descriptors().map(|(_, descriptor)| descriptor.len).sum()
    }

    /// Length that the frame had before the mirror or a capture file cut it, in bytes; at least
    /// [`Self::captured_len`]. From the inner IP header and the outer UDP header.
    pub const fn original_len(&self) -> u32 {
        self.first.original_len
    }

    /// Arrival at this host, in nanoseconds since 1970-01-01 UTC.
    pub const fn timestamp_ns(&self) -> u64 {
        self.first.timestamp_ns
    }

    /// The session that the frame belongs to.
    pub const fn session(&self) -> SessionId {
        SessionId(self.first.session)
    }

    /// The NIC queue that it came from.
    pub const fn queue(&self) -> u32 {
        self.reader.queue()
    }

    /// The bytes in front of the frame, from the start of the outer IP header to the end of the tunnel header.
    pub fn outer(&self) -> &'a [u8] {
        self.reader.outer(self.position)
    }

    /// The tunnel header: all 8 bytes of RFC 7348, section 5, the reserved bits as they came.
    pub fn vxlan_header(&self) -> [u8; VXLAN_LEN] {
        self.outer().last_chunk().copied().unwrap_or_default()
    }

    /// VNI of the tunnel header.
    pub fn vni(&self) -> Vni {
        let header = self.vxlan_header();
        Vni::from_bytes([header[4], header[5], header[6]])
    }

    /// Source address of the outer IP header.
    pub fn source(&self) -> IpAddr {
        let outer = self.outer();
        let is_v6 = outer.first().is_some_and(|byte| byte >> 4 == 6);
        let v4 = || outer.get(12..)?.first_chunk::<4>();
        let v6 = || outer.get(8..)?.first_chunk::<16>();
        if is_v6 {
            v6().map_or(Ipv6Addr::UNSPECIFIED, |&address| Ipv6Addr::from(address)).into()
        } else {
            v4().map_or(Ipv4Addr::UNSPECIFIED, |&address| Ipv4Addr::from(address)).into()
        }
    }

    /// Source and VNI: who mirrors.
    pub fn pair(&self) -> Pair {
        Pair { source: self.source(), vni: self.vni() }
    }
}
