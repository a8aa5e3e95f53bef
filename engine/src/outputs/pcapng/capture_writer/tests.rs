use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapBlockOwned, PcapNGSlice};

use super::super::interface_key::InterfaceTotals;
use super::super::interface_table::PAIRS_MAX;
use super::*;
use crate::decap::Link;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 5));

fn key(session: u32, source: IpAddr, vni: u32) -> FrameKey {
    FrameKey { session, source, vni, direction: None, link: Link::Ethernet }
}

fn sessions() -> Vec<Session> {
    vec![
        Session { name: "web".into(), vni: 100, source: Some(SOURCE), ..Session::default() },
        Session { name: "db".into(), vni: 200, source: None, ..Session::default() },
    ]
}

fn writer(path: &Path) -> CaptureWriter {
    CaptureWriter::new(PcapngFile::create(path, Instant::now()).unwrap(), &sessions()).unwrap()
}

fn push(writer: &mut CaptureWriter, key: FrameKey, timestamp_ns: u64, frame: &[u8]) {
    let original_len = u32::try_from(frame.len()).unwrap();
    writer.packet(key, timestamp_ns, original_len, std::iter::once(frame)).unwrap();
}

/// One line per block, as another parser reads them.
fn blocks(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let line = |block: PcapBlockOwned<'_>| match block {
        PcapBlockOwned::NG(Block::SectionHeader(block)) => {
            format!("section by {}", block.shb_userappl().unwrap().unwrap())
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
            assert!(matches!((block.linktype.0, block.snaplen, block.if_tsresol), (1 | 101, 0, 9)));
            let description = block.if_description().unwrap().unwrap();
            format!("interface {}: {description}", block.if_name().unwrap().unwrap())
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
            let data = block.packet_data();
            format!(
                "packet of {} at {}: {} of {}",
                block.if_id,
                block.ts_low,
                data.len(),
                block.origlen
            )
        }
        PcapBlockOwned::NG(Block::InterfaceStatistics(block)) => {
            let [received, accepted, dropped, delivered] = [
                block.isb_ifrecv(),
                block.isb_filteraccept(),
                block.isb_ifdrop(),
                block.isb_usrdeliv(),
            ]
            .map(|count| count.unwrap().unwrap());
            let (_, start) = block.isb_starttime().unwrap().unwrap();
            let (_, end) = block.isb_endtime().unwrap().unwrap();
            format!(
                "statistics of {} {start}-{end}: {accepted} of {received} - {dropped} = {delivered}",
                block.if_id
            )
        }
        _ => panic!("another block"),
    };
    PcapNGSlice::from_slice(&bytes).unwrap().map(|block| line(block.unwrap())).collect()
}

#[test]
fn declared_sessions_have_interfaces_from_the_start_and_pairs_from_their_first_frame() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    let start = [
        &format!("section by vxtap {}", env!("CARGO_PKG_VERSION")),
        "interface web: VNI 100, source 10.0.1.5",
        "interface db: VNI 200, any source",
    ];
    assert_eq!(blocks(&path), start, "there before the first frame");

    push(&mut writer, key(2, SOURCE, 200), 50, &[1; 60]);
    push(&mut writer, key(0, SOURCE, 300), 40, &[2; 61]);
    push(&mut writer, key(0, Ipv6Addr::LOCALHOST.into(), 300), 60, &[3; 62]);
    push(&mut writer, key(0, SOURCE, 300), 70, &[4; 63]);
    push(&mut writer, key(0, SOURCE, 300), 45, &[4; 64]);
    push(&mut writer, key(0, Ipv6Addr::LOCALHOST.into(), 300), 46, &[3; 65]);
    push(&mut writer, key(0, Ipv6Addr::LOCALHOST.into(), 300), 47, &[3; 66]);
    push(&mut writer, key(1, SOURCE, 100), 65, &[5; 64]);
    writer.finish(None, totals_of).unwrap();
    assert_eq!(writer.file().complete_bytes(), fs::metadata(&path).unwrap().len());
    assert_eq!(
        blocks(&path)[3..],
        [
            "packet of 1 at 50: 60 of 60",
            "interface vni-300@10.0.1.5: VNI 300, source 10.0.1.5",
            "packet of 2 at 40: 61 of 61",
            "interface vni-300@::1: VNI 300, source ::1",
            "packet of 3 at 60: 62 of 62",
            "packet of 2 at 70: 63 of 63",
            "packet of 2 at 45: 64 of 64",
            "packet of 3 at 46: 65 of 65",
            "packet of 3 at 47: 66 of 66",
            "packet of 0 at 65: 64 of 64",
            "statistics of 0 40-70: 11 of 12 - 10 = 1",
            "statistics of 1 40-70: 21 of 22 - 20 = 1",
            "statistics of 2 40-70: 3 of 3 - 0 = 3",
            "statistics of 3 40-70: 3 of 3 - 0 = 3",
        ]
    );
}

