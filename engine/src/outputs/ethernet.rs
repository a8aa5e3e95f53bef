//! Adds an Ethernet header or a VLAN tag to frames, for outputs that need them.

use crate::decap::Link;
use crate::ring::Frame;

/// Bytes of the two addresses of an Ethernet header.
const ADDRESSES_LEN: usize = 12;
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// Bytes written before a frame, and the number of the frame's first bytes that they replace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EthernetPrefix {
    bytes: [u8; ADDRESSES_LEN + 4 + 2],
    len: usize,
    /// Number of the frame's first bytes that are replaced.
    replaced: usize,
}

impl EthernetPrefix {
    const NONE: Self = Self { bytes: [0; ADDRESSES_LEN + 4 + 2], len: 0, replaced: 0 };

    /// Returns the prefix of a frame. It is empty for an Ethernet frame without `vlan`; a packet
    /// gets an Ethernet header with addresses of zeros. `vlan` adds an IEEE 802.1Q tag of this VLAN
    /// ID before the present `EtherType` or tag.
    pub(crate) fn of(frame: &Frame<'_>, vlan: Option<u16>) -> Self {
        if frame.link() == Link::Ethernet && vlan.is_none() {
            return Self::NONE;
        }
        let mut addresses = [0; ADDRESSES_LEN];
        let len = frame.copy_head(&mut addresses);
        Self::new(frame.link(), &addresses[..len], vlan)
    }

    /// Returns the Ethernet header of a packet that begins with these bytes.
    pub(super) fn of_packet(first: &[u8]) -> Self {
        Self::new(Link::Ip, first, None)
    }

    /// Returns the prefix of a frame by its first bytes: its addresses if it has some.
    fn new(link: Link, first: &[u8], vlan: Option<u16>) -> Self {
        let mut prefix = Self { len: ADDRESSES_LEN, ..Self::NONE };
        if link == Link::Ethernet {
            prefix.bytes[..first.len()].copy_from_slice(first);
            prefix.replaced = first.len();
        }
        if let Some(vlan) = vlan {
            prefix.put(ETHERTYPE_VLAN);
            prefix.put(vlan.to_be_bytes());
        }
        if link == Link::Ip {
            let is_v6 = first.first().is_some_and(|byte| byte >> 4 == 6);
            prefix.put(if is_v6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 });
        }
        prefix
    }

    fn put(&mut self, bytes: [u8; 2]) {
        self.bytes[self.len..self.len + 2].copy_from_slice(&bytes);
        self.len += 2;
    }

    /// Returns the number of bytes by which the frame gets longer.
    pub(crate) fn added_len(&self) -> u32 {
        // At most 18 bytes.
        u32::try_from(self.len - self.replaced).unwrap_or_default()
    }

    /// Returns the segments of a frame with its prefix.
    pub(crate) fn segments<'a>(&'a self, frame: &Frame<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.before(frame.segments())
    }

    /// Returns the prefix and behind it the segments of a frame.
    pub(super) fn before<'a, 'f: 'a>(
        &'a self,
        segments: impl Iterator<Item = &'f [u8]>,
    ) -> impl Iterator<Item = &'a [u8]> {
        let mut replaced = self.replaced;
        let rest = segments.map(move |segment| {
            let skipped = replaced.min(segment.len());
            replaced -= skipped;
            &segment[skipped..]
        });
        std::iter::once(&self.bytes[..self.len]).filter(|bytes| !bytes.is_empty()).chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::test_ring::test_ring;
    use crate::ring::{Consumer, Descriptor, Next};

    const IP: u16 = 1 << 5;
    const ETHERNET: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45];

    /// Returns a frame that lies in these parts as it is written with its prefix, and by how much
    /// it gets longer.
    fn written(flags: u16, parts: &[&[u8]], vlan: Option<u16>) -> (Vec<u8>, u32) {
        let (mut ring, reader) = test_ring(8);
        ring.push(&[], parts, Descriptor { flags, ..Descriptor::default() });
        let mut consumer = Consumer::new(vec![reader]);
        let Next::Batch(batch) = consumer.next(std::time::Duration::ZERO) else { panic!("one") };
        let frame = batch.iter().next().unwrap();
        let prefix = EthernetPrefix::of(&frame, vlan);
        (prefix.segments(&frame).collect::<Vec<_>>().concat(), prefix.added_len())
    }

    #[test]
    fn a_tag_goes_behind_the_addresses_and_a_packet_gets_a_header() {
        assert_eq!(written(0, &[&ETHERNET], None), (ETHERNET.to_vec(), 0));
        let tagged = [&ETHERNET[..12], &[0x81, 0, 0x0f, 0xfe], &ETHERNET[12..]].concat();
        assert_eq!(written(0, &[&ETHERNET], Some(4094)), (tagged, 4));
        let v4 = [&[0; 12][..], &[8, 0, 0x45, 0]].concat();
        assert_eq!(written(IP, &[&[0x45, 0]], None), (v4, 14));
        let v6 = [&[0; 12][..], &[0x81, 0, 0, 7, 0x86, 0xdd, 0x60, 0]].concat();
        assert_eq!(written(IP, &[&[0x60, 0]], Some(7)), (v6, 18));
    }

    #[test]
    fn a_frame_is_written_the_same_wherever_its_chunks_end() {
        let v6 = [0x60, 1, 2, 3, 4, 5, 6, 7];
        for (flags, frame, vlan) in [
            (0, &ETHERNET[..], None),
            (0, &ETHERNET, Some(7)),
            (0, &ETHERNET[..5], Some(7)),
            (IP, &v6, None),
            (IP, &v6, Some(7)),
        ] {
            let whole = written(flags, &[frame], vlan);
            for first in 0..=frame.len() {
                for second in first..=frame.len() {
                    let parts = [&frame[..first], &frame[first..second], &frame[second..]];
                    assert_eq!(written(flags, &parts, vlan), whole, "{first}, {second}");
                }
            }
        }
    }
}
