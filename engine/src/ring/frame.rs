//! Frames as a consumer reads them: borrowed from the chunks that they arrived in.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Reader;
use super::descriptor::Descriptor;
use super::merge::{Merge, MergedFrame};
use super::outer::Outer;
use crate::config::Direction;
use crate::decap::Link;
use crate::filter::direction::by_outer_source;
use crate::flow::Flow;
use crate::session::{SessionId, SourceVni, Vni};

/// Bytes of a frame up to the end of the addresses of its packet: Ethernet, two VLAN tags, IPv4
/// with all options, or IPv6.
const ADDRESSES_END: usize = 14 + 8 + 60;

/// Frames in order of arrival: of one worker, or of several in the order of their times.
///
/// Dropping it gives their memory back to the workers; a consumer keeps it no longer than it needs
/// it.
#[derive(Debug)]
pub struct Batch<'a>(BatchSource<'a>);

#[derive(Debug)]
enum BatchSource<'a> {
    /// The first `count` descriptors, not frames, of a reader.
    One { reader: &'a mut Reader, count: u64 },
    /// All readers, and the frames that are taken from them.
    Merged { readers: &'a mut [Reader], merge: &'a Merge },
}

impl<'a> Batch<'a> {
    /// Takes up to `max` available descriptors, cut where a frame ends; more if one frame alone has
    /// more.
    pub(super) fn new(reader: &'a mut Reader, max: u64) -> Self {
        let available = reader.available();
        let mut count = available.min(max);
        while count > 0 && count < available && reader.descriptor(count - 1).continues() {
            count += 1;
        }
        Self(BatchSource::One { reader, count })
    }

    /// Takes the frames that a merge has chosen.
    pub(super) const fn merged(readers: &'a mut [Reader], merge: &'a Merge) -> Self {
        Self(BatchSource::Merged { readers, merge })
    }

    /// Returns the frames, oldest first.
    pub fn iter(&self) -> Frames<'_> {
        match &self.0 {
            BatchSource::One { reader, count } => {
                Frames(FrameCursor::One { reader, next: 0, end: *count })
            }
            BatchSource::Merged { readers, merge } => {
                Frames(FrameCursor::Merged { readers, frames: merge.frames().iter() })
            }
        }
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
        match &mut self.0 {
            BatchSource::One { reader, count } => reader.release(*count),
            BatchSource::Merged { readers, merge } => {
                readers
                    .iter_mut()
                    .zip(merge.counts())
                    .for_each(|(reader, count)| reader.release(*count));
            }
        }
    }
}

/// Iterator over the frames of a [`Batch`].
#[derive(Debug)]
pub struct Frames<'a>(FrameCursor<'a>);

#[derive(Debug)]
enum FrameCursor<'a> {
    One { reader: &'a Reader, next: u64, end: u64 },
    Merged { readers: &'a [Reader], frames: std::slice::Iter<'a, MergedFrame> },
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        match &mut self.0 {
            FrameCursor::One { reader, next, end } => {
                if next >= end {
                    return None;
                }
                let frame = Frame::at(reader, *next);
                *next += if frame.first.continues() { frame.parts().count() as u64 } else { 1 };
                Some(frame)
            }
            FrameCursor::Merged { readers, frames } => {
                let MergedFrame { reader, nth } = *frames.next()?;
                Some(Frame::at(&readers[reader as usize], u64::from(nth)))
            }
        }
    }
}

/// A mirrored frame without its tunnel, from the first byte of its [link header](Self::link) on,
/// without frame check sequence.
///
/// The bytes are borrowed from the worker's memory, as they came: headers in network byte order.
/// Lengths are in bytes, times in nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    reader: &'a Reader,
    first: Descriptor,
    /// The bytes that `first` names.
    bytes: &'a [u8],
    position: u64,
}

impl<'a> Frame<'a> {
    /// Reads the frame whose first descriptor is the `position`th of a reader.
    #[inline]
    fn at(reader: &'a Reader, position: u64) -> Self {
        reader.prefetch_behind(position);
        let (first, bytes) = reader.segment(position);
        Self { reader, first, bytes, position }
    }

