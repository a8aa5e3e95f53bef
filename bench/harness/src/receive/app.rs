//! The work that every receiver does with every frame: the part that no application that inspects
//! traffic can leave out.

use std::hint::black_box;

use vxtap_bench::payload_tag;

use super::shared_counts::{Counts, SharedCounts};

/// Ethernet header without VLAN tag, as all of the generator's inner frames have it.
const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
/// First bytes of every payload tag.
const MAGIC: [u8; 4] = *b"vxg1";
const DNS_PORT: u16 = 53;
/// Bytes of the generator's DNS messages before the payload tag: header, question, OPT record; in a
/// response also the answer.
const DNS_QUERY_LEN: usize = 12 + 28 + 15;
const DNS_RESPONSE_LEN: usize = DNS_QUERY_LEN + 16;

/// The application that takes the frames: it reads each 5-tuple, counts, and checks the payload tag
/// if there is one.
#[derive(Debug, Default)]
pub struct Application {
    counts: Counts,
    /// Depends on every 5-tuple, so that none of the reads can be left out.
    digest: u64,
}

impl Application {
    /// Takes an inner frame, from the first byte of its Ethernet header on.
    ///
    /// Never inlined: the same instructions for all receivers.
    #[inline(never)]
    pub fn frame(&mut self, inner: &[u8]) {
        let Some(flow) = FlowDigest::read(inner) else {
            self.counts.foreign += 1;
            return;
        };
        self.counts.frames += 1;
        self.counts.bytes += inner.len() as u64;
        self.digest = self.digest.rotate_left(5) ^ flow.digest;
        let payload = inner.get(flow.payload..).unwrap_or_default();
        if payload.starts_with(&MAGIC) && !payload_tag::is_intact(payload) {
            self.counts.damaged += 1;
        }
    }

    /// Counts a frame without reading its bytes.
    pub const fn unread(&mut self, inner_len: usize) {
        self.counts.frames += 1;
        self.counts.bytes += inner_len as u64;
    }

    /// Counts something that is no mirrored frame.
    pub const fn foreign(&mut self) {
        self.counts.foreign += 1;
    }

    /// Returns the counts so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Publishes the counts for the thread that answers marks; to be called once per batch.
    pub fn publish(&self, counts: &SharedCounts) {
        black_box(self.digest);
        counts.publish(self.counts);
    }
}

/// Result of reading a frame's headers.
struct FlowDigest {
    digest: u64,
    /// Offset at which the payload tag may begin.
    payload: usize,
}

impl FlowDigest {
    /// Reads the 5-tuple of one of the generator's frames; `None` for any other.
    fn read(inner: &[u8]) -> Option<Self> {
        let ethernet: &[u8; ETHERNET_LEN] = inner.first_chunk()?;
        if !is_ours(ethernet) {
            return None;
        }
        let (ip_len, protocol, addresses) = match [ethernet[12], ethernet[13]] {
            [0x08, 0x00] => ipv4(&inner[ETHERNET_LEN..])?,
            [0x86, 0xDD] => ipv6(&inner[ETHERNET_LEN..])?,
            _ => return None,
        };
        let transport = ETHERNET_LEN + ip_len;
        let ports: [u8; 4] = *inner.get(transport..)?.first_chunk()?;
        let digest = addresses ^ u64::from(u32::from_be_bytes(ports)) ^ u64::from(protocol) << 32;
        Some(Self { digest, payload: transport + tag_start(protocol, ports) })
    }
}

/// Returns whether a frame goes between a mirrored interface `06:00:00:00:s:s` and its router
/// `06:ff:ff:ff:s:s`, as all of the generator's frames do.
fn is_ours(ethernet: &[u8; ETHERNET_LEN]) -> bool {
    const INTERFACE: [u8; 4] = [0x06, 0, 0, 0];
    const ROUTER: [u8; 4] = [0x06, 0xff, 0xff, 0xff];
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *ethernet;
    let ends = ([d0, d1, d2, d3], [s0, s1, s2, s3]);
    (ends == (ROUTER, INTERFACE) || ends == (INTERFACE, ROUTER)) && [d4, d5] == [s4, s5]
}

