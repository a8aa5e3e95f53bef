//! Datagrams that came in IP fragments come out whole, and every fragment is counted.

use vxtap::Engine;
use vxtap::config::{CaptureMode, FragmentMode};
use vxtap::ring::Encapsulation;
use vxtap_tests::{NetNs, Veth, VethOptions, privileged};

use super::frames::{Case, Inside, Mirrored};
use super::support::{
    assert_adds_up, config, receive_like_a_host, run, run_to_the_end, write_pcap,
};

/// Bytes of data in a fragment.
const UNIT: usize = 1480;

/// Divides the outer IP packet of an untagged frame into fragments. Those of IPv6 get a fragment
/// header.
fn divide(mirrored: &Mirrored, number: u16) -> Vec<Vec<u8>> {
    let (ethernet, packet) = mirrored.frame.split_at(14);
    let is_v6 = mirrored.case.outer_is_v6;
    let (header, data) = packet.split_at(if is_v6 { 40 } else { 20 });
    let starts = (0..data.len()).step_by(UNIT);
    let fragment = |start: usize| {
        let piece = &data[start..data.len().min(start + UNIT)];
        let has_more = start + UNIT < data.len();
        let header = if is_v6 {
            v6(header, piece, number, start, has_more)
        } else {
            v4(header, piece, number, start, has_more)
        };
        [ethernet, &header, piece].concat()
    };
    starts.map(fragment).collect()
}

fn v4(header: &[u8], piece: &[u8], number: u16, start: usize, has_more: bool) -> Vec<u8> {
    let mut header = etherparse::Ipv4Header::from_slice(header).unwrap().0;
    header.identification = number;
    header.dont_fragment = false;
    header.more_fragments = has_more;
    header.fragment_offset = u16::try_from(start / 8).unwrap().try_into().unwrap();
    header.set_payload_len(piece.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    header.to_bytes().to_vec()
}

fn v6(header: &[u8], piece: &[u8], number: u16, start: usize, has_more: bool) -> Vec<u8> {
    let mut header = header.to_vec();
    let len = u16::try_from(8 + piece.len()).unwrap();
    header[4..6].copy_from_slice(&len.to_be_bytes());
    let next_header = std::mem::replace(&mut header[6], 44);
    let place = u16::try_from(start).unwrap() | u16::from(has_more);
    header.extend(
        [&[next_header, 0][..], &place.to_be_bytes(), &u32::from(number).to_be_bytes()].concat(),
    );
    header
}

/// Damage to the fragments of a datagram on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All come; the later ones in another order.
    Shuffled,
    /// One comes twice.
    Repeated,
    /// One does not come.
    Lost,
    /// One comes again with other borders.
    Overlapping,
}

/// Datagrams in fragments, and the counts of their damage.
struct Storm {
    frames: Vec<Vec<u8>>,
    whole: Vec<Mirrored>,
    fragments: u64,
    lost: u64,
    overlapping: u64,
}

fn storm(receiver_mac: [u8; 6], lens: &[usize]) -> Storm {
    let mut storm =
        Storm { frames: Vec::new(), whole: Vec::new(), fragments: 0, lost: 0, overlapping: 0 };
    let encapsulations = [Encapsulation::Vxlan, Encapsulation::Geneve, Encapsulation::GeneveVxlan];
    for number in 0..600_u16 {
        let turn = usize::from(number);
        let case = Case {
            encapsulation: encapsulations[turn % 3],
            outer_is_v6: turn % 2 == 0,
            vlans: 0,
            inside: Inside::V4,
            len: lens[turn % lens.len()],
        };
        let way = [Way::Shuffled, Way::Repeated, Way::Lost, Way::Overlapping][turn / 6 % 4];
        let mirrored = Mirrored::new(case, number, receiver_mac);
        let mut fragments = divide(&mirrored, number);
        fragments[1..].reverse();
        match way {
            Way::Shuffled => storm.whole.push(mirrored),
            Way::Repeated => {
                fragments.insert(1, fragments[0].clone());
                storm.whole.push(mirrored);
            }
            Way::Lost => {
                fragments.pop();
                storm.lost += 1;
            }
            Way::Overlapping => {
                // The first with its data moved on by 8 bytes.
                let mut shifted = fragments[0].clone();
                let offset_at = if case.outer_is_v6 { 14 + 40 + 3 } else { 14 + 7 };
                shifted[offset_at] |= if case.outer_is_v6 { 8 } else { 1 };
                fix_checksum(&mut shifted, case.outer_is_v6);
                fragments.insert(1, shifted);
                storm.overlapping += 1;
            }
        }
        storm.fragments += fragments.len() as u64;
        storm.frames.extend(fragments);
    }
    storm
}