    /// Returns the frame's bytes, chunk by chunk.
    #[inline]
    fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (reader, mut position) = (self.reader, self.position);
        let mut next = Some((self.first, self.bytes));
        std::iter::from_fn(move || {
            let (descriptor, bytes) = next?;
            position += 1;
            next = descriptor.continues().then(|| reader.segment(position));
            Some(bytes)
        })
    }

    /// Returns the bytes, in one slice for each chunk that the frame lies in. Headers may go on in
    /// the next slice, and the first one may be empty: [`Self::copy_head`] puts them together.
    #[inline]
    pub fn segments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parts()
    }

    /// Returns all bytes in one slice: borrowed if the frame lies in one chunk, else copied.
    #[inline]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        if self.first.continues() {
            Cow::Owned(self.parts().flatten().copied().collect())
        } else {
            Cow::Borrowed(self.bytes)
        }
    }

    /// Copies the first bytes to `head`, as many as it has room for, whatever chunks they lie in.
    /// Returns their number: less than `head.len()` if the frame has fewer.
    pub fn copy_head(&self, head: &mut [u8]) -> usize {
        let mut len = 0;
        for part in self.parts() {
            let count = part.len().min(head.len() - len);
            head[len..len + count].copy_from_slice(&part[..count]);
            len += count;
            if len == head.len() {
                break;
            }
        }
        len
    }

    /// Returns the number of captured bytes: the length of [`Self::bytes`].
    #[inline]
    pub fn captured_len(&self) -> u32 {
        if !self.first.continues() {
            return self.first.len;
        }
        let len: usize = self.parts().map(<[u8]>::len).sum();
        // A ring of 65 536 chunks of 64 KiB is just about as long.
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// Returns the length that the frame had before the mirror, a capture file or the session's
    /// packet length cut it, in bytes; at least [`Self::captured_len`]. From the inner IP header
    /// and the outer UDP header.
    pub const fn original_len(&self) -> u32 {
        self.first.original_len
    }

    /// Returns whether the end of the frame is missing: the mirror, a capture file or the session's
    /// packet length has cut it.
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.captured_len() < self.original_len()
    }

    /// Returns whether the frame goes to the mirrored interface or comes from it; `None` if that
    /// cannot be inferred. In a session that has none of an ENI, a filter, a profile and a packet
    /// length, it is inferred now, from the outer source address and the addresses of the packet.
    pub fn direction(&self) -> Option<Direction> {
        self.first.direction().or_else(|| self.direction_by_outer_source())
    }

    fn direction_by_outer_source(&self) -> Option<Direction> {
        let mut head = [0; ADDRESSES_END];
        let head = if self.bytes.len() < ADDRESSES_END && self.first.continues() {
            let len = self.copy_head(&mut head);
            &head[..len]
        } else {
            self.bytes
        };
        let flow = Flow::in_frame(head, self.link())?;
        by_outer_source(self.source_vni().into(), &flow.addresses)
    }

    /// Returns the time of arrival at this host, in nanoseconds since 1970-01-01 UTC.
    pub const fn timestamp_ns(&self) -> u64 {
        self.first.timestamp_ns
    }

    /// Returns the session that the frame belongs to.
    pub const fn session(&self) -> SessionId {
        SessionId(self.first.session)
    }

    /// Returns the interface that it came from, as index in `capture.interface`; 0 for a capture
    /// file.
    pub const fn interface(&self) -> usize {
        self.reader.queue_id().interface
    }

    /// Returns the RX queue of that interface.
    pub const fn queue(&self) -> u32 {
        self.reader.queue_id().queue
    }

    /// Returns the kind of header that the frame begins with: an Ethernet header, or an IP header
    /// if the tunnel carries packets.
    #[inline]
    pub const fn link(&self) -> Link {
        self.first.link()
    }

    /// Returns the outer headers, in front of the frame.
    #[inline]
    pub fn outer(&self) -> Outer<'a> {
        Outer::new(self.reader.outer(self.position), self.first.encap())
    }

    /// Returns the VNI by which the session is found.
    pub fn vni(&self) -> Vni {
        self.outer().vni()
    }

    /// Returns the source address by which the session is found.
    pub fn source(&self) -> IpAddr {
        self.outer().source()
    }

    /// Returns source and VNI, which identify the mirror.
    pub fn source_vni(&self) -> SourceVni {
        self.outer().source_vni()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_ring::{TestRing, test_ring};
    use super::*;

    /// Publishes a frame behind the headers of an IPv6 tunnel from `::7` with VNI 9.
    fn push(ring: &mut TestRing, parts: &[&[u8]]) {
        let mut outer = [0; 36 + 20];
        (outer[0], outer[23], outer[54]) = (0x60, 7, 9);
        ring.push(&outer, parts, Descriptor { original_len: 9000, ..Descriptor::default() });
    }

    #[test]
    fn a_frame_in_several_chunks_is_one_frame_with_a_segment_for_each() {
        let (mut ring, mut reader) = test_ring(8);
        push(&mut ring, &[b"one"]);
        push(&mut ring, &[b"first ", b"second ", b"third"]);
        push(&mut ring, &[b"last"]);
        let batch = Batch::new(&mut reader, 64);
        let frames: Vec<_> = batch.iter().collect();
        assert_eq!(
            frames.iter().map(Frame::bytes).collect::<Vec<_>>(),
            [&b"one"[..], b"first second third", b"last"]
        );
        assert!(matches!(
            (frames[0].bytes(), frames[1].bytes()),
            (Cow::Borrowed(_), Cow::Owned(_))
        ));
        assert_eq!(
            frames[1].segments().collect::<Vec<_>>(),
            [&b"first "[..], b"second ", b"third"]
        );
        assert_eq!((frames[1].captured_len(), frames[1].original_len()), (18, 9000));
        assert_eq!(frames[1].source_vni().to_string(), "vni-9@::7");
    }

    #[test]
    fn the_first_bytes_are_the_same_wherever_the_chunks_end() {
        let (mut ring, mut reader) = test_ring(8);
        push(&mut ring, &[b"abcdef"]);
        push(&mut ring, &[b"", b"abc", b"d", b"ef"]);
        push(&mut ring, &[b"ab"]);
        let batch = Batch::new(&mut reader, 64);
        let heads = batch.iter().map(|frame| {
            let mut head = [0; 4];
            let len = frame.copy_head(&mut head);
            head[..len].to_vec()
        });
        assert_eq!(heads.collect::<Vec<_>>(), [&b"abcd"[..], b"abcd", b"ab"]);
    }

    #[test]
    fn a_batch_never_ends_in_the_middle_of_a_frame_and_releases_what_it_held() {
        let (mut ring, mut reader) = test_ring(8);
        push(&mut ring, &[b"one"]);
        push(&mut ring, &[b"a", b"b", b"c"]);
        push(&mut ring, &[b"last"]);
        for expected in [4, 1] {
            let batch = Batch::new(&mut reader, 2);
            assert!(matches!(batch.0, BatchSource::One { count, .. } if count == expected));
        }
        assert_eq!(reader.available(), 0);
        let mut returned = 0;
        ring.writer.reclaim(|_| returned += 1);
        assert_eq!(returned, 5);
    }
}