/// Header length, protocol number and a digest of the addresses.
fn ipv4(packet: &[u8]) -> Option<(usize, u8, u64)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    Some((usize::from(header[0] & 0xF) * 4, header[9], words(&header[12..])))
}

/// As [`ipv4`]; the generator makes no extension headers.
fn ipv6(packet: &[u8]) -> Option<(usize, u8, u64)> {
    let header: &[u8; IPV6_LEN] = packet.first_chunk()?;
    Some((IPV6_LEN, header[6], words(&header[8..])))
}

fn words(addresses: &[u8]) -> u64 {
    let words = addresses.as_chunks::<8>().0.iter();
    words.fold(0, |sum, word| sum.rotate_left(13) ^ u64::from_ne_bytes(*word))
}

/// Offset of the payload tag in the generator's frames of a protocol, from the transport header on.
fn tag_start(protocol: u8, ports: [u8; 4]) -> usize {
    let [source, destination] =
        [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    match protocol {
        6 => 20,
        17 if destination == DNS_PORT => 8 + DNS_QUERY_LEN,
        17 if source == DNS_PORT => 8 + DNS_RESPONSE_LEN,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use vxtap_bench::{Profile, Traffic};

    use super::*;

    /// Bytes of the tunnel around the generator's IPv4 sessions.
    const TUNNEL_LEN: usize = 50;

    /// The first inner frames of the default profile, which has all protocols, families and
    /// directions.
    fn frames(count: usize) -> Vec<Vec<u8>> {
        let mut traffic = Traffic::new(&Profile::default()).expect("the default is valid");
        let mut outer = Vec::new();
        let mut next = || {
            traffic.next_frame(&mut outer).expect("no end");
            outer[TUNNEL_LEN..].to_vec()
        };
        (0..count).map(|_| next()).collect()
    }

    fn taken(frames: &[Vec<u8>]) -> Application {
        let mut app = Application::default();
        for frame in frames {
            app.frame(frame);
        }
        app
    }

    #[test]
    fn intact_frames_are_counted_with_their_bytes() {
        let frames = frames(2000);
        let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
        let expected = Counts { frames: 2000, bytes, foreign: 0, damaged: 0 };
        assert_eq!(taken(&frames).counts(), expected);
    }

    #[test]
    fn the_tag_of_every_protocol_and_family_is_found_and_damage_seen() {
        let mut frames = frames(2000);
        for frame in &mut frames {
            *frame.last_mut().expect("not empty") ^= 1;
        }
        assert_eq!(taken(&frames).counts().damaged, 2000);
    }

    #[test]
    fn a_frame_without_tag_is_counted_and_not_called_damaged() {
        let mut frames = frames(500);
        for frame in &mut frames {
            let at = frame.windows(4).position(|four| four == MAGIC).expect("a tag");
            frame[at] = 0;
            *frame.last_mut().expect("not empty") ^= 1;
        }
        let counts = taken(&frames).counts();
        assert_eq!((counts.frames, counts.damaged, counts.foreign), (500, 0, 0));
    }

    #[test]
    fn frames_of_others_and_cut_ones_are_foreign() {
        let frame = &frames(1)[0];
        let mut app = Application::default();
        for len in 0..38 {
            app.frame(&frame[..len]);
        }
        assert_eq!(app.counts(), Counts { foreign: 38, ..Counts::default() });
        let changed = |at: usize, to: u8| {
            let mut frame = frame.clone();
            frame[at] = to;
            frame
        };
        // Another vendor's MAC address, another session's, and ARP.
        let foreign = [changed(0, 0x02), changed(11, frame[11] ^ 1), changed(13, 0x06)];
        assert_eq!(taken(&foreign).counts(), Counts { foreign: 3, ..Counts::default() });
    }

    #[test]
    fn every_part_of_the_five_tuple_changes_the_digest() {
        let digest = |frame: &Vec<u8>| taken(std::slice::from_ref(frame)).digest;
        for frame in frames(50) {
            let is_v6 = frame[12] == 0x86;
            let tuple = if is_v6 { (20..21).chain(22..58) } else { (23..24).chain(26..38) };
            for at in tuple {
                let mut other = frame.clone();
                other[at] ^= 0x10;
                assert_ne!(digest(&other), digest(&frame), "byte {at}");
            }
        }
    }
}
