//! The Ethernet header that a frame goes out with, where all frames need one, or a tag.

use crate::decap::Link;
use crate::ring::Frame;

/// Both addresses of an Ethernet header.
const ADDRESSES: usize = 12;
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// What goes in front of a frame, and how many of its own bytes it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: [u8; ADDRESSES + 4 + 2],
    len: usize,
    replaces: usize,
}

impl Head {
    /// For a frame as it is if it has an Ethernet header; a packet gets one, with addresses of
    /// zeros. `vlan`: with an IEEE 802.1Q tag of this VLAN in front of what type or tag there is.
    pub(crate) fn of(frame: &Frame<'_>, vlan: Option<u16>) -> Self {
        let first = frame.segments().next().unwrap_or_default();
        Self::new(frame.link(), first, vlan)
    }

    fn new(link: Link, first: &[u8], vlan: Option<u16>) -> Self {
        let mut head = Self { bytes: [0; ADDRESSES + 4 + 2], len: 0, replaces: 0 };
        match link {
            Link::Ethernet if vlan.is_none() => return head,
            Link::Ethernet => {
                let own = first.len().min(ADDRESSES);
                head.bytes[..own].copy_from_slice(&first[..own]);
                head.replaces = own;
            }
            Link::Ip => {}
        }
        head.len = ADDRESSES;
        if let Some(vlan) = vlan {
            head.put(ETHERTYPE_VLAN);
            head.put(vlan.to_be_bytes());
        }
        if link == Link::Ip {
            let is_v6 = first.first().is_some_and(|byte| byte >> 4 == 6);
            head.put(if is_v6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 });
        }
        head
    }

    fn put(&mut self, bytes: [u8; 2]) {
        self.bytes[self.len..self.len + 2].copy_from_slice(&bytes);
        self.len += 2;
    }

    /// By how many bytes it makes the frame longer.
    pub(crate) fn grows_by(&self) -> u32 {
        // At most 18.
        u32::try_from(self.len - self.replaces).unwrap_or_default()
    }

    /// The bytes of a frame with its head, piece by piece.
    pub(crate) fn pieces<'a>(&'a self, frame: &Frame<'a>) -> impl Iterator<Item = &'a [u8]> {
        let mut replaced = self.replaces;
        let rest = frame.segments().map(move |segment| {
            let gone = replaced.min(segment.len());
            replaced -= gone;
            &segment[gone..]
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
        let head = |link, first: &[u8], vlan| {
            let head = Head::new(link, first, vlan);
            (head.bytes[..head.len].to_vec(), head.replaces)
        };
        assert_eq!(head(Link::Ethernet, &ethernet, None), (vec![], 0));
        let tagged = [&ethernet[..12], &[0x81, 0, 0x0f, 0xfe]].concat();
        assert_eq!(head(Link::Ethernet, &ethernet, Some(4094)), (tagged, 12));
        let v4 = [&[0; 12][..], &[8, 0]].concat();
        assert_eq!(head(Link::Ip, &[0x45, 0], None), (v4, 0));
        let v6 = [&[0; 12][..], &[0x81, 0, 0, 7, 0x86, 0xdd]].concat();
        assert_eq!(head(Link::Ip, &[0x60, 0], Some(7)), (v6, 0));
    }
}