fn totals_of(key: InterfaceKey, written: u64) -> InterfaceTotals {
    match key {
        InterfaceKey::Session(session) => {
            let dropped = 10 * u64::from(session);
            InterfaceTotals {
                received: 2 * written + dropped,
                accepted: written + dropped,
                dropped,
            }
        }
        InterfaceKey::Pair { .. } | InterfaceKey::Other => {
            InterfaceTotals { received: written, accepted: written, dropped: 0 }
        }
    }
}

#[test]
fn a_capture_without_frames_has_the_statistics_of_its_period() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    writer(&path).finish(Some(TimeSpan { start_ns: 5, end_ns: 9 }), totals_of).unwrap();
    assert_eq!(
        blocks(&path)[3..],
        ["statistics of 0 5-9: 10 of 10 - 10 = 0", "statistics of 1 5-9: 20 of 20 - 20 = 0"]
    );
}

#[test]
fn pairs_beyond_the_limit_share_one_interface() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    let pairs = u32::try_from(PAIRS_MAX).unwrap();
    for vni in 0..pairs + 10 {
        push(&mut writer, key(0, SOURCE, vni), 1, &[0; 14]);
    }
    push(&mut writer, key(0, SOURCE, 7), 2, &[0; 14]);
    writer.finish(None, totals_of).unwrap();
    let blocks = blocks(&path);
    assert_eq!(
        blocks.iter().filter(|line| line.starts_with("interface")).count(),
        2 + PAIRS_MAX + 1
    );
    assert!(
        blocks.contains(
            &"interface other: every pair of VNI and source after the first 4096 of undeclared sessions"
                .to_owned()
        )
    );
    let shared = format!("statistics of {} 1-2: 10 of 10 - 0 = 10", pairs + 2);
    assert_eq!(blocks.last(), Some(&shared));
    assert!(
        blocks.contains(&"packet of 9 at 2: 14 of 14".to_owned()),
        "an early pair keeps its own"
    );
}

#[test]
fn a_session_nobody_declared_is_told_apart_by_its_pair() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    push(&mut writer, key(3, SOURCE, 1), 1, &[0; 14]);
    writer.finish(None, totals_of).unwrap();
    assert!(blocks(&path).contains(&"interface vni-1@10.0.1.5: VNI 1, source 10.0.1.5".to_owned()));
}

