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
    /// Returns the prefix of a frame. It is empty for an Ethernet frame without `vlan`; a packet
    /// gets an Ethernet header with addresses of zeros. `vlan` adds an IEEE 802.1Q tag of this VLAN
    /// ID before the present `EtherType` or tag.
    pub(crate) fn of(frame: &Frame<'_>, vlan: Option<u16>) -> Self {
        let first = frame.segments().next().unwrap_or_default();
        Self::new(frame.link(), first, vlan)
    }

    fn new(link: Link, first: &[u8], vlan: Option<u16>) -> Self {
        let mut prefix = Self { bytes: [0; ADDRESSES_LEN + 4 + 2], len: 0, replaced: 0 };
        match link {
            Link::Ethernet if vlan.is_none() => return prefix,
            Link::Ethernet => {
                let own = first.len().min(ADDRESSES_LEN);
                prefix.bytes[..own].copy_from_slice(&first[..own]);
                prefix.replaced = own;
            }
            Link::Ip => {}
        }
        prefix.len = ADDRESSES_LEN;
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
        let mut replaced = self.replaced;
        let rest = frame.segments().map(move |segment| {
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

    #[test]
    fn a_tag_goes_behind_the_addresses_and_a_packet_gets_a_header() {
        let ethernet = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45];
        let prefix = |link, first: &[u8], vlan| {
            let prefix = EthernetPrefix::new(link, first, vlan);
            (prefix.bytes[..prefix.len].to_vec(), prefix.replaced)
        };
        assert_eq!(prefix(Link::Ethernet, &ethernet, None), (vec![], 0));
        let tagged = [&ethernet[..12], &[0x81, 0, 0x0f, 0xfe]].concat();
        assert_eq!(prefix(Link::Ethernet, &ethernet, Some(4094)), (tagged, 12));
        let v4 = [&[0; 12][..], &[8, 0]].concat();
        assert_eq!(prefix(Link::Ip, &[0x45, 0], None), (v4, 0));
        let v6 = [&[0; 12][..], &[0x81, 0, 0, 7, 0x86, 0xdd]].concat();
        assert_eq!(prefix(Link::Ip, &[0x60, 0], Some(7)), (v6, 0));
    }
}