fn fix_checksum(frame: &mut [u8], is_v6: bool) {
    if !is_v6 {
        let header = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap().0;
        frame[24..26].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
    }
}

#[track_caller]
fn assert_whole(storm: &Storm, got: &[super::support::Got]) {
    assert_eq!(got.len(), storm.whole.len());
    for mirrored in &storm.whole {
        let found = got.iter().find(|got| got.vni == mirrored.vni);
        let found = found.unwrap_or_else(|| panic!("{:?} did not come", mirrored.case));
        assert_eq!(found.bytes, mirrored.inner, "{:?}", mirrored.case);
        assert_eq!((found.source, found.gwlb), (mirrored.source, mirrored.gwlb));
    }
}

fn veth() -> Veth {
    Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), VethOptions::default()).unwrap()
}

fn over_veth(mode: CaptureMode) {
    let veth = veth();
    // The longest ones take 33 chunks of 2048 bytes and 41 fragments.
    let storm = storm(veth.receiver.mac, &[3000, 8900, 60_000]);
    let mut config = config(&[veth.receiver.interface]);
    config.capture.mode = mode;
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let frames = storm.frames.iter().map(Vec::as_slice);
    let (got, report) = run(engine, &veth.sender, frames, storm.frames.len());
    assert_whole(&storm, &got);
    assert_adds_up(&report);
    let counters = report.fragments;
    assert_eq!((counters.packets, counters.fragments), (600, storm.fragments), "{report}");
    let ended = (counters.completed, counters.timed_out, counters.overlapped, counters.repeated);
    let expected = (storm.whole.len() as u64, storm.lost, storm.overlapping, 150);
    assert_eq!(ended, expected, "{report}");
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn native_copy() {
    privileged();
    over_veth(CaptureMode::Native);
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn generic() {
    privileged();
    over_veth(CaptureMode::Generic);
}

/// The kernel reassembles: without a limit of 64 fragments, and it gives up overlaps as well.
#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn udp_sockets() {
    privileged();
    let veth = veth();
    receive_like_a_host(&veth.receiver);
    // The kernel keeps fragments of incomplete datagrams for 30 s.
    for parameter in ["net.ipv4.ipfrag_high_thresh", "net.ipv6.ip6frag_high_thresh"] {
        veth.receiver.sysctl(&format!("{parameter}={}", 64 << 20));
    }
    let storm = storm(veth.receiver.mac, &[3000, 8900, 60_000]);
    let mut config = config(&[veth.receiver.interface]);
    config.capture.mode = CaptureMode::Socket;
    let engine = veth.receiver.netns.run(|| Engine::open(config)).unwrap();
    let frames = storm.frames.iter().map(Vec::as_slice);
    let (got, report) = run(engine, &veth.sender, frames, storm.whole.len());
    assert_whole(&storm, &got);
    assert_adds_up(&report);
    assert_eq!(report.fragments.fragments, 0);
}

#[test]
fn a_capture_file() {
    let storm = storm([2; 6], &[3000, 8900, 60_000]);
    let file = tempfile::NamedTempFile::new().unwrap();
    write_pcap(file.path(), storm.frames.iter().map(Vec::as_slice));
    for fragments in [FragmentMode::Reassemble, FragmentMode::Pass] {
        let mut config = config(&[]);
        config.capture.fragments = fragments;
        let (got, report) = run_to_the_end(Engine::open_capture_file(config, file.path()).unwrap());
        assert_adds_up(&report);
        if fragments == FragmentMode::Pass {
            assert_eq!((got.len(), report.steering().fragment), (0, storm.fragments));
        } else {
            assert_whole(&storm, &got);
            assert_eq!(report.fragments.timed_out, storm.lost);
        }
    }
}