#[test]
fn a_packet_without_ethernet_header_gets_one_so_that_a_file_has_one_link_type() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    let packet = |first| [&[first; 1][..], &[0; 39]].concat();
    let key = FrameKey { link: Link::Ip, ..key(2, SOURCE, 200) };
    for first in [0x45, 0x60] {
        let bytes = packet(first);
        writer.packet(key, 1, 1500, [&bytes[..1], &bytes[1..]].into_iter()).unwrap();
    }
    push(&mut writer, FrameKey { link: Link::Ethernet, ..key }, 1, &[0; 60]);
    writer.finish(None, totals_of).unwrap();
    assert_eq!(
        blocks(&path)[3..],
        [
            "packet of 1 at 1: 54 of 1514",
            "packet of 1 at 1: 54 of 1514",
            "packet of 1 at 1: 60 of 60",
            "statistics of 0 1-1: 10 of 10 - 10 = 0",
            "statistics of 1 1-1: 23 of 26 - 20 = 3",
        ]
    );
    let mut file = crate::capture_file::CaptureFile::open(&path).unwrap();
    for (ether_type, first) in [([0x08, 0x00], 0x45), ([0x86, 0xdd], 0x60)] {
        let expected = [&[0; 12][..], &ether_type, &packet(first)].concat();
        assert_eq!(file.next().unwrap().unwrap().captured, expected);
    }
}

#[test]
fn a_capture_without_sessions_and_frames_has_an_interface_as_readers_want() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let file = PcapngFile::create(&path, Instant::now()).unwrap();
    let mut writer = CaptureWriter::new(file, &[]).unwrap();
    writer.finish(Some(TimeSpan { start_ns: 5, end_ns: 9 }), totals_of).unwrap();
    assert_eq!(
        blocks(&path)[1..],
        [
            "interface default: undeclared sessions, of which no frame came",
            "statistics of 0 5-9: 0 of 0 - 0 = 0"
        ]
    );
}

#[test]
fn statistics_that_state_less_than_was_written_do_not_wrap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    push(&mut writer, key(1, SOURCE, 100), 1, &[0; 60]);
    let none = |_, _| InterfaceTotals { received: 0, accepted: 0, dropped: u64::MAX };
    writer.count_missing(key(1, SOURCE, 100));
    writer.finish(None, none).unwrap();
    let stated = format!("statistics of 0 1-1: 1 of 1 - {} = 1", u64::MAX);
    assert!(blocks(&path).contains(&stated), "{:?}", blocks(&path));
}

#[test]
fn frames_that_are_not_in_the_file_are_counted_although_packet_returns_ok() {
    let file = PcapngFile::create("/dev/full", Instant::now()).unwrap();
    assert!(CaptureWriter::new(file, &sessions()).is_err());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    *writer.file_mut().storage_mut() =
        fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    push(&mut writer, key(1, SOURCE, 100), 1, &[0; 60]);
    assert_eq!(writer.frames_lost(), 0);
    assert_eq!(writer.flush().unwrap_err().frames_lost(), 1);
    push(&mut writer, key(1, SOURCE, 100), 2, &[0; 60]);
    assert_eq!(writer.frames_lost(), 2);
}

#[test]
fn a_truncated_file_has_the_interfaces_of_the_frames_that_follow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mut writer = writer(&path);
    let pair = key(0, SOURCE, 300);
    push(&mut writer, pair, 1, &[0; 60]);
    push(&mut writer, FrameKey { link: Link::Ip, ..pair }, 2, &[0x45; 20]);
    writer.flush().unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    push(&mut writer, FrameKey { link: Link::Ip, ..pair }, 3, &[0x45; 21]);
    push(&mut writer, key(0, SOURCE, 400), 4, &[0; 61]);
    writer.flush().unwrap();
    let expected = [
        "interface web: VNI 100, source 10.0.1.5",
        "interface db: VNI 200, any source",
        "interface vni-300@10.0.1.5: VNI 300, source 10.0.1.5",
        "packet of 2 at 3: 35 of 35",
        "interface vni-400@10.0.1.5: VNI 400, source 10.0.1.5",
        "packet of 3 at 4: 61 of 61",
    ];
    assert_eq!(blocks(&path)[1..], expected);
    assert_eq!(writer.frames_by_interface().values().sum::<u64>(), 4);
    assert_eq!(writer.frames_lost(), 0);
}
